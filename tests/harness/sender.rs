//! What sends events in, and asks the daemon anything else over HTTP: one keep-alive
//! connection over TCP or over the Unix socket.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::DEADLINE;
use super::event::{Event, ndjson};
use super::receiver::signature;
use super::relay::Relay;
use super::wire::{self, Message, Unframed};

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A connection to the daemon.
pub struct Sender {
    stream: BufReader<Box<dyn Stream>>,
    host: String,
}

/// An answer of the daemon.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    message: Message,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.message.header(name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.message.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.message.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// What a refusal says: its body is a JSON string.
    #[track_caller]
    pub fn refusal(&self) -> String {
        self.json().as_str().unwrap_or_else(|| panic!("not a JSON string: {}", self.text())).to_owned()
    }
}

impl Sender {
    pub fn tcp(relay: &Relay) -> Sender {
        let stream = TcpStream::connect(relay.tcp()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Sender { stream: BufReader::new(Box::new(stream)), host: relay.tcp().to_string() }
    }

    pub fn unix(relay: &Relay) -> Sender {
        Sender::at(&relay.unix()).unwrap()
    }

    /// Over a Unix socket that may not be there at the moment.
    pub fn at(socket: &Path) -> io::Result<Sender> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Sender { stream: BufReader::new(Box::new(stream)), host: "localhost".to_owned() })
    }

    /// Sends one event; it must be taken.
    #[track_caller]
    pub fn send(&mut self, event: &Event) -> Value {
        let reply = self.post("/events", "application/json", event.json().as_bytes());
        assert_eq!(reply.status, 202, "{}", reply.text());
        reply.json()
    }

    /// Sends a batch as NDJSON; it must be taken.
    #[track_caller]
    pub fn send_all(&mut self, events: &[Event]) -> Value {
        let reply = self.post("/events", "application/x-ndjson", ndjson(events).as_bytes());
        assert_eq!(reply.status, 202, "{}", reply.text());
        reply.json()
    }

    #[track_caller]
    pub fn post(&mut self, path: &str, content_type: &str, body: &[u8]) -> Reply {
        self.request("POST", path, &[("content-type", content_type)], body)
    }

    /// Delivers to a source as Track does, signed with this secret.
    #[track_caller]
    pub fn deliver(&mut self, source: &str, secret: &str, body: &[u8]) -> Reply {
        self.try_deliver(source, secret, body).unwrap_or_else(|error| panic!("to `{source}`: {error}"))
    }

    /// The same where the daemon may die in between.
    pub fn try_deliver(&mut self, source: &str, secret: &str, body: &[u8]) -> io::Result<Reply> {
        let (path, signature) = (format!("/track/{source}"), signature(secret, body));
        let headers = [("content-type", "application/json"), ("x-webhook-signature-256", signature.as_str())];
        self.try_request("POST", &path, &headers, body)
    }

    #[track_caller]
    pub fn get(&mut self, path: &str) -> Reply {
        self.request("GET", path, &[], b"")
    }

    #[track_caller]
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.try_request(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The same where the daemon may die in between.
    pub fn try_request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("host: {}\r\n", self.host);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method != "GET" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head += "\r\n";
        self.try_raw(&[head.as_bytes(), body].concat())
    }

    /// Any bytes at all, and the answer to them.
    #[track_caller]
    pub fn raw(&mut self, bytes: &[u8]) -> Reply {
        self.try_raw(bytes).unwrap()
    }

    pub fn try_raw(&mut self, bytes: &[u8]) -> io::Result<Reply> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()?;
        self.answer()
    }

    /// Writes without waiting for an answer.
    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// The answer to what was written.
    pub fn answer(&mut self) -> io::Result<Reply> {
        let message =
            wire::read(&mut self.stream, Unframed::UntilClose)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = message.start.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status =
            status.ok_or_else(|| io::Error::other(format!("not a status line: {}", message.start)))?;
        Ok(Reply { status, message })
    }
}
