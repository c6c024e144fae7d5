//! HTTP/1.1 by hand for the load and the endpoint: as little work as can be, so that the
//! machine's cores go to what is measured. Bodies have a length, as all here send it.

use std::io;
use std::ops::Range;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest message that is taken; beyond it something is wrong.
const MAX_BYTES: usize = 64 << 20;

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One side of a connection.
pub struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// End of the message that was read last.
    used: usize,
}

/// Where head and body of a message stand in the buffer.
pub struct Message {
    head: Range<usize>,
    body: Range<usize>,
}

impl Wire {
    pub fn new(stream: impl Stream + 'static) -> Wire {
        Wire { stream: Box::new(stream), buffer: Vec::with_capacity(8 << 10), used: 0 }
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next message; none when the other side is gone between two.
    pub async fn next(&mut self) -> io::Result<Option<Message>> {
        self.buffer.drain(..self.used);
        self.used = 0;
        loop {
            if let Some(message) = whole(&self.buffer)? {
                self.used = message.body.end;
                return Ok(Some(message));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                let clean = self.buffer.is_empty();
                return if clean { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    pub fn head(&self, message: &Message) -> &[u8] {
        &self.buffer[message.head.clone()]
    }

    pub fn body(&self, message: &Message) -> &[u8] {
        &self.buffer[message.body.clone()]
    }
}

/// The value of a header, by its name in lower case.
pub fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (key, rest) = line.split_at_checked(name.len())?;
        let value = rest.strip_prefix(b":")?;
        key.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
    })
}

/// The status of a response's head.
pub fn status(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

/// The path of a request's head.
pub fn path(head: &[u8]) -> &[u8] {
    head.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
}

fn whole(buffer: &[u8]) -> io::Result<Option<Message>> {
    let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = 0..end;
    let length = match header(&buffer[..end], "content-length") {
        Some(digits) => std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()),
        None => Some(0),
    };
    let length: usize = length.filter(|length| *length <= MAX_BYTES).ok_or(io::ErrorKind::InvalidData)?;
    let body = end + 4..end + 4 + length;
    Ok((buffer.len() >= body.end).then_some(Message { head, body }))
}
