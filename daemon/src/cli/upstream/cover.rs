//! Which event filters one subscription at Track needs so that a set of kinds of events
//! comes. Pure.

use crate::config::EventFilter;
use crate::event::{Action, Entity};

/// Nearly all that happens in Track is time entries: bringing one kind of them in vain is
/// worse than bringing every kind of everything else.
const TIME_ENTRY: u32 = 25;

/// A set of kinds of events, such as `tag.created`: one bit for each of the 27.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u32);

impl Kinds {
    pub fn of(filter: &EventFilter) -> Kinds {
        let matching = all().filter(|(_, (entity, action))| filter.matches(*entity, *action));
        Kinds(matching.map(|(bit, _)| 1 << bit).sum())
    }

    pub fn of_all<'a>(filters: impl IntoIterator<Item = &'a EventFilter>) -> Kinds {
        filters.into_iter().fold(Kinds::default(), |all, filter| all.with(Kinds::of(filter)))
    }

    pub fn with(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    pub fn without(self, other: Kinds) -> Kinds {
        Kinds(self.0 & !other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether some kinds are in both.
    pub fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }

    /// Each as the filter that means it alone.
    pub fn each(self) -> impl Iterator<Item = EventFilter> {
        let in_it = all().filter(move |(bit, _)| self.0 >> bit & 1 == 1);
        in_it.map(|(_, (entity, action))| EventFilter { entity: Some(entity), action: Some(action) })
    }

    fn weight(self) -> u32 {
        let weight = |kind: EventFilter| if kind.entity == Some(Entity::TimeEntry) { TIME_ENTRY } else { 1 };
        self.each().map(weight).sum()
    }
}

/// Filters, at most `most`, that bring all that is needed: with the least else, and of such
/// the fewest. Without a bound nothing else comes along. `most` is 1 or more.
pub fn cover(needed: Kinds, most: usize) -> Vec<EventFilter> {
    let wildcards = wildcards();
    let brings: Vec<Kinds> = wildcards.iter().map(Kinds::of).collect();
    // Of 13 wildcards there are few enough choices to look at all; what they leave is each
    // a filter of its own.
    let choices = (0_u32..1 << brings.len()).map(|choice| {
        let brought = chosen(choice, &brings).fold(Kinds::default(), |all, kinds| all.with(*kinds));
        let entries = choice.count_ones() + needed.without(brought).0.count_ones();
        (brought.without(needed).weight(), entries, choice.count_ones(), choice)
    });
    let fitting = choices.filter(|(_, entries, ..)| *entries as usize <= most);
    let choice = fitting.min().map_or(0, |(.., choice)| choice);
    let mut filters: Vec<EventFilter> = chosen(choice, &wildcards).copied().collect();
    filters.extend(needed.without(Kinds::of_all(&filters)).each());
    filters
}

/// Those whose bit is set.
fn chosen<T>(choice: u32, among: &[T]) -> impl Iterator<Item = &T> {
    among.iter().enumerate().filter(move |(bit, _)| choice >> bit & 1 == 1).map(|(_, one)| one)
}

/// Filters with a `*` in them: an entity's, an action's, and all of everything.
fn wildcards() -> Vec<EventFilter> {
    let entities = Entity::ALL.map(|entity| EventFilter { entity: Some(entity), action: None });
    let actions = Action::ALL.map(|action| EventFilter { entity: None, action: Some(action) });
    let everything = EventFilter { entity: None, action: None };
    [&entities[..], &actions, &[everything]].concat()
}

/// The 27 kinds, numbered.
fn all() -> impl Iterator<Item = (usize, (Entity, Action))> {
    Entity::ALL.into_iter().flat_map(|entity| Action::ALL.map(|action| (entity, action))).enumerate()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filters(texts: &[&str]) -> Vec<EventFilter> {
        let word = |text: &str| Some(text.to_owned()).filter(|text| text != "*");
        let filter = |text: &&str| {
            let (entity, action) = text.split_once('.').unwrap();
            let (entity, action) = (word(entity), word(action));
            EventFilter {
                entity: entity.map(|word| word.parse().unwrap()),
                action: action.map(|word| word.parse().unwrap()),
            }
        };
        texts.iter().map(filter).collect()
    }

    fn said(needed: &[&str], most: usize) -> String {
        let filters = cover(Kinds::of_all(&filters(needed)), most);
        filters.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_people_subscribe_to_is_covered_as_they_would() {
        let any = usize::MAX;
        for (needed, most, wanted) in [
            (&[][..], any, ""),
            (&["tag.created"], any, "tag.created"),
            (&["tag.created", "tag.*"], any, "tag.*"),
            (&["tag.created", "tag.updated", "tag.deleted"], any, "tag.*"),
            (&["tag.created", "tag.updated"], any, "tag.created tag.updated"),
            (&["tag.created", "tag.updated"], 1, "tag.*"),
            (&["*.created", "tag.created", "task.deleted"], any, "*.created task.deleted"),
            (&["*.*", "tag.created"], any, "*.*"),
            (&["*.created", "*.updated", "*.deleted"], any, "*.*"),
            (&["*.created", "tag.updated", "tag.deleted"], any, "tag.* *.created"),
            (&["time_entry.created", "time_entry.updated", "time_entry.deleted"], 3, "time_entry.*"),
            (&["time_entry.created", "tag.created"], 1, "*.created"),
            (
                &["client.created", "project.created", "tag.created", "time_entry.updated"],
                3,
                "*.created time_entry.updated",
            ),
        ] {
            assert_eq!(said(needed, most), wanted, "{needed:?} in {most}");
        }
    }

    /// Every set of filters that touch these entities, by the words of the promise.
    fn brute(needed: Kinds, most: usize, entities: &[Entity]) -> (u32, usize) {
        let candidates: Vec<Kinds> = wildcards()
            .into_iter()
            .filter(|filter| filter.entity.is_none_or(|entity| entities.contains(&entity)))
            .chain(needed.each())
            .map(|filter| Kinds::of(&filter))
            .collect();
        let sets = (0_u32..1 << candidates.len()).filter(|set| set.count_ones() as usize <= most);
        let covers = sets.filter_map(|set| {
            let brought = chosen(set, &candidates).fold(Kinds::default(), |all, kinds| all.with(*kinds));
            let covers = needed.without(brought).is_empty();
            covers.then(|| (brought.without(needed).weight(), set.count_ones() as usize))
        });
        covers.min().expect("`*.*` is one of them")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Three entities of the nine keep the sets few enough to try all.
        #[test]
        fn nobody_finds_a_better_cover(
            entities in prop::sample::subsequence(Entity::ALL.to_vec(), 3),
            wanted in prop::collection::vec(any::<bool>(), 9),
            most in 1_usize..12,
        ) {
            let of_these = all().filter(|(_, (entity, _))| entities.contains(entity));
            let bits = of_these.zip(&wanted).filter(|(_, wanted)| **wanted).map(|((bit, _), _)| 1 << bit);
            let needed = Kinds(bits.sum());
            let found = cover(needed, most);
            let brought = Kinds::of_all(&found);
            prop_assert!(needed.without(brought).is_empty());
            prop_assert!(found.len() <= most);
            prop_assert_eq!((brought.without(needed).weight(), found.len()), brute(needed, most, &entities));
        }

        #[test]
        fn without_a_bound_nothing_comes_along(bits in 0_u32..1 << 27) {
            let found = cover(Kinds(bits), usize::MAX);
            prop_assert_eq!(Kinds::of_all(&found), Kinds(bits));
        }
    }
}
