//! The filters of many parts, asked all at once. Eight of one size stand side by side, as
//! bits of the same bytes: where one of them would be looked at, all eight are, in the same
//! page of memory. Without that, what a question costs grows with every part of the history.

use std::collections::VecDeque;

use super::{Filter, probes};

const SIDE_BY_SIDE: usize = 8;

/// Filters from the oldest to the latest.
#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Filters {
    stands: VecDeque<Stand>,
    /// Of the first stand, so many of the oldest are asked no more.
    gone: usize,
    /// With those that are gone.
    count: usize,
}

#[derive(Debug)]
enum Stand {
    One(Filter),
    /// A byte for each bit of a filter; its lowest bit belongs to the oldest.
    Eight(Box<[u8]>),
}

impl Filters {
    pub(in crate::store::sqlite) fn push(&mut self, latest: Filter) {
        let size = latest.words.len();
        self.stands.push_back(Stand::One(latest));
        self.count += 1;
        let alike = self.stands.iter().rev().map_while(Stand::one).take_while(|one| one.words.len() == size);
        if alike.take(SIDE_BY_SIDE).count() == SIDE_BY_SIDE {
            let first = self.stands.len() - SIDE_BY_SIDE;
            let eight = side_by_side(self.stands.iter().skip(first).filter_map(Stand::one));
            self.stands.truncate(first);
            self.stands.push_back(Stand::Eight(eight));
        }
    }

    pub(in crate::store::sqlite) fn pop_oldest(&mut self) {
        self.gone += 1;
        if let Some(first) = self.stands.front()
            && first.len() <= self.gone
        {
            self.count -= first.len();
            self.gone = 0;
            self.stands.pop_front();
        }
    }

    /// The places, counted from the oldest, of those that may hold a key; the latest first.
    pub(in crate::store::sqlite) fn holding(&self, key: u64) -> impl Iterator<Item = usize> {
        let stands = self.stands.iter().rev().scan(self.count, move |first, stand| {
            *first -= stand.len();
            Some((*first, stand.holding(key)))
        });
        let places = stands.filter(|(_, held)| *held != 0).flat_map(|(first, held)| {
            (0..SIDE_BY_SIDE)
                .rev()
                .filter(move |place| held >> place & 1 == 1)
                .map(move |place| first + place)
        });
        places.filter_map(|place| place.checked_sub(self.gone))
    }
}

impl Stand {
    fn len(&self) -> usize {
        if let Stand::One(_) = self { 1 } else { SIDE_BY_SIDE }
    }

    fn one(&self) -> Option<&Filter> {
        if let Stand::One(filter) = self { Some(filter) } else { None }
    }

    /// A bit for each filter of the stand.
    fn holding(&self, key: u64) -> u8 {
        match self {
            Stand::One(filter) => u8::from(filter.may_hold(key)),
            Stand::Eight(bytes) => probes(key, bytes.len()).fold(u8::MAX, |held, bit| held & bytes[bit]),
        }
    }
}

fn side_by_side<'a>(filters: impl Iterator<Item = &'a Filter> + Clone) -> Box<[u8]> {
    let words = filters.clone().next().map_or(0, |filter| filter.words.len());
    let mut bytes = Vec::with_capacity(words * 64);
    for word in 0..words {
        let mut rows = [[0; SIDE_BY_SIDE]; 8];
        for (place, filter) in filters.clone().enumerate() {
            let row = filter.words[word].to_le_bytes();
            (0..8).for_each(|at| rows[at][place] = row[at]);
        }
        bytes.extend(rows.into_iter().flat_map(turned));
    }
    bytes.into_boxed_slice()
}

/// Eight rows of eight bits as eight columns: in blocks of 1, then 2, then 4 bits, those above
/// the diagonal change places with those below.
fn turned(rows: [u8; 8]) -> [u8; 8] {
    let blocks = [(7, 0x00AA_00AA_00AA_00AA), (14, 0x0000_CCCC_0000_CCCC), (28, 0x0000_0000_F0F0_F0F0)];
    let turned = blocks.into_iter().fold(u64::from_le_bytes(rows), |bits, (apart, below)| {
        let unlike = (bits ^ bits >> apart) & below;
        bits ^ unlike ^ unlike << apart
    });
    turned.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::splitmix::mix;

    #[test]
    fn rows_become_columns() {
        let rows = std::array::from_fn(|row| mix(row as u64) as u8);
        let columns = turned(rows);
        for (row, column) in (0..8).flat_map(|row| (0..8).map(move |column| (row, column))) {
            assert_eq!(columns[column] >> row & 1, rows[row] >> column & 1, "{row}, {column}");
        }
    }

    /// The keys of the filter of a part.
    fn keys(part: u64) -> impl Iterator<Item = u64> {
        (0..50).map(move |key| mix(part * 50 + key))
    }

    proptest! {
        /// What is asked of many together is what each would say for itself.
        #[test]
        fn together_they_say_what_each_says(
            rooms in prop::collection::vec(prop::sample::select(vec![50, 50, 50, 50, 50, 50, 50, 50, 50, 400]), 0..60),
            pruned in 0_usize..60,
        ) {
            let mut filters = Filters::default();
            let mut each = Vec::new();
            for (part, room) in (0..).zip(&rooms) {
                filters.push(Filter::of(keys(part), *room));
                each.push(Filter::of(keys(part), *room));
            }
            let pruned = pruned.min(each.len());
            (0..pruned).for_each(|_| filters.pop_oldest());
            each.drain(..pruned);
            for key in (0..rooms.len() as u64 + 40).flat_map(keys) {
                let alone: Vec<usize> =
                    each.iter().enumerate().rev().filter(|(_, it)| it.may_hold(key)).map(|(at, _)| at).collect();
                prop_assert_eq!(filters.holding(key).collect::<Vec<_>>(), alone);
            }
            filters.push(Filter::of(keys(0), 50));
            prop_assert_eq!(filters.holding(mix(0)).next(), Some(each.len()));
        }
    }
}
