//! What an endpoint does on a connection, step by step and byte by byte, so that any way to
//! misbehave can be written down in a line. Who listens and plays them is `harness/endpoint.rs`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::endpoint::Tally;
use super::wire::{self, Unframed};

/// A polite answer.
pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// One thing that is done. After the last of them the connection is closed.
#[derive(Clone, Debug)]
pub enum Step {
    /// Takes a request, whole.
    Request,
    /// Takes the head of a request and leaves its body where it is.
    Head,
    Write(Vec<u8>),
    /// Writes a byte at a time, this long apart.
    Drip(Vec<u8>, Duration),
    /// Writes the same again and again, until the other side hangs up.
    Pour(Vec<u8>),
    Pause(Duration),
    /// Does nothing more until the other side hangs up.
    Hang,
    /// Leaves without a goodbye: what was not yet read is lost.
    Reset,
    /// Begins anew, as long as the other side goes on.
    Again,
}

/// Writes this text.
pub fn say(text: &str) -> Step {
    Step::Write(text.as_bytes().to_vec())
}

/// Takes a request, writes this text, and hangs up.
pub fn answer(text: &str) -> Vec<Step> {
    vec![Step::Request, say(text)]
}

/// Answers every request with this text and leaves the connection open.
pub fn always(text: &str) -> Vec<Step> {
    vec![Step::Request, say(text), Step::Again]
}

/// A connection, whatever it is made of.
pub trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// Plays a script to its end, or until the other side has had enough.
pub fn play(script: &[Step], wire: &mut dyn Wire, socket: &TcpStream, tally: &Tally) -> io::Result<()> {
    let mut wire = BufReader::new(wire);
    let mut rest = script.iter();
    while let Some(step) = rest.next() {
        match step {
            Step::Request => match wire::read(&mut wire, Unframed::Empty)? {
                Some(_) => tally.took(),
                None => return Ok(()),
            },
            Step::Head => head(&mut wire, tally)?,
            Step::Write(bytes) => put(&mut wire, bytes)?,
            Step::Drip(bytes, apart) => {
                for byte in bytes {
                    put(&mut wire, &[*byte])?;
                    thread::sleep(*apart);
                }
            }
            Step::Pour(bytes) => loop {
                put(&mut wire, bytes)?;
            },
            Step::Pause(wait) => thread::sleep(*wait),
            Step::Hang => drop(io::copy(&mut wire, &mut io::sink())?),
            Step::Reset => socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO))?,
            Step::Again => rest = script.iter(),
        }
    }
    Ok(())
}

fn put(wire: &mut BufReader<&mut dyn Wire>, bytes: &[u8]) -> io::Result<()> {
    wire.get_mut().write_all(bytes)?;
    wire.get_mut().flush()
}

/// Takes lines up to the empty one that ends a head.
fn head(wire: &mut impl BufRead, tally: &Tally) -> io::Result<()> {
    let mut line = String::new();
    while wire.read_line(&mut line)? > 2 {
        line.clear();
    }
    tally.took();
    Ok(())
}
