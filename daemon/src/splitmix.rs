//! SplitMix64's finalizer: spreads a key evenly over 64 bits. Not for secrets.

/// Its results are stored and written down (`store` keys its index by them, a `seed` of
/// `faults` promises a course), so they stay for ever.
pub fn mix(key: u64) -> u64 {
    let key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generator's published course from seed 0: the state grows by a constant, and each
    /// number is the state before, mixed.
    #[test]
    fn is_the_published_one() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }
}
