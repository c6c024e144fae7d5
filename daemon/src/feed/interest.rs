//! Which news a listener wants. Pure.

use std::collections::BTreeSet;

use super::News;
use crate::config::problem::did_you_mean;
use crate::delivery::Outcome;
use crate::event::{Action, Entity};

/// What is asked for; nothing of a kind asked for is everything of that kind. News that has no
/// such thing, as a reload has no entity, is left out by asking for one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interest {
    pub subscriptions: BTreeSet<String>,
    entities: BTreeSet<&'static str>,
    actions: BTreeSet<&'static str>,
    outcomes: BTreeSet<&'static str>,
}

impl Interest {
    /// Asks for a word of a kind: `entity`, `action`, `outcome`, or any `subscription`. For
    /// people: which there are.
    pub fn add(&mut self, kind: &str, word: &str) -> Result<(), String> {
        let of = match kind {
            "entity" => &mut self.entities,
            "action" => &mut self.actions,
            "outcome" => &mut self.outcomes,
            _ => {
                self.subscriptions.insert(word.to_owned());
                return Ok(());
            }
        };
        let known = words(kind);
        match known.iter().find(|known| **known == word) {
            Some(word) => of.insert(word),
            None => return Err(no_word(kind, word, &known)),
        };
        Ok(())
    }

    pub fn wants(&self, news: &News) -> bool {
        let about = news.about();
        any(&self.entities, about.map(|about| &*about.entity))
            && any(&self.actions, about.map(|about| &*about.action))
            && any(&self.outcomes, news.outcome().map(Outcome::as_str))
            && (self.subscriptions.is_empty()
                || news.subscriptions().iter().any(|name| self.subscriptions.contains(name)))
    }

    /// Decisions of event filters have to be worked out: that is done for who asks for them.
    pub fn wants_unmatched(&self) -> bool {
        self.outcomes.contains(Outcome::SkippedFilter.as_str())
    }
}

/// The words that there are of a kind.
fn words(kind: &str) -> Vec<&'static str> {
    match kind {
        "entity" => Entity::ALL.map(Entity::as_str).to_vec(),
        "action" => Action::ALL.map(Action::as_str).to_vec(),
        _ => Outcome::ALL.map(Outcome::as_str).to_vec(),
    }
}

fn no_word(kind: &str, word: &str, known: &[&str]) -> String {
    match did_you_mean(word, known.iter().copied()) {
        Some(near) => format!("no {kind} `{word}`, did you mean `{near}`?"),
        None => format!("no {kind} `{word}`; there are {}", known.join(", ")),
    }
}

fn any(asked: &BTreeSet<&'static str>, word: Option<&str>) -> bool {
    asked.is_empty() || word.is_some_and(|word| asked.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventId;
    use crate::feed::{About, Arrived, Decided, Loaded};

    fn asked(words: &[(&str, &str)]) -> Interest {
        let mut interest = Interest::default();
        for (kind, word) in words {
            interest.add(kind, word).unwrap();
        }
        interest
    }

    #[test]
    fn each_kind_narrows_and_words_of_a_kind_add_up() {
        let about = || About { event_id: EventId(1), entity: "tag".into(), action: "created".into() };
        let decision = News::Decision(Decided {
            about: about(),
            subscription: "slack".into(),
            outcome: Outcome::SkippedPlugin,
            reason: None,
            replay: false,
            tried: None,
            made: None,
        });
        let event = News::Event(Arrived {
            about: about(),
            source: "events".into(),
            duplicate: false,
            subscriptions: vec!["plain".into(), "slack".into()],
            plan: 1,
            seen: None,
        });
        let (state, none) = ("ok".into(), Vec::new);
        let reload =
            News::Reload(Loaded { state, changes: none(), restart_needed: none(), problems: none() });
        type Words = &'static [(&'static str, &'static str)];
        let table: [(Words, bool, bool, bool); 7] = [
            (&[], true, true, true),
            (&[("subscription", "slack")], true, true, false),
            (&[("subscription", "plain")], false, true, false),
            (&[("entity", "project"), ("entity", "tag")], true, true, false),
            (&[("entity", "tag"), ("action", "deleted")], false, false, false),
            (&[("outcome", "skipped_plugin")], true, false, false),
            (&[("outcome", "delivered"), ("subscription", "slack")], false, false, false),
        ];
        for (words, of_decision, of_event, of_reload) in table {
            let interest = asked(words);
            assert_eq!(interest.wants(&decision), of_decision, "{words:?}");
            assert_eq!(interest.wants(&event), of_event, "{words:?}");
            assert_eq!(interest.wants(&reload), of_reload, "{words:?}");
        }
    }

    #[test]
    fn words_that_are_not_there_are_refused_with_those_that_are() {
        let refused = |kind, word| Interest::default().add(kind, word).unwrap_err();
        assert_eq!(refused("action", "change"), "no action `change`; there are created, updated, deleted");
        assert_eq!(refused("entity", "time_entri"), "no entity `time_entri`, did you mean `time_entry`?");
        assert!(asked(&[("outcome", "skipped_filter")]).wants_unmatched());
        assert!(!asked(&[]).wants_unmatched());
    }
}
