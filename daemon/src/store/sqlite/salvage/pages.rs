//! The pages of a broken file as the engine would see them: those that were committed to
//! the log stand over those of the database. Also which of them are free. Knows files and
//! numbers of pages; what stands on them is `leaf.rs`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::beside;

/// Bytes of a page, in every store.
pub(super) const PAGE: usize = 4096;

/// What stands before the frames of a log, and before the page in each of them.
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// The last bit says in which order the words of the sums are read.
const LOG_MAGIC: u32 = 0x377f_0682;

pub(super) struct Pages {
    database: File,
    log: Option<File>,
    /// Where in the log the latest image of a page begins.
    logged: HashMap<u32, u64>,
    count: u32,
}

impl Pages {
    pub(super) fn open(database: &Path) -> io::Result<Pages> {
        let log = match File::open(beside(database, "-wal")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        let logged = log.as_ref().map(committed).transpose()?.unwrap_or_default();
        let database = File::open(database)?;
        let whole = u32::try_from(database.metadata()?.len() / PAGE as u64).unwrap_or(u32::MAX);
        let count = logged.keys().copied().fold(whole, u32::max);
        Ok(Pages { database, log, logged, count })
    }

    /// Pages are numbered from 1 to this.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// None if the disk cannot read it, or there is none.
    pub(super) fn page(&self, number: u32) -> Option<Vec<u8>> {
        let (file, at) = match self.logged.get(&number) {
            Some(at) => (self.log.as_ref()?, *at),
            None => (&self.database, u64::from(number.checked_sub(1)?) * PAGE as u64),
        };
        let mut page = vec![0; PAGE];
        file.read_exact_at(&mut page, at).ok().map(|()| page)
    }

    /// The pages that the engine has freed: their rows were deleted or stand elsewhere. None
    /// if the list cannot be followed to its end.
    pub(super) fn free(&self) -> Option<HashSet<u32>> {
        let first = self.page(1).filter(|first| first.starts_with(b"SQLite format 3\0"))?;
        let (mut next, total) = (number(&first, 32), number(&first, 36) as usize);
        let mut free = HashSet::new();
        let mut add = |number: u32| {
            let is_new = (2..=self.count).contains(&number) && free.insert(number);
            is_new.then_some(())
        };
        while next != 0 {
            add(next)?;
            let trunk = self.page(next)?;
            let leaves = trunk[8..].chunks_exact(4);
            let most = leaves.len();
            let listed = Some(number(&trunk, 4) as usize).filter(|listed| *listed <= most)?;
            leaves.take(listed).try_for_each(|leaf| add(number(leaf, 0)))?;
            next = number(&trunk, 0);
        }
        (free.len() == total).then_some(free)
    }
}

/// Where the latest committed image of each page stands. Everything from the first frame on
/// that does not fit the sums was never finished, or is left over from an earlier use.
fn committed(log: &File) -> io::Result<HashMap<u32, u64>> {
    let (mut logged, mut uncommitted) = (HashMap::new(), HashMap::new());
    let mut reader = BufReader::with_capacity(64 * PAGE, log);
    let mut header = [0; LOG_HEADER];
    if !fill(&mut reader, &mut header)? || number(&header, 0) & !1 != LOG_MAGIC {
        return Ok(logged);
    }
    let read = if number(&header, 0) & 1 == 0 { u32::from_le_bytes } else { u32::from_be_bytes };
    let mut sums = add_up([0, 0], &header[..24], read);
    if sums != [number(&header, 24), number(&header, 28)] || number(&header, 8) as usize != PAGE {
        return Ok(logged);
    }
    let mut frame = [0; FRAME_HEADER + PAGE];
    let mut at = LOG_HEADER as u64;
    while fill(&mut reader, &mut frame)? {
        sums = add_up(add_up(sums, &frame[..8], read), &frame[FRAME_HEADER..], read);
        let page = number(&frame, 0);
        let fits = sums == [number(&frame, 16), number(&frame, 20)] && frame[8..16] == header[16..24];
        if !fits || page == 0 {
            break;
        }
        uncommitted.insert(page, at + FRAME_HEADER as u64);
        if number(&frame, 4) != 0 {
            logged.extend(uncommitted.drain());
        }
        at += frame.len() as u64;
    }
    Ok(logged)
}

/// Says whether there was enough left to read.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        other => other.map(|()| true),
    }
}

fn add_up(sums: [u32; 2], bytes: &[u8], read: fn([u8; 4]) -> u32) -> [u32; 2] {
    let [mut even, mut odd] = sums;
    for words in bytes.chunks_exact(8) {
        let word = |at: usize| read([words[at], words[at + 1], words[at + 2], words[at + 3]]);
        even = even.wrapping_add(word(0)).wrapping_add(odd);
        odd = odd.wrapping_add(word(4)).wrapping_add(even);
    }
    [even, odd]
}

/// The number at this place, as it stands everywhere but in the sums of a log.
pub(super) fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
