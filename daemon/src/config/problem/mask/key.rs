//! Keys as TOML writes them, bare, quoted and dotted, found in text that may be no TOML.

/// A dotted key, quotes taken off.
pub(super) type Path = Vec<String>;

/// Reads a dotted key, if the text is nothing else.
pub(super) fn path(text: &str) -> Option<Path> {
    let mut path = Path::new();
    let mut rest = text;
    loop {
        let (key, after) = key(rest)?;
        path.push(key.to_owned());
        match after.strip_prefix('.') {
            Some(after) => rest = after,
            None => return after.is_empty().then_some(path),
        }
    }
}

/// The key that the text begins with, and where its value begins. A bare secret may end in
/// `=` as well, in one with nothing after it.
pub(super) fn entry(text: &str) -> Option<(&str, usize)> {
    let (key, after) = key(text)?;
    let value = after.strip_prefix('=')?.trim_start_matches([' ', '\t']);
    let is_value = !value.starts_with(['=', ',', '}', '\r', '\n']) && !value.is_empty();
    is_value.then(|| (key, text.len() - value.len()))
}

/// The key that the text begins with, and what follows it.
fn key(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let (key, rest) = match text.chars().next()? {
        quote @ ('"' | '\'') => text[1..].split_once(quote)?,
        _ => {
            let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            text.split_at(text.find(|c| !bare(c)).unwrap_or(text.len()))
        }
    };
    (!key.is_empty()).then(|| (key, rest.trim_start_matches([' ', '\t'])))
}
