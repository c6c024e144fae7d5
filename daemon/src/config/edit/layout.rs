//! Where everything of a TOML file stands: headers, keys and values, each with its bytes.
//! What they mean is of no interest here; the text is known to be sound.

use std::borrow::Cow;
use std::iter::Peekable;
use std::ops::Range;

use toml_parser::Source;
use toml_parser::parser::{Event, EventKind, parse_document};

/// A file as a list of sections, in the order of the text.
pub(super) struct Layout<'t> {
    pub(super) text: &'t str,
    pub(super) sections: Vec<Section>,
}

/// A header and what stands below it. The first section of a file has none.
#[derive(Default)]
pub(super) struct Section {
    pub(super) header: Option<Header>,
    pub(super) entries: Vec<Entry>,
}

/// `[subscription.a]`, brackets included.
pub(super) struct Header {
    pub(super) at: Range<usize>,
    pub(super) path: Vec<Key>,
}

/// One part of a path.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) at: Range<usize>,
}

/// `a.b = 1`, in a section or in an inline table.
pub(super) struct Entry {
    pub(super) path: Vec<Key>,
    pub(super) value: Value,
}

pub(super) struct Value {
    pub(super) at: Range<usize>,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Scalar,
    List(Vec<Value>),
    Table(Vec<Entry>),
}

/// An entry with the whole path of its value.
pub(super) struct Spot<'l> {
    pub(super) path: Vec<&'l Key>,
    pub(super) entry: &'l Entry,
    /// The inline table it stands in.
    pub(super) within: Option<&'l Value>,
}

impl Entry {
    /// From its first key to the end of its value.
    pub(super) fn at(&self) -> Range<usize> {
        self.path.first().map_or(self.value.at.start, |key| key.at.start)..self.value.at.end
    }
}

impl Header {
    pub(super) fn leads_to(&self, path: &[&str]) -> bool {
        self.path.len() >= path.len() && agree(self.path.iter(), path)
    }
}

impl<'t> Layout<'t> {
    /// Of a text that has no syntax error.
    pub(super) fn of(text: &'t str) -> Layout<'t> {
        let source = Source::new(text);
        let tokens: Vec<_> = source.lex().collect();
        let mut events = Vec::new();
        let mut receive = |event: Event| match event.kind() {
            EventKind::Whitespace | EventKind::Comment | EventKind::Newline | EventKind::Error => {}
            _ => events.push(event),
        };
        parse_document(&tokens, &mut receive, &mut ());
        let mut reader = Reader { source, events: events.into_iter().peekable() };
        Layout { text, sections: reader.sections() }
    }

    /// Everything that stands on the way to `path` or below it.
    pub(super) fn along(&self, path: &[&str]) -> Vec<Spot<'_>> {
        let mut spots = Vec::new();
        for section in &self.sections {
            let above: Vec<&Key> = section.header.iter().flat_map(|header| &header.path).collect();
            if agree(above.iter().copied(), path) {
                gather(&section.entries, &above, None, path, &mut spots);
            }
        }
        spots
    }

    /// The section whose header is this path.
    pub(super) fn section(&self, path: &[&str]) -> Option<&Section> {
        let is = |header: &Header| header.path.len() == path.len() && header.leads_to(path);
        self.sections.iter().find(|section| section.header.as_ref().is_some_and(is))
    }

    /// Whether anything stands at this path or below it.
    pub(super) fn holds(&self, path: &[&str]) -> bool {
        let headers = self.sections.iter().filter_map(|section| section.header.as_ref());
        headers.into_iter().any(|header| header.leads_to(path))
            || self.along(path).iter().any(|spot| spot.path.len() >= path.len())
    }
}

/// Whether two paths are the same as far as both go.
fn agree<'k>(keys: impl Iterator<Item = &'k Key>, path: &[&str]) -> bool {
    keys.zip(path).all(|(key, name)| key.name == *name)
}

fn gather<'l>(
    entries: &'l [Entry],
    above: &[&'l Key],
    within: Option<&'l Value>,
    wanted: &[&str],
    spots: &mut Vec<Spot<'l>>,
) {
    for entry in entries {
        let path: Vec<&Key> = above.iter().copied().chain(&entry.path).collect();
        if !agree(path.iter().copied(), wanted) {
            continue;
        }
        spots.push(Spot { path: path.clone(), entry, within });
        if let Kind::Table(entries) = &entry.value.kind {
            gather(entries, &path, Some(&entry.value), wanted, spots);
        }
    }
}

struct Reader<'t, I: Iterator> {
    source: Source<'t>,
    events: Peekable<I>,
}

impl<I: Iterator<Item = Event>> Reader<'_, I> {
    fn sections(&mut self) -> Vec<Section> {
        let mut sections = vec![Section { header: None, entries: self.entries() }];
        while let Some(open) = self.events.next() {
            let path = self.path();
            // The closing bracket.
            let end = self.events.next().unwrap_or(open).span().end();
            let header = Some(Header { at: open.span().start()..end, path });
            sections.push(Section { header, entries: self.entries() });
        }
        sections
    }

    fn entries(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        loop {
            match self.events.peek().map(Event::kind) {
                Some(EventKind::SimpleKey) => {
                    let path = self.path();
                    entries.extend(self.value().map(|value| Entry { path, value }));
                }
                Some(EventKind::ValueSep) => drop(self.events.next()),
                _ => return entries,
            }
        }
    }

    /// The keys up to a value or to the end of a header.
    fn path(&mut self) -> Vec<Key> {
        use EventKind::{KeySep, KeyValSep, SimpleKey};
        let mut path = Vec::new();
        while let Some(event) =
            self.events.next_if(|event| matches!(event.kind(), SimpleKey | KeySep | KeyValSep))
        {
            if event.kind() == SimpleKey {
                path.push(Key { name: self.name(&event), at: event.span().start()..event.span().end() });
            }
        }
        path
    }

    fn value(&mut self) -> Option<Value> {
        let open = self.events.next()?;
        let kind = match open.kind() {
            EventKind::ArrayOpen => Kind::List(self.list()),
            EventKind::InlineTableOpen => Kind::Table(self.entries()),
            _ => Kind::Scalar,
        };
        let close = if matches!(kind, Kind::Scalar) { open } else { self.events.next()? };
        Some(Value { at: open.span().start()..close.span().end(), kind })
    }

    fn list(&mut self) -> Vec<Value> {
        let mut values = Vec::new();
        loop {
            match self.events.peek().map(Event::kind) {
                Some(EventKind::ArrayClose) | None => return values,
                Some(EventKind::ValueSep) => drop(self.events.next()),
                Some(_) => values.extend(self.value()),
            }
        }
    }

    /// A key as meant, without its quotes.
    fn name(&self, event: &Event) -> String {
        let mut name = Cow::Borrowed("");
        if let Some(raw) = self.source.get(event) {
            raw.decode_key(&mut name, &mut ());
        }
        name.into_owned()
    }
}
