//! Rows that no tree leads to any more, since a page above them is broken: found page by
//! page, told apart by their columns.
//!
//! A page that the engine freed looks the same, and its rows were deleted or stand elsewhere
//! by now; so those that are on its list of free pages are left out. Where the list itself is
//! broken that cannot be known, and `copy.rs` has to doubt what is found.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use rusqlite::types::Value;

use super::leaf;
use super::pages::Pages;
use super::rows::Cells;

/// The tables that are searched for. The others can be made anew from these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plans,
    Subscriptions,
    Events,
    Decisions,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::Plans, Kind::Subscriptions, Kind::Events, Kind::Decisions];

    pub(super) fn table(self) -> &'static str {
        match self {
            Kind::Plans => "plans",
            Kind::Subscriptions => "subscriptions",
            Kind::Events => "events",
            Kind::Decisions => "decisions",
        }
    }

    /// A letter per column of `schema.sql`: the key, an integer, text, bytes; a capital one
    /// may be null. No other table looks like one of these.
    pub(super) fn columns(self) -> &'static str {
        match self {
            Kind::Plans => "kt",
            Kind::Subscriptions => "kTIit",
            Kind::Events => "kiiiiItItIiTiitb",
            Kind::Decisions => "kiiiiiTT",
        }
    }

    fn of(cells: &[Value]) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| {
            let columns = kind.columns();
            columns.len() == cells.len()
                && columns.chars().zip(cells).all(|(column, cell)| fits(column, cell))
        })
    }
}

fn fits(column: char, cell: &Value) -> bool {
    match cell {
        Value::Null => column == 'k' || column.is_ascii_uppercase(),
        Value::Integer(_) => column.eq_ignore_ascii_case(&'i'),
        Value::Text(_) => column.eq_ignore_ascii_case(&'t'),
        Value::Blob(_) => column == 'b',
        Value::Real(_) => false,
    }
}

pub(super) struct Strays {
    pages: Pages,
    /// None: the list of them is broken.
    free: Option<HashSet<u32>>,
    /// Every page with rows of one of the tables, with the first of their keys, in that order.
    found: Vec<(Kind, i64, u32)>,
}

impl Strays {
    /// Looks at every page of the file.
    pub(super) fn find(database: &Path) -> io::Result<Strays> {
        let pages = Pages::open(database)?;
        let free = pages.free();
        let mut strays = Strays { pages, free, found: Vec::new() };
        for number in 2..=strays.pages.count() {
            let first = strays.page(number).and_then(|page| strays.rows(&page).next());
            if let Some((kind, key, _)) = first {
                strays.found.push((kind, key, number));
            }
        }
        strays.found.sort_by_key(|(_, key, _)| *key);
        Ok(strays)
    }

    /// Whether pages that were freed could be left out.
    pub(super) fn knows_free(&self) -> bool {
        self.free.is_some()
    }

    /// Hands on the rows of a table wherever they stand, those with a tree above them too.
    pub(super) fn each(
        &self,
        kind: Kind,
        mut put: impl FnMut(i64, Cells) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let pages = self.found.iter().filter(|(found, ..)| *found == kind);
        for page in pages.filter_map(|(.., number)| self.page(*number)) {
            let rows = self.rows(&page).filter(|(found, ..)| *found == kind);
            for (_, key, mut cells) in rows {
                cells[0] = Value::Integer(key);
                put(key, cells)?;
            }
        }
        Ok(())
    }

    fn rows<'a>(&'a self, page: &'a [u8]) -> impl Iterator<Item = (Kind, i64, Cells)> + 'a {
        let rows = leaf::rows(page, |number| self.page(number));
        rows.filter_map(|row| Some((Kind::of(&row.cells)?, row.key, row.cells)))
    }

    /// A page that is in use, as far as that is known.
    fn page(&self, number: u32) -> Option<Vec<u8>> {
        let is_free = self.free.as_ref().is_some_and(|free| free.contains(&number));
        if is_free { None } else { self.pages.page(number) }
    }
}
