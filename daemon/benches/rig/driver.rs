//! The load: keep-alive connections on one thread that send events one after the other
//! (closed loop), at a fixed rate whatever becomes of them (open loop), or in batches.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

use super::book::Sends;
use super::event;
use super::wire::{Wire, status};

/// Waits before the next request after the daemon said that it has too much to do.
const BREATHER: Duration = Duration::from_millis(5);

/// Where the load goes.
#[derive(Clone, Debug)]
pub enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// How events are sent.
#[derive(Clone, Copy, Debug)]
pub enum Pattern {
    /// As fast as each connection is answered; requests carry this many events.
    Closed { connections: usize, batch: usize },
    /// So many a second, each on whichever connection is free.
    Open { connections: usize, rate: u32 },
}

/// When the load ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    After(Duration),
    /// So many events were handed out.
    Sent(usize),
}

/// Sends until then, waits for the last answer, and returns the places of what was sent.
pub fn run(
    target: &Target,
    pattern: Pattern,
    until: Until,
    sends: &Arc<Sends>,
) -> anyhow::Result<Range<usize>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let from = sends.taken();
    runtime.block_on(all(target, pattern, until, sends))?;
    Ok(from..sends.taken())
}

async fn all(target: &Target, pattern: Pattern, until: Until, sends: &Arc<Sends>) -> anyhow::Result<()> {
    let (connections, start) = (JoinSet::new(), Instant::now());
    let mut connections: JoinSet<anyhow::Result<()>> = connections;
    let (count, slots) = match pattern {
        Pattern::Closed { connections, .. } | Pattern::Open { connections, .. } => {
            (connections, Arc::new(AtomicU32::new(0)))
        }
    };
    let end = End { at: start, until, already: sends.taken() };
    for _ in 0..count {
        let line = Line { wire: connect(target).await?, sends: Arc::clone(sends), request: Vec::new() };
        match pattern {
            Pattern::Closed { batch, .. } => connections.spawn(line.closed(batch, end)),
            Pattern::Open { rate, .. } => connections.spawn(line.open(start, rate, Arc::clone(&slots), end)),
        };
    }
    while let Some(ended) = connections.join_next().await {
        ended.context("a connection of the load broke down")??;
    }
    Ok(())
}

async fn connect(target: &Target) -> anyhow::Result<Wire> {
    match target {
        Target::Tcp(address) => {
            let stream = TcpStream::connect(address).await;
            let stream = stream.with_context(|| format!("failed to connect to {address}"))?;
            stream.set_nodelay(true)?;
            Ok(Wire::new(stream))
        }
        Target::Unix(path) => {
            let stream = UnixStream::connect(path).await;
            Ok(Wire::new(stream.with_context(|| format!("failed to connect to {}", path.display()))?))
        }
    }
}

#[derive(Clone, Copy)]
struct End {
    at: Instant,
    until: Until,
    already: usize,
}

impl End {
    fn is_reached(&self, sends: &Sends) -> bool {
        match self.until {
            Until::After(time) => self.at.elapsed() >= time,
            Until::Sent(count) => sends.taken() >= self.already + count,
        }
    }
}

/// One connection of the load.
struct Line {
    wire: Wire,
    sends: Arc<Sends>,
    request: Vec<u8>,
}

impl Line {
    async fn closed(mut self, batch: usize, end: End) -> anyhow::Result<()> {
        while !end.is_reached(&self.sends) {
            let places = self.sends.take(batch).context("the book is full; more events than were planned")?;
            self.send(places, Instant::now()).await?;
        }
        Ok(())
    }

    /// Takes the next moment of the timetable that is nobody's. An event that is late
    /// because earlier answers were counts from the moment it was due.
    async fn open(
        mut self,
        start: Instant,
        rate: u32,
        slots: Arc<AtomicU32>,
        end: End,
    ) -> anyhow::Result<()> {
        loop {
            let slot = slots.fetch_add(1, Ordering::Relaxed);
            let due = start + Duration::from_secs(1) * slot / rate;
            let late = due <= Instant::now();
            if !late {
                tokio::time::sleep_until(due.into()).await;
            }
            if end.is_reached(&self.sends) {
                return Ok(());
            }
            let places = self.sends.take(1).context("the book is full; more events than were planned")?;
            self.send(places, if late { due } else { Instant::now() }).await?;
        }
    }

    /// One request and its answer.
    async fn send(&mut self, places: Range<usize>, at: Instant) -> anyhow::Result<()> {
        write_request(&mut self.request, places.clone());
        places.clone().for_each(|place| self.sends.sent(place, at));
        self.wire.send(&self.request).await?;
        let answer = self.wire.next().await?.context("the load's connection was closed")?;
        match status(self.wire.head(&answer)) {
            Some(200 | 202) => places.for_each(|place| self.sends.acknowledged(place)),
            Some(503) => {
                self.sends.refused();
                tokio::time::sleep(BREATHER).await;
            }
            other => bail!("answered {other:?}: {}", String::from_utf8_lossy(self.wire.body(&answer))),
        }
        Ok(())
    }
}

fn write_request(request: &mut Vec<u8>, places: Range<usize>) {
    use std::io::Write;
    request.clear();
    let (kind, between) = if places.len() == 1 { ("json", 0) } else { ("x-ndjson", places.len()) };
    let length = places.len() * event::BYTES + between;
    let head = write!(
        request,
        "POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/{kind}\r\n\
         content-length: {length}\r\n\r\n"
    );
    head.expect("writing to a vector cannot fail");
    for place in places {
        event::write(event::FIRST_ID + i64::try_from(place).unwrap_or(i64::MAX), request);
        if between > 0 {
            request.push(b'\n');
        }
    }
}

/// One question over a fresh connection, for instance about `/metrics`; its answer's body.
pub fn ask(target: &Target, method: &str, path: &str) -> anyhow::Result<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut wire = connect(target).await?;
        let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
        wire.send(request.as_bytes()).await?;
        let answer = wire.next().await?.context("no answer")?;
        let body = wire.body(&answer).to_vec();
        let said = status(wire.head(&answer));
        ensure!(said.is_some_and(|said| said < 300), "{said:?}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    })
}
