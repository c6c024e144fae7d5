//! What the windows of all subscriptions together may take of memory. Who keeps up with
//! its deliveries always finds room; long queues share the rest.

use std::ops::Range;

use super::Entry;

/// Windows smaller than this never have to shrink and may use the last half of the bytes.
const SHORT: usize = 16;

/// What an entry takes beside its body, about.
const OVERHEAD: usize = 256;

#[derive(Debug)]
pub(in crate::store) struct Budget {
    window: Range<usize>,
    most_entries: usize,
    most_bytes: usize,
    entries: usize,
    bytes: usize,
}

impl Budget {
    /// `window`: entries of one subscription, from where on to read more and where to stop.
    /// `bytes`: bodies of all subscriptions. The entries take about twice as much again.
    pub(in crate::store) fn new(window: Range<usize>, bytes: usize) -> Budget {
        Budget { window, most_entries: 2 * bytes / OVERHEAD, most_bytes: bytes, entries: 0, bytes: 0 }
    }

    /// How many entries one subscription may have in memory now.
    pub(super) fn window(&self) -> usize {
        if self.entries <= self.most_entries { self.window.end } else { SHORT.min(self.window.end) }
    }

    /// With fewer entries than this, more are read.
    pub(super) fn low_water(&self) -> usize {
        self.window.start.min(self.window().div_ceil(2))
    }

    /// Counts an entry that joins `others`, and takes its body away if it has no room.
    pub(super) fn take(&mut self, entry: &mut Entry, others: usize) {
        self.entries += 1;
        let bytes = self.bytes + body_bytes(entry);
        let room = if others < SHORT { self.most_bytes } else { self.most_bytes / 2 };
        if bytes <= room {
            self.bytes = bytes;
        } else {
            entry.event = None;
        }
    }

    pub(super) fn give_back(&mut self, entry: &Entry) {
        self.entries -= 1;
        self.bytes -= body_bytes(entry);
    }

    /// There is room for the bodies of a page.
    pub(in crate::store) fn has_room(&self) -> bool {
        self.bytes < self.most_bytes / 2
    }

    #[cfg(test)]
    pub(in crate::store) fn in_use(&self) -> (usize, usize) {
        (self.entries, self.bytes)
    }
}

fn body_bytes(entry: &Entry) -> usize {
    entry.event.as_ref().map_or(0, |event| event.received.len() + OVERHEAD)
}
