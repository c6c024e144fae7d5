//! Sources: where Track delivers, each with the secret of its subscription there.

use super::{Notes, Pen, World, Written, in_order, secrets};
use crate::config::Source;
use crate::config::file::{self, At};
use crate::config::problem::Flaw;

/// What events of `POST /events` are counted under.
const TAKEN: &str = "events";

/// In the order of the file; only the main one has any.
pub(super) fn sources(files: &[Written], world: &World, notes: &mut Notes) -> Vec<Source> {
    let mut sources = Vec::new();
    for written in files.iter().filter(|written| written.sound) {
        for (name, table) in in_order(&written.file.source) {
            let table_path = vec!["source".to_owned(), name.value.clone()];
            let pen = &mut Pen { written, notes: &mut *notes, table: table_path, world };
            sources.extend(source(pen, name, table));
        }
    }
    sources
}

/// Nothing without a secret, which was said before or is said here.
fn source(pen: &mut Pen<'_>, name: &At<String>, table: &file::Source) -> Option<Source> {
    check_name(pen, name);
    let secret = secrets::secret(pen, "secret", &table.secret)?;
    let at = table.secret.get()?;
    if secret.reveal().trim() != secret.reveal() {
        let message = format!("{} begins or ends with white space", pen.key("secret"));
        let hint = "it is part of the secret as it stands; if Track's has none, no signature will match";
        pen.warn(Flaw::new(at.span.clone(), message).hint(hint));
    }
    Some(Source { name: name.value.clone(), secret })
}

/// What else is wrong with a name is said of all names alike.
fn check_name(pen: &mut Pen<'_>, name: &At<String>) {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let strange = |c: char| !fits(c) && !c.is_control();
    if name.value == TAKEN {
        let message = format!("a source cannot be named `{TAKEN}`");
        let hint = "metrics count what comes to `POST /events` under that name";
        pen.flaw(Flaw::new(name.span.clone(), message).hint(hint));
    } else if !name.value.trim().is_empty() && name.value.contains(strange) {
        let message = format!("the name of the source `{}` cannot stand in a URL", name.value);
        let hint = "use letters a to z, digits, `-` and `_`: Track delivers to `/track/NAME`";
        pen.flaw(Flaw::new(name.span.clone(), message).hint(hint));
    }
}
