//! A Bloom filter that looks at one cache line per question. Its bytes are stored, so its
//! arithmetic must not change. Many of them are asked together in `filter/row.rs`.

pub(super) use row::Filters;

mod row;

/// One cache line.
const BLOCK_BITS: u64 = 512;
const WORDS: usize = 8;

/// With six of its bits asked, about one in 600 strangers is let through.
const BITS_PER_KEY: usize = 16;
const PROBES: u32 = 6;

#[derive(Debug)]
pub(super) struct Filter {
    words: Box<[u64]>,
}

impl Filter {
    /// Keys must be well mixed already; see `splitmix`. Those with room for as many keys are
    /// of one size.
    pub(super) fn of(keys: impl Iterator<Item = u64>, room: usize) -> Filter {
        let blocks = (room * BITS_PER_KEY).div_ceil(BLOCK_BITS as usize).max(1);
        let mut filter = Filter { words: vec![0; blocks * WORDS].into_boxed_slice() };
        for key in keys {
            for bit in probes(key, filter.bits()) {
                filter.words[bit / 64] |= 1 << (bit % 64);
            }
        }
        filter
    }

    /// `false` is certain. All bits are looked at, though the first may tell: without a
    /// branch between them the processor fetches the lines of many filters at once.
    fn may_hold(&self, key: u64) -> bool {
        probes(key, self.bits()).fold(true, |held, bit| held & (self.words[bit / 64] >> (bit % 64) & 1 == 1))
    }

    fn bits(&self) -> usize {
        self.words.len() * 64
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// `None` if these are not the bytes of a filter.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Filter> {
        let (chunks, rest) = bytes.as_chunks::<8>();
        let whole = rest.is_empty() && !chunks.is_empty() && chunks.len().is_multiple_of(WORDS);
        whole.then(|| Filter { words: chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect() })
    }
}

/// Which bits of a filter say whether it may hold a key: the upper half of the key picks the
/// block, the lower 54 bits the bits in it. The few that serve twice do no harm.
fn probes(key: u64, bits: usize) -> impl Iterator<Item = usize> {
    let blocks = bits as u64 / BLOCK_BITS;
    let block = ((key >> 32) * blocks) >> 32;
    (0..PROBES).map(move |probe| (block * BLOCK_BITS + (key >> (9 * probe)) % BLOCK_BITS) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splitmix::mix;

    #[test]
    fn knows_its_own_and_few_others() {
        let filter = Filter::of((0..100_000).map(mix), 100_000);
        assert!((0..100_000).all(|n| filter.may_hold(mix(n))));
        let strangers = (100_000..200_000).filter(|n| filter.may_hold(mix(*n))).count();
        assert!(strangers < 400, "{strangers} of 100000 strangers were let through");
    }

    #[test]
    fn survives_being_stored() {
        let filter = Filter::of((0..1000).map(mix), 1000);
        let again = Filter::from_bytes(&filter.to_bytes()).expect("its own bytes");
        assert_eq!(again.words, filter.words);
        assert!(Filter::from_bytes(&[1, 2, 3]).is_none());
        assert!(Filter::from_bytes(&[]).is_none());
    }

    #[test]
    fn is_stored_the_same_way_for_ever() {
        let bytes = Filter::of([mix(1), mix(2)].into_iter(), 2).to_bytes();
        let set: Vec<(usize, u8)> = bytes.into_iter().enumerate().filter(|(_, byte)| *byte != 0).collect();
        let expected = [(8, 1), (10, 2), (24, 2), (25, 64), (27, 64), (36, 32), (37, 64), (43, 32)];
        assert_eq!(set, [&expected[..], &[(50, 2), (53, 8), (56, 8)]].concat());
    }
}
