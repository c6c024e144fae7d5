//! The transform `redact`: drops, hashes and masks fields. All other bytes of the event stay
//! as they were; how is `edit.rs`.

use sha2::{Digest, Sha256};
use trackrelay_plugin::json::{Json, Kind};
use trackrelay_plugin::path::Path;
use trackrelay_plugin::{Event, Outcome, Transform, json_message};

mod edit;

/// Takes the place of a masked value.
const MASK: &str = "\"***\"";

struct Redact {
    rules: Vec<Rule>,
    salt: String,
}

struct Rule {
    path: Path,
    action: Action,
}

/// What happens to a field. Of several for one value the first in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Drop,
    Mask,
    Hash,
}

impl Transform for Redact {
    fn configure(config: &str) -> Result<Self, String> {
        let config = Json::parse(config).map_err(|error| error.to_string())?;
        let mut redact = Redact { rules: Vec::new(), salt: String::new() };
        for (key, value) in config.members() {
            match key.as_str().unwrap_or_default().as_ref() {
                "drop" => redact.add(Action::Drop, "drop", value)?,
                "mask" => redact.add(Action::Mask, "mask", value)?,
                "hash" => redact.add(Action::Hash, "hash", value)?,
                "salt" => redact.salt = value.as_str().ok_or("`salt` must be text")?.into_owned(),
                unknown => return Err(format!("unknown key `{unknown}`; there are drop, mask, hash, salt")),
            }
        }
        if redact.rules.is_empty() {
            return Err("nothing to redact; write for example `drop = [\"payload.description\"]`".into());
        }
        if redact.salt.is_empty() && redact.rules.iter().any(|rule| rule.action == Action::Hash) {
            return Err("`hash` needs a `salt`; without one a hash is undone by guessing".into());
        }
        Ok(redact)
    }

    fn apply(&self, event: &Event) -> Result<Outcome, String> {
        // What cannot be read cannot be redacted, and must not go out as it is.
        let json = Json::parse(&event.json).map_err(|error| format!("the event is {error}"))?;
        Ok(match edit::redacted(self, json) {
            Some(body) => Outcome::Replace(json_message(body)),
            None => Outcome::Unchanged,
        })
    }
}

impl Redact {
    fn add(&mut self, action: Action, key: &str, paths: Json<'_>) -> Result<(), String> {
        if paths.kind() != Kind::Array {
            return Err(format!("`{key}` must be a list of paths"));
        }
        for path in paths.items() {
            let path = path.as_str().ok_or(format!("`{key}` must be a list of paths"))?;
            let path = Path::parse(&path).map_err(|error| format!("`{key}`: {error}"))?;
            self.rules.push(Rule { path, action });
        }
        Ok(())
    }

    /// What stands in a value's place. A missing value keeps being null: that nothing is
    /// there is no secret, and a receiver may rely on it.
    fn replacement(&self, action: Action, value: Json<'_>) -> Option<String> {
        match action {
            _ if value.is_null() => None,
            Action::Drop => None,
            Action::Mask => Some(MASK.to_owned()),
            Action::Hash => Some(self.hash(value)),
        }
    }

    /// Text is hashed without its quotes, so that an id gives the same hash in the metadata,
    /// where Track writes it as text, and in the payload, where it is a number.
    fn hash(&self, value: Json<'_>) -> String {
        let text = value.as_str().unwrap_or_else(|| value.text().into());
        let digest = Sha256::new().chain_update(&self.salt).chain_update(text.as_bytes()).finalize();
        let mut out = String::from("\"sha256:");
        for byte in digest {
            for nibble in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
            }
        }
        out.push('"');
        out
    }
}

trackrelay_plugin::transform!(Redact);

#[cfg(test)]
mod tests;
