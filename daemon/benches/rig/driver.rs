//! The load: keep-alive connections on one thread that send events one after the other
//! (closed loop), at a fixed rate whatever becomes of them (open loop), or in batches.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

use super::book::Sends;
use super::event::{self, Action};
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

impl Pattern {
    fn connections(self) -> usize {
        match self {
            Pattern::Closed { connections, .. } | Pattern::Open { connections, .. } => connections,
        }
    }
}

/// When the load ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    After(Duration),
    /// So many events were handed out.
    Sent(usize),
}

/// What is sent, how and how long.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub action: Action,
    pub pattern: Pattern,
    pub until: Until,
}

/// Sends until then, waits for the last answer, and returns the places of what was sent.
pub fn run(target: &Target, load: Load, sends: &Arc<Sends>) -> anyhow::Result<Range<usize>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let from = sends.taken();
    runtime.block_on(all(target, load, sends))?;
    Ok(from..sends.taken())
}

async fn all(target: &Target, load: Load, sends: &Arc<Sends>) -> anyhow::Result<()> {
    let mut connections: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let (start, slots) = (Instant::now(), Arc::new(AtomicU32::new(0)));
    let end = End { at: start, until: load.until, already: sends.taken() };
    for _ in 0..load.pattern.connections() {
        let (wire, sends) = (connect(target).await?, Arc::clone(sends));
        let line = Line { wire, sends, action: load.action, request: Vec::new() };
        match load.pattern {
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
    action: Action,
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
        write_request(&mut self.request, self.action, places.clone().map(|place| self.sends.id(place)));
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

fn write_request(request: &mut Vec<u8>, action: Action, ids: impl ExactSizeIterator<Item = i64>) {
    use std::io::Write;
    request.clear();
    let is_batch = ids.len() > 1;
    let (kind, each) = if is_batch { ("x-ndjson", event::BYTES + 1) } else { ("json", event::BYTES) };
    let length = ids.len() * each;
    let head = write!(
        request,
        "POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/{kind}\r\n\
         content-length: {length}\r\n\r\n"
    );
    head.expect("writing to a vector cannot fail");
    for id in ids {
        event::write(id, action, request);
        if is_batch {
            request.push(b'\n');
        }
    }
}

/// A connection for questions, one after the other.
pub struct Asker {
    runtime: tokio::runtime::Runtime,
    wire: Wire,
}

impl Asker {
    pub fn new(target: &Target) -> anyhow::Result<Asker> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let wire = runtime.block_on(connect(target))?;
        Ok(Asker { runtime, wire })
    }

    /// The status and the body of the answer.
    pub fn ask(&mut self, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        let Asker { runtime, wire } = self;
        runtime.block_on(async {
            wire.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await?;
            let answer = wire.next().await?.context("no answer")?;
            let said = status(wire.head(&answer)).context("no status")?;
            Ok((said, wire.body(&answer).to_vec()))
        })
    }
}
