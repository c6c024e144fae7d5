//! HTTP/1.1 by hand, as little as receiver and sender need: byte for byte under control,
//! and not a line in common with the daemon's HTTP.

use std::io::{self, BufRead, Read};

/// A request or a response.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Request line or status line.
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What ends a body that comes with neither length nor chunks.
#[derive(Clone, Copy, PartialEq)]
pub enum Unframed {
    /// It has none: a request.
    Empty,
    /// The end of the connection: a response.
    UntilClose,
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Reads one message; none at the end of the connection.
pub fn read(stream: &mut impl BufRead, unframed: Unframed) -> io::Result<Option<Message>> {
    let start = line(stream)?;
    if start.is_empty() {
        return Ok(None);
    }
    let mut message = Message { start, ..Message::default() };
    loop {
        let text = line(stream)?;
        let Some((name, value)) = text.split_once(':') else { break };
        message.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    message.body = body(stream, &message, unframed)?;
    Ok(Some(message))
}

fn body(stream: &mut impl BufRead, message: &Message, unframed: Unframed) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if message.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = line(stream)?;
            let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            stream.take(size).read_to_end(&mut body)?;
            line(stream)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match message.header("content-length") {
        Some(length) => {
            body.resize(length.parse().map_err(io::Error::other)?, 0);
            stream.read_exact(&mut body)?;
        }
        None if unframed == Unframed::UntilClose => drop(stream.read_to_end(&mut body)?),
        None => {}
    }
    Ok(body)
}

/// A line without its end; empty at the end of the connection.
fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let text = String::from_utf8(line).map_err(io::Error::other)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
