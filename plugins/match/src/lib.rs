//! The filter `match`: delivers an event if all conditions of its config hold. What a
//! condition is and when it holds is `condition.rs`.

use trackrelay_plugin::json::{Json, Kind};
use trackrelay_plugin::{Event, Filter, Verdict};

use condition::Condition;

mod condition;

/// Conditions by path, in the order of the config.
struct Match(Vec<Condition>);

impl Filter for Match {
    fn configure(config: &str) -> Result<Self, String> {
        let config = Json::parse(config).map_err(|error| error.to_string())?;
        if config.kind() != Kind::Object || config.members().next().is_none() {
            return Err("no condition; write one like `\"payload.billable\" = true`".into());
        }
        let mut conditions = Vec::new();
        for (path, wanted) in config.members() {
            Condition::read(&path.as_str().unwrap_or_default(), wanted, &mut conditions)?;
        }
        Ok(Match(conditions))
    }

    fn check(&self, event: &Event) -> Result<Verdict, String> {
        // A filter is shown the envelope, which trackrelay has checked.
        let json = Json::trust(&event.json);
        let failed = self.0.iter().find_map(|condition| condition.objection(json));
        Ok(failed.map_or(Verdict::Deliver, Verdict::Skip))
    }
}

trackrelay_plugin::filter!(Match);

#[cfg(test)]
mod tests;
