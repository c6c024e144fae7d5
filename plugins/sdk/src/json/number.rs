//! Numbers, compared without losing a digit where that matters: ids are above 2^53.

use std::cmp::Ordering;

/// A number as it is written.
#[derive(Clone, Copy, Debug)]
pub struct Number<'a>(&'a str);

impl<'a> Number<'a> {
    pub(super) fn new(text: &'a str) -> Number<'a> {
        Number(text)
    }

    /// Its value, if it is written as an integer of up to 38 digits.
    pub fn as_integer(self) -> Option<i128> {
        self.0.parse().ok()
    }

    /// The nearest number that a float can hold.
    pub fn as_float(self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }

    /// Compares by value: integers exactly, an integer and a fraction as mathematics does
    /// (1 equals 1.0, but 9007199254740993 does not equal 9007199254740992.0), fractions as
    /// floats.
    pub fn compare(self, other: Number<'_>) -> Option<Ordering> {
        match (self.as_integer(), other.as_integer()) {
            (Some(one), Some(two)) => Some(one.cmp(&two)),
            (Some(one), None) => integer_and_float(one, other.as_float()),
            (None, Some(two)) => integer_and_float(two, self.as_float()).map(Ordering::reverse),
            (None, None) => self.as_float().partial_cmp(&other.as_float()),
        }
    }
}

fn integer_and_float(integer: i128, float: f64) -> Option<Ordering> {
    // Beyond this every float is larger, or smaller, than every i128.
    const EDGE: f64 = 1.7e38;
    if !(-EDGE..=EDGE).contains(&float) {
        return 0.0.partial_cmp(&float);
    }
    let whole = float.trunc();
    #[expect(clippy::cast_possible_truncation, reason = "a whole number within the range of i128")]
    let by_whole = integer.cmp(&(whole as i128));
    Some(by_whole.then(whole.total_cmp(&float)))
}
