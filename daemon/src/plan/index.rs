//! Event filters turned round: for each entity and action, who wants it. A wildcard is
//! spelled out when the plan is made, so that an event is one look-up.

use std::sync::Arc;

use super::Planned;
use crate::event::{Action, Entity};

pub(super) struct Index {
    /// One list for each of the 27 pairs, in the order of the config.
    cells: Vec<Vec<Arc<Planned>>>,
}

impl Index {
    pub(super) fn new(subscriptions: &[Arc<Planned>]) -> Index {
        let pairs = Entity::ALL.into_iter().flat_map(|entity| Action::ALL.map(|action| (entity, action)));
        let cell = |(entity, action)| {
            let wanted = |planned: &&Arc<Planned>| {
                planned.meant.event_filters.iter().any(|filter| filter.matches(entity, action))
            };
            subscriptions.iter().filter(wanted).cloned().collect()
        };
        Index { cells: pairs.map(cell).collect() }
    }

    pub(super) fn matching(&self, entity: Entity, action: Action) -> &[Arc<Planned>] {
        &self.cells[entity as usize * Action::ALL.len() + action as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `matching` finds a cell by arithmetic, which holds while `ALL` is in declaration order.
    #[test]
    fn the_lists_of_all_words_are_in_declaration_order() {
        assert!(Entity::ALL.iter().enumerate().all(|(at, entity)| *entity as usize == at));
        assert!(Action::ALL.iter().enumerate().all(|(at, action)| *action as usize == at));
    }
}
