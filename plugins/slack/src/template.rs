//! Templates: text with `{path}` for a field of the event, `{{` and `}}` for braces.

use trackrelay_plugin::json::{Json, Kind};
use trackrelay_plugin::path::Path;

use super::escape;

pub(super) struct Template(Vec<Piece>);

enum Piece {
    /// Meant for Slack as it stands: `<!here>` and `*bold*` work.
    Text(String),
    Field(Path),
}

impl Template {
    pub(super) fn parse(template: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                text.push_str(brace);
                rest = after;
                continue;
            }
            let Some((path, after)) = after.split_once('}').filter(|_| brace == "{") else {
                return Err(format!("`template` has a lone `{brace}`; write `{brace}{brace}` for a brace"));
            };
            pieces.push(Piece::Text(std::mem::take(&mut text)));
            pieces.push(Piece::Field(field(path.trim())?));
            rest = after;
        }
        text.push_str(rest);
        pieces.push(Piece::Text(text));
        Ok(Template(pieces))
    }

    pub(super) fn fill(&self, event: Json<'_>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field(path) => write(event.at(path), &mut out),
            }
        }
        out
    }
}

/// Appends a value: text as it is, lists of text with commas, nothing for a missing value or
/// null, anything else as JSON.
pub(super) fn write(value: Option<Json<'_>>, out: &mut String) {
    let Some(value) = value else { return };
    match value.kind() {
        Kind::Null => {}
        Kind::String => escape(&value.as_str().unwrap_or_default(), out),
        Kind::Array => {
            for (at, item) in value.items().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                escape(&item.as_str().unwrap_or_else(|| item.text().into()), out);
            }
        }
        Kind::Bool | Kind::Number | Kind::Object => escape(value.text(), out),
    }
}

fn field(path: &str) -> Result<Path, String> {
    let path = Path::parse(path).map_err(|error| format!("`template`: {error}"))?;
    if path.is_wild() {
        return Err(format!("`template`: `{path}` holds `*`, but a field is one value"));
    }
    Ok(path)
}
