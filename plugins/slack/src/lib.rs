//! The transform `slack`: makes an event into the body of a Slack incoming webhook. The
//! text comes from a template (`template.rs`) or, without one, from `wording.rs`.

use trackrelay_plugin::json::{Json, Kind, quote};
use trackrelay_plugin::{Event, Outcome, Transform, json_message};

use template::Template;

mod template;
mod wording;

/// Slack cuts a text that is longer, and may cut it within an escape.
const LONGEST: usize = 40_000;

struct Slack {
    template: Option<Template>,
    /// Further members of the body as JSON, each with a comma before it.
    extra: String,
}

impl Transform for Slack {
    fn configure(config: &str) -> Result<Self, String> {
        let config = Json::parse(config).map_err(|error| error.to_string())?;
        if config.kind() != Kind::Object {
            return Err("the config must be a table".into());
        }
        let mut slack = Slack { template: None, extra: String::new() };
        for (key, value) in config.members() {
            let key = key.as_str().unwrap_or_default();
            let Some(text) = value.as_str() else { return Err(format!("`{key}` must be text")) };
            match key.as_ref() {
                "template" => slack.template = Some(Template::parse(&text)?),
                "channel" | "username" => slack.add(&key, &text),
                _ => {
                    return Err(format!("unknown key `{key}`; there are template, channel, username"));
                }
            }
        }
        Ok(slack)
    }

    fn apply(&self, event: &Event) -> Result<Outcome, String> {
        let json = Json::parse(&event.json).map_err(|error| format!("the event is {error}"))?;
        let text = match &self.template {
            Some(template) => template.fill(json),
            None => wording::of(json),
        };
        let mut body = String::from("{\"text\":");
        quote(&fitting(&text), &mut body);
        body.push_str(&self.extra);
        body.push('}');
        Ok(Outcome::Replace(json_message(body)))
    }
}

impl Slack {
    fn add(&mut self, key: &str, value: &str) {
        self.extra.push(',');
        quote(key, &mut self.extra);
        self.extra.push(':');
        quote(value, &mut self.extra);
    }
}

/// The text as far as Slack takes it, never ending within an escape like `&amp;`.
fn fitting(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(LONGEST) else { return text.to_owned() };
    let room = text[..end].char_indices().next_back().map_or(0, |(last, _)| last);
    let kept = &text[..room];
    let whole = match kept.rfind('&') {
        Some(escape) if !kept[escape..].contains(';') => &kept[..escape],
        _ => kept,
    };
    format!("{whole}…")
}

/// Appends text with the three characters escaped that mean something to Slack.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ => out.push(c),
        }
    }
}

trackrelay_plugin::transform!(Slack);

#[cfg(test)]
mod tests;
