//! HTTP/2 by hand, as little as an endpoint needs that breaks it: frames in, frames out,
//! and not a line in common with the daemon's HTTP.

use std::io;

use super::endpoint::Tally;
use super::script::Wire;

/// What is done with the first, second, … request of a connection; the last one repeats.
pub type Frames = Vec<Vec<Frame>>;

/// One thing that is done with a request.
#[derive(Clone, Copy, Debug)]
pub enum Frame {
    /// 200 and the end of the stream.
    Ok,
    /// 200, and a body that is to follow.
    Head,
    /// So many bytes of body, as far as the other side's window lets us.
    Body(usize),
    /// `103 Early Hints` without end, until the other side hangs up.
    Hints,
    /// The end of this stream, for this reason.
    Reset(u32),
    /// Announces the end of the connection: whether this request still counts, and why.
    GoAway { taken: bool, reason: u32 },
    /// Ends the connection.
    Close,
}

/// "I am going; this request still gets its answer", and the same for one that does not.
pub const GOES: Frame = Frame::GoAway { taken: true, reason: NO_ERROR };
pub const GONE: Frame = Frame::GoAway { taken: false, reason: NO_ERROR };

const NO_ERROR: u32 = 0;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;
pub const ENHANCE_YOUR_CALM: u32 = 11;

const PREFACE: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Serves a connection until either side ends it.
pub fn serve(wire: &mut dyn Wire, script: &[Vec<Frame>], tally: &Tally) -> io::Result<()> {
    wire.read_exact(&mut [0; PREFACE])?;
    put(wire, SETTINGS, 0, 0, &[])?;
    let mut answers = script.iter();
    let mut next = script.first();
    // The last stream that is answered, once we have said that we go.
    let mut last = None;
    loop {
        let (kind, flags, stream, payload) = take(wire)?;
        match kind {
            SETTINGS if flags & ACK == 0 => put(wire, SETTINGS, ACK, 0, &[])?,
            PING if flags & ACK == 0 => put(wire, PING, ACK, 0, &payload)?,
            GO_AWAY => return Ok(()),
            DATA | HEADERS if last.is_some_and(|last| stream > last) => {}
            DATA | HEADERS if last.is_some() && flags & END_STREAM != 0 => {
                tally.took();
                give(wire, Frame::Ok, stream)?;
            }
            DATA | HEADERS if flags & END_STREAM != 0 => {
                tally.took();
                next = answers.next().or(next);
                for frame in next.into_iter().flatten() {
                    if let Frame::GoAway { taken, .. } = frame {
                        last = Some(last_of(stream, *taken));
                    }
                    if !give(wire, *frame, stream)? {
                        return Ok(());
                    }
                }
            }
            _ => {}
        }
    }
}

/// Whether the connection goes on.
fn give(wire: &mut dyn Wire, frame: Frame, stream: u32) -> io::Result<bool> {
    // `:status: 200` is an entry of the table that both sides begin with.
    const STATUS_200: &[u8] = &[0x88];
    // `:status` as a literal: its name from the table, its value as text.
    const STATUS_103: &[u8] = &[0x08, 3, b'1', b'0', b'3'];
    match frame {
        Frame::Ok => put(wire, HEADERS, END_HEADERS | END_STREAM, stream, STATUS_200)?,
        Frame::Head => put(wire, HEADERS, END_HEADERS, stream, STATUS_200)?,
        Frame::Body(bytes) => put(wire, DATA, 0, stream, &vec![b'a'; bytes])?,
        Frame::Hints => loop {
            put(wire, HEADERS, END_HEADERS, stream, STATUS_103)?;
        },
        Frame::Reset(reason) => put(wire, RST_STREAM, 0, stream, &reason.to_be_bytes())?,
        Frame::GoAway { taken, reason } => {
            let last = last_of(stream, taken).to_be_bytes();
            put(wire, GO_AWAY, 0, 0, &[last, reason.to_be_bytes()].concat())?;
        }
        Frame::Close => return Ok(false),
    }
    Ok(true)
}

/// The last stream that counts, this one or the one before. Ours are odd.
fn last_of(stream: u32, taken: bool) -> u32 {
    if taken { stream } else { stream.saturating_sub(2) }
}

fn take(wire: &mut dyn Wire) -> io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    wire.read_exact(&mut head)?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    wire.read_exact(&mut payload)?;
    Ok((kind, flags, u32::from_be_bytes(stream), payload))
}

fn put(wire: &mut dyn Wire, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    wire.write_all(&[&head[..], &stream.to_be_bytes(), payload].concat())?;
    wire.flush()
}
