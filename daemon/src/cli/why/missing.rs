//! `trackrelay why --not NAME`: why the last events did not go there, by reason, with what helps.

use serde::Serialize;

use super::{filter_help, outcome_style, rights_help};
use crate::cli::client::{Client, Target};
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, GOOD, QUIET, STRONG, clean, styled};
use crate::cli::reply::{Missing, MissingGroup};
use crate::config::faults::INJECTED;
use crate::delivery::Outcome;

/// What is asked at a time, so that the daemon is never busy with one question for long.
const PART: u64 = 2000;

/// Most that is looked at: a week of a busy workspace.
pub(super) const MOST: u64 = 100_000;

pub(super) const USUAL: u64 = 1000;

/// Everything that was found, with the way out of each.
#[derive(Serialize)]
struct Found {
    subscription: String,
    scanned: u64,
    delivered: u64,
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    #[serde(flatten)]
    group: MissingGroup,
    /// What helps, for people.
    help: String,
}

pub(super) async fn run(name: &str, last: u64, json: bool, here: &Invocation) -> Result<(), Failure> {
    let mut missing = gather(&here.daemon()?, name, last).await?;
    missing.groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    let Missing { subscription, scanned, delivered, groups, .. } = missing;
    let help = |group: MissingGroup| Group { help: way_out(&group, name, here), group };
    let groups = groups.into_iter().map(help).collect();
    let found = Found { subscription, scanned, delivered, groups };
    if json { output::document(&found) } else { output::facts(&render(&found)) }
}

async fn gather(client: &Client, name: &str, last: u64) -> Result<Missing, Failure> {
    let mut all = Missing::default();
    let mut before = None;
    loop {
        let part = PART.min(last - all.scanned).to_string();
        let mut target = Target::new(&["api", "why-not", name]).query("last", &part);
        if let Some(seq) = before {
            target = target.query("before", &i64::to_string(&seq));
        }
        let part: Missing = client.get(&target).await?.json()?;
        before = part.next;
        all.add(part);
        if before.is_none() || all.scanned >= last {
            return Ok(all);
        }
    }
}

impl Missing {
    /// Adds what is older.
    fn add(&mut self, older: Missing) {
        self.subscription = older.subscription;
        self.scanned += older.scanned;
        self.delivered += older.delivered;
        for group in older.groups {
            let same = |known: &&mut MissingGroup| known.outcome == group.outcome && known.gist == group.gist;
            match self.groups.iter_mut().find(same) {
                Some(known) => known.count += group.count,
                None => self.groups.push(group),
            }
        }
    }
}

fn render(found: &Found) -> String {
    let name = styled(STRONG, &found.subscription);
    let (scanned, delivered) = (found.scanned, found.delivered);
    let mut text = match (scanned, delivered) {
        (0, _) => return format!("{name}: no event has arrived yet, or all are older than `keep`\n"),
        (_, 0) => format!("{name}: none of the last {} was delivered\n", output::count(scanned, "event")),
        _ => format!("{name}: {delivered} of the last {} delivered\n", output::count(scanned, "event")),
    };
    if found.groups.is_empty() {
        text += &format!("  {}\n", styled(GOOD, "nothing is missing"));
    }
    found.groups.iter().for_each(|group| text += &render_group(group));
    text
}

fn render_group(Group { group, help }: &Group) -> String {
    let word = match group.outcome {
        Some(outcome) => styled(outcome_style(outcome), outcome.as_str()),
        None => styled(QUIET, "not there"),
    };
    let newest = &group.newest;
    let kind = format!("{}.{}", newest.entity, newest.action);
    let newest = format!("newest: event {} {kind} at {}", newest.event_id, output::moment(newest.arrived_at));
    let (count, reason) = (group.count, clean(&group.reason));
    format!("\n{count} {word}\n  {reason}\n  {}\n  {}\n", styled(QUIET, &newest), clean(help))
}

/// What helps against one reason.
fn way_out(group: &MissingGroup, name: &str, here: &Invocation) -> String {
    let run = |words: &[&str]| format!("`{}`", here.command(words));
    let (newest, missed) = (group.newest.event_id.to_string(), || run(&["replay", "--missed", name]));
    let (entity, action) = (&group.newest.entity, &group.newest.action);
    let look = || run(&["why", &newest, name]);
    match group.outcome {
        Some(Outcome::SkippedFilter) => filter_help(entity, action, name, here),
        Some(Outcome::SkippedRights) => rights_help(entity),
        Some(Outcome::SkippedDisabled) => {
            format!("run {}, then {} sends them", run(&["enable", name]), missed())
        }
        Some(Outcome::SkippedNotValidated) => {
            format!("run {}, then {} sends them", run(&["validate", name]), missed())
        }
        Some(Outcome::SkippedPlugin) => format!("{} shows what the plugin said", look()),
        Some(Outcome::Held) => {
            format!(
                "mend the plugin or its config and save, then they are tried again; {} shows more",
                look()
            )
        }
        Some(Outcome::Failed) => {
            format!("mend the callback, then {} sends them again", run(&["replay", "--failed", name]))
        }
        Some(Outcome::Pending) => format!("{} shows what it waits for", look()),
        Some(Outcome::Dropped) if group.reason.starts_with(INJECTED) => {
            let replay = run(&["replay", &newest, "--to", name]);
            format!("take that fault out of its `faults`, then {replay} sends this one")
        }
        Some(Outcome::Dropped | Outcome::Cancelled | Outcome::Delivered) | None => {
            format!("{} sends this one", run(&["replay", &newest, "--to", name]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(outcome: &str, reason: &str, count: u64) -> MissingGroup {
        serde_json::from_value(serde_json::json!({
            "outcome": outcome, "reason": reason, "gist": reason, "count": count,
            "newest": { "event_id": 7, "entity": "tag", "action": "created", "arrived_at": "2025-09-10T08:00:01Z" },
        }))
        .unwrap()
    }

    #[test]
    fn parts_add_up() {
        let part = |groups: Vec<MissingGroup>| Missing {
            subscription: "slack".into(),
            scanned: 5,
            delivered: 1,
            groups,
            next: None,
        };
        let mut all = Missing::default();
        all.add(part(vec![missing("failed", "a", 2), missing("held", "a", 2)]));
        all.add(part(vec![missing("held", "a", 3), missing("held", "b", 1)]));
        assert_eq!((all.scanned, all.delivered), (10, 2));
        assert_eq!(all.groups.iter().map(|group| group.count).collect::<Vec<_>>(), [2, 5, 1]);
    }

    #[test]
    fn reads_like_a_report() {
        let here = Invocation::with_env(None, |_| None);
        let group = missing("skipped_disabled", "3 attempts in a row failed", 12);
        let help = way_out(&group, "slack", &here);
        let groups = vec![Group { group, help }];
        let found = Found { subscription: "slack".into(), scanned: 20, delivered: 8, groups };
        let wanted = "\
slack: 8 of the last 20 events delivered

12 skipped_disabled
  3 attempts in a row failed
  newest: event 7 tag.created at 2025-09-10 08:00:01Z
  run `trackrelay enable slack`, then `trackrelay replay --missed slack` sends them
";
        assert_eq!(output::plain(&render(&found)), wanted);
    }
}
