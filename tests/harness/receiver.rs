//! The endpoint that events are delivered to: a thread per connection, HTTP by hand, its
//! own check of every signature, and answers as a test wants them.

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::answer::{Answer, Gate};
use super::wire::{self, Unframed};
use super::{DEADLINE, SECRET, lock};

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its path; a test gives every subscription one of its own.
    pub path: String,
    /// The request line.
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub at: Instant,
    /// Which connection it came in on, counted from 0.
    pub connection: usize,
    /// Whether the signature is right for one of the secrets the receiver knows.
    pub signed: bool,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn event_id(&self) -> i64 {
        self.json()["event_id"].as_i64().unwrap_or_else(|| panic!("no event_id: {}", self.text()))
    }

    pub fn is_ping(&self) -> bool {
        serde_json::from_slice::<Value>(&self.body).is_ok_and(|body| body["payload"] == "ping")
    }
}

/// How a request is answered: the request, and how many events came before it on its path.
type Script = dyn Fn(&Request, usize) -> Answer + Send + Sync;

/// An endpoint on loopback. Its subscriptions are told apart by path.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Something arrived, was answered or ended.
    news: Condvar,
}

struct State {
    script: Arc<Script>,
    secrets: Vec<String>,
    requests: Vec<Request>,
    seen: HashMap<String, usize>,
    flying: usize,
    most_flying: usize,
    connections: usize,
    /// Live ones, to be cut when the receiver stops.
    streams: HashMap<usize, TcpStream>,
    listening: bool,
    /// Bytes of endless bodies that were taken.
    poured: usize,
}

impl Receiver {
    pub fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = State {
            script: Arc::new(|request, _| Answer::proper(request)),
            secrets: vec![SECRET.to_owned()],
            requests: Vec::new(),
            seen: HashMap::new(),
            flying: 0,
            most_flying: 0,
            connections: 0,
            streams: HashMap::new(),
            listening: false,
            poured: 0,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), news: Condvar::new() });
        let receiver = Receiver { address: listener.local_addr().unwrap(), shared };
        receiver.listen(listener);
        receiver
    }

    /// From now on answers like this. PINGs ask too, and do not count.
    pub fn answer(&self, script: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) {
        self.shared.state().script = Arc::new(script);
    }

    /// Every request is to be answered with this status.
    pub fn answer_all(&self, status: u16) {
        self.answer(move |_, _| Answer::status(status));
    }

    /// Every request is to be answered properly, and none before the gate is open.
    pub fn hold(&self) -> Gate {
        let gate = Gate::default();
        let held = gate.clone();
        self.answer(move |request, _| Answer::proper(request).when(&held));
        gate
    }

    /// Signatures made with this secret are right too.
    pub fn trust(&self, secret: &str) {
        self.shared.state().secrets.push(secret.to_owned());
    }

    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A subscription that sends everything here, to the path of its name. It takes further keys.
    pub fn table(&self, name: &str) -> String {
        self.table_for(name, r#"["*.*"]"#)
    }

    /// The same with event filters, as TOML.
    pub fn table_for(&self, name: &str, event_filters: &str) -> String {
        let url = self.url(name);
        format!(
            "\n[subscription.{name}]\nurl_callback = \"{url}\"\nevent_filters = {event_filters}\n\
             secret = \"{SECRET}\"\nvalidation = \"off\"\n"
        )
    }

    /// Waits for so many events (PINGs apart); their signatures must be right.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Request> {
        self.wait_among(count, &format!("{count} events"), |request| !request.is_ping())
    }

    /// The same among those sent to the path of this name.
    #[track_caller]
    pub fn wait_for_at(&self, name: &str, count: usize) -> Vec<Request> {
        let at = |request: &Request| !request.is_ping() && request.path == format!("/{name}");
        self.wait_among(count, &format!("{count} events for `{name}`"), at)
    }

    #[track_caller]
    pub fn wait_for_pings(&self, count: usize) -> Vec<Request> {
        self.wait_among(count, &format!("{count} PINGs"), Request::is_ping)
    }

    /// Everything so far, PINGs apart.
    pub fn events(&self) -> Vec<Request> {
        self.shared.state().requests.iter().filter(|request| !request.is_ping()).cloned().collect()
    }

    /// Event ids in order of arrival at the path of this name.
    pub fn ids_at(&self, name: &str) -> Vec<i64> {
        let path = format!("/{name}");
        self.events().iter().filter(|request| request.path == path).map(Request::event_id).collect()
    }

    pub fn pings(&self) -> Vec<Request> {
        self.shared.state().requests.iter().filter(|request| request.is_ping()).cloned().collect()
    }

    /// How many requests were being answered at the same time, at most.
    pub fn most_at_once(&self) -> usize {
        self.shared.state().most_flying
    }

    /// Connections that were made to it.
    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }

    /// Bytes of `Answer::Endless` that the other side took, once it has hung up.
    #[track_caller]
    pub fn poured(&self) -> usize {
        let state = self.shared.wait(|state| state.flying == 0 && state.poured > 0);
        assert!(state.poured > 0, "nobody hung up on the endless body");
        state.poured
    }

    /// Ends all connections; new ones are refused.
    pub fn stop(&self) {
        self.hang_up();
        super::wait_until("the receiver's port is closed", || TcpStream::connect(self.address).err());
    }

    /// Listens again where it did before.
    pub fn start_again(&self) {
        let listener =
            super::wait_until("the receiver's port is free", || TcpListener::bind(self.address).ok());
        self.listen(listener);
    }

    /// Waits until everything that a daemon sent before it died has been looked at: its
    /// connections, also those that queue to be taken, are read to their end.
    #[track_caller]
    pub fn hear_out(&self) {
        let last = TcpStream::connect(self.address).unwrap();
        let ours = last.local_addr().unwrap();
        let taken = |stream: &TcpStream| stream.peer_addr().is_ok_and(|peer| peer == ours);
        super::wait_until("all connections are taken", || {
            self.shared.state().streams.values().any(taken).then_some(())
        });
        drop(last);
        super::wait_until("all connections are ended", || {
            self.shared.state().streams.is_empty().then_some(())
        });
    }

    fn hang_up(&self) {
        let mut state = self.shared.state();
        state.listening = false;
        for (_, stream) in state.streams.drain() {
            drop(stream.shutdown(Shutdown::Both));
        }
        drop(state);
        // The listener looks up when somebody comes.
        drop(TcpStream::connect(self.address));
    }

    fn listen(&self, listener: TcpListener) {
        self.shared.state().listening = true;
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                let mut state = shared.state();
                if !state.listening {
                    return;
                }
                let connection = state.connections;
                state.connections += 1;
                state.streams.insert(connection, stream.try_clone().unwrap());
                drop(state);
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.serve(stream, connection));
            }
        });
    }

    #[track_caller]
    fn wait_among(&self, count: usize, what: &str, wanted: impl Fn(&Request) -> bool) -> Vec<Request> {
        let of = |state: &State| state.requests.iter().filter(|r| wanted(r)).cloned().collect::<Vec<_>>();
        let state = self.shared.wait(|state| of(state).len() >= count);
        let found = of(&state);
        assert!(found.len() >= count, "waited for {what}, got {}: {}", found.len(), listed(&state.requests));
        let unsigned: Vec<_> = found.iter().filter(|request| !request.signed).cloned().collect();
        assert!(unsigned.is_empty(), "wrong signatures: {}", listed(&unsigned));
        found
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.hang_up();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Waits for news until it is so; returns how it stands at the deadline if it never is.
    fn wait(&self, so: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.news.wait_timeout_while(self.state(), DEADLINE, |state| !so(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn serve(&self, mut stream: TcpStream, connection: usize) {
        drop(stream.set_nodelay(true));
        let mut incoming = BufReader::new(stream.try_clone().unwrap());
        while let Ok(Some(message)) = wire::read(&mut incoming, Unframed::Empty) {
            let answer = self.take(message, connection);
            let goes_on = self.give(answer, &mut stream);
            self.state().flying -= 1;
            self.news.notify_all();
            if !goes_on {
                break;
            }
        }
        // The list of live connections holds another handle, so closing takes this.
        drop(stream.shutdown(Shutdown::Both));
        self.state().streams.remove(&connection);
    }

    fn take(&self, message: wire::Message, connection: usize) -> Answer {
        let mut state = self.state();
        let signed = state.secrets.iter().any(|secret| is_signed(secret, &message.headers, &message.body));
        let path = message.start.split(' ').nth(1).unwrap_or_default().to_owned();
        let wire::Message { start, headers, body } = message;
        let request = Request { path, start, headers, body, at: Instant::now(), connection, signed };
        let seen = state.seen.entry(request.path.clone()).or_default();
        let before = *seen;
        *seen += usize::from(!request.is_ping());
        state.flying += 1;
        state.most_flying = state.most_flying.max(state.flying);
        state.requests.push(request.clone());
        let script = Arc::clone(&state.script);
        drop(state);
        self.news.notify_all();
        script(&request, before)
    }

    /// Answers, and says whether the connection goes on.
    fn give(&self, answer: Answer, stream: &mut TcpStream) -> bool {
        match answer {
            Answer::Reply { status, headers, body } => {
                let headers: String =
                    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let length = body.len();
                let head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {length}\r\n{headers}\r\n");
                stream.write_all((head + &body).as_bytes()).is_ok()
            }
            Answer::After(wait, answer) => {
                thread::sleep(wait);
                self.give(*answer, stream)
            }
            Answer::When(gate, answer) => {
                gate.wait();
                self.give(*answer, stream)
            }
            Answer::Hang => {
                // Comes back when the other side, or `stop`, ends the connection.
                drop(stream.read(&mut [0]));
                false
            }
            Answer::Close => false,
            Answer::Raw(bytes) => {
                drop(stream.write_all(&bytes));
                false
            }
            Answer::Endless => {
                let mut poured = usize::from(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_ok());
                while stream.write_all(&[b'a'; 4096]).is_ok() {
                    poured += 4096;
                }
                self.state().poured += poured;
                false
            }
        }
    }
}

/// Track's signature, worked out apart from the daemon's own code.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// The signature of Standard Webhooks, worked out apart from the daemon's own code. A secret
/// with `whsec_` is base64.
pub fn standard_signature(secret: &str, id: &str, second: &str, body: &[u8]) -> String {
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).unwrap(),
        None => secret.as_bytes().to_vec(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(&[id.as_bytes(), b".", second.as_bytes(), b".", body].concat());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// By every scheme whose headers it carries, and at least by one.
fn is_signed(secret: &str, headers: &[(String, String)], body: &[u8]) -> bool {
    let header =
        |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let track = header("x-webhook-signature-256").map(|value| value == signature(secret, body));
    let standard = header("webhook-signature").map(|value| {
        let (id, second) = (header("webhook-id").unwrap_or(""), header("webhook-timestamp").unwrap_or(""));
        value == standard_signature(secret, id, second, body)
    });
    [track, standard].into_iter().flatten().reduce(|one, other| one && other).unwrap_or(false)
}

fn listed(requests: &[Request]) -> String {
    requests.iter().map(|request| format!("\n  {} {}", request.path, request.text())).collect()
}
