//! Chance that can be had again: the same seed gives the same throws.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A sequence of throws (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Whatever is different is a different sequence.
    pub fn of(seed: impl Hash) -> Dice {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        Dice(hasher.finish())
    }

    /// 0 to `end` - 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}
