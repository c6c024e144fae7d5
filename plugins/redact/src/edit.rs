//! Walks to the values that rules are about and puts together what goes out: stretches of
//! the event's own text, and replacements between them. Nothing is written anew that no
//! rule is about, so numbers, escapes, spaces and repeated keys stay as they are.

use trackrelay_plugin::json::{Json, Kind};
use trackrelay_plugin::path::Segment;

use super::{Action, Redact};

/// A rule on its way to its values: what of its path still lies ahead.
#[derive(Clone, Copy)]
struct Ahead<'a> {
    segments: &'a [Segment],
    action: Action,
}

/// The event as it goes out, or none if no rule found anything.
pub(super) fn redacted(redact: &Redact, event: Json<'_>) -> Option<String> {
    let rules: Vec<_> = redact
        .rules
        .iter()
        .map(|rule| Ahead { segments: rule.path.segments(), action: rule.action })
        .collect();
    let mut edit = Edit { redact, whole: event, copied: 0, out: String::new() };
    edit.walk(event, &rules);
    (edit.copied > 0).then(|| edit.finish())
}

struct Edit<'a> {
    redact: &'a Redact,
    whole: Json<'a>,
    /// How much of the event is dealt with.
    copied: usize,
    out: String,
}

impl<'a> Edit<'a> {
    fn walk(&mut self, json: Json<'a>, rules: &[Ahead<'_>]) {
        match json.kind() {
            Kind::Object => {
                let members = json.members().map(|(key, value)| (key.span().start, key, value));
                self.elements(
                    members,
                    |segment, key: Json<'_>, _| match segment {
                        Segment::Name { text, .. } => key.is(text),
                        Segment::Every => true,
                    },
                    rules,
                );
            }
            Kind::Array => {
                let items = json.items().map(|item| (item.span().start, item, item));
                self.elements(
                    items,
                    |segment, _, at| match segment {
                        Segment::Name { index, .. } => *index == Some(at),
                        Segment::Every => true,
                    },
                    rules,
                );
            }
            _ => {}
        }
    }

    /// Goes through members or items, each with its start and its value.
    fn elements<'b>(
        &mut self,
        elements: impl Iterator<Item = (usize, Json<'a>, Json<'a>)>,
        leads_to: impl Fn(&Segment, Json<'_>, usize) -> bool,
        rules: &[Ahead<'b>],
    ) {
        let mut elements = elements.enumerate().peekable();
        // Where the last element that stays ends: what is dropped takes the comma before it
        // along, or the one after it if nothing stays before it.
        let mut kept = None;
        while let Some((at, (start, key, value))) = elements.next() {
            let here: Vec<_> = rules
                .iter()
                .filter(|rule| rule.segments.first().is_some_and(|segment| leads_to(segment, key, at)))
                .map(|rule| Ahead { segments: &rule.segments[1..], ..*rule })
                .collect();
            let end = value.span().end;
            let arrived = here.iter().filter(|rule| rule.segments.is_empty()).map(|rule| rule.action).min();
            match arrived {
                Some(Action::Drop) => {
                    let next = elements.peek().map_or(end, |(_, (next, ..))| *next);
                    match kept {
                        Some(kept) => self.replace(kept, end, ""),
                        None => self.replace(start, next, ""),
                    }
                    continue;
                }
                Some(action) => {
                    if let Some(replacement) = self.redact.replacement(action, value) {
                        self.replace(value.span().start, end, &replacement);
                    }
                }
                None if here.is_empty() => {}
                None => self.walk(value, &here),
            }
            kept = Some(end);
        }
    }

    /// Copies what stands before a stretch, and puts something in the place of the stretch.
    fn replace(&mut self, start: usize, end: usize, replacement: &str) {
        let start = start.max(self.copied);
        self.out.push_str(&self.whole.document()[self.copied..start]);
        self.out.push_str(replacement);
        self.copied = end;
    }

    fn finish(mut self) -> String {
        self.out.push_str(&self.whole.document()[self.copied..]);
        self.out
    }
}
