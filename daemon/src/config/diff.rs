//! What changed from one config to the next: which subscriptions were added, removed and
//! changed, and what needs a restart. Pure. Places, comments and layout are no change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::{Config, PluginSpec, PluginUse, Source, Subscription, User};

/// The difference between two configs. Names only, no values: it is logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Names of new subscriptions, in the order of the files.
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// Old names and new ones, of which a config alone does not know; see `rename`.
    pub renamed: Vec<(String, String)>,
    /// Subscriptions of both configs, with the keys that differ.
    pub changed: Vec<Changed>,
    pub plugins: Vec<Other>,
    pub users: Vec<Other>,
    pub sources: Vec<Other>,
    /// Keys of `[workspace]`.
    pub workspace: Vec<&'static str>,
    /// Keys of `[listen]` and `[store]`: they take effect after a restart.
    pub restart: Vec<&'static str>,
    /// Other files count, or other folders.
    pub files: bool,
}

/// A subscription that is something else now, be it through its own table, `[defaults]` or
/// its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub name: String,
    /// In the order of the reference, `user` for its creator. Empty if the table only says
    /// in other keys what held before, say a default.
    pub keys: Vec<&'static str>,
}

/// A table of another kind that came, went, or is something else now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    pub name: String,
    /// `added`, `removed` or `changed`.
    pub what: &'static str,
}

impl Diff {
    /// What seems to have gone and come is one and the same under another name.
    pub fn rename<'a>(&mut self, pairs: impl Iterator<Item = (&'a Subscription, &'a Subscription)>) {
        for (old, new) in pairs {
            self.removed.retain(|name| *name != old.name);
            self.added.retain(|name| *name != new.name);
            self.renamed.push((old.name.clone(), new.name.clone()));
            let keys = changed_keys(old, new);
            if !keys.is_empty() {
                self.changed.push(Changed { name: new.name.clone(), keys });
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Diff::default()
    }

    /// One sentence for each change, for the log.
    pub fn sentences(&self) -> Vec<String> {
        let each = |names: &[String], kind: &str, what: &str| -> Vec<String> {
            names.iter().map(|name| format!("{kind} `{name}` {what}")).collect()
        };
        let others = |others: &[Other], kind: &str| -> Vec<String> {
            others.iter().map(|Other { name, what }| format!("{kind} `{name}` {what}")).collect()
        };
        let mut sentences = each(&self.added, "subscription", "added");
        sentences.extend(each(&self.removed, "subscription", "removed"));
        let renamed =
            self.renamed.iter().map(|(old, new)| format!("subscription `{old}` renamed to `{new}`"));
        sentences.extend(renamed);
        sentences.extend(self.changed.iter().map(ToString::to_string));
        sentences.extend(others(&self.plugins, "plugin"));
        sentences.extend(others(&self.users, "user"));
        sentences.extend(others(&self.sources, "source"));
        if !self.workspace.is_empty() {
            sentences.push(format!("{} changed", self.workspace.join(", ")));
        }
        if !self.restart.is_empty() {
            sentences.push(format!("{} changed; restart to use it", self.restart.join(", ")));
        }
        // With anything else, that goes without saying.
        if sentences.is_empty() && self.files {
            sentences.push("the same, read from other files or folders".to_owned());
        }
        sentences
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = if self.keys.is_empty() { "table".to_owned() } else { self.keys.join(", ") };
        write!(f, "subscription `{}`: {keys} changed", self.name)
    }
}

/// Compares what two configs mean.
pub fn diff(old: &Config, new: &Config) -> Diff {
    let (before, after) = (by_name(&old.subscriptions), by_name(&new.subscriptions));
    Diff {
        renamed: Vec::new(),
        added: missing(&new.subscriptions, &before),
        removed: missing(&old.subscriptions, &after),
        changed: changed(&new.subscriptions, &before),
        plugins: differing(&old.plugins, &new.plugins, same_plugin),
        users: differing(&users(old), &users(new), |one, other| one == other),
        sources: differing(&sources(old), &sources(new), |one, other| one == other),
        workspace: unequal(&[
            ("workspace.id", old.workspace.id == new.workspace.id),
            ("workspace.limit", old.workspace.limit == new.workspace.limit),
        ]),
        restart: restart(old, new),
        files: old.path != new.path || old.files != new.files || old.folders != new.folders,
    }
}

fn restart(old: &Config, new: &Config) -> Vec<&'static str> {
    unequal(&[
        ("listen.tcp", old.listen.tcp == new.listen.tcp),
        ("listen.unix", old.listen.unix == new.listen.unix),
        ("listen.hosts", old.listen.hosts == new.listen.hosts),
        ("listen.max_body", old.listen.max_body == new.listen.max_body),
        ("store.path", old.store.path == new.store.path),
        ("store.keep", old.store.keep == new.store.keep),
    ])
}

fn changed(new: &[Subscription], before: &HashMap<&str, &Subscription>) -> Vec<Changed> {
    let pairs = new.iter().filter_map(|after| Some((*before.get(after.name.as_str())?, after)));
    let changed = pairs.filter_map(|(before, after)| {
        let keys = changed_keys(before, after);
        let differs = !keys.is_empty() || before.digest != after.digest;
        differs.then(|| Changed { name: after.name.clone(), keys })
    });
    changed.collect()
}

fn changed_keys(old: &Subscription, new: &Subscription) -> Vec<&'static str> {
    unequal(&[
        ("url_callback", old.url_text == new.url_text),
        ("event_filters", old.event_filters == new.event_filters),
        ("secret", old.secret == new.secret),
        ("enabled", old.enabled == new.enabled),
        ("user", old.creator == new.creator),
        ("filter", same_uses(&old.filter, &new.filter)),
        ("transform", same_uses(&old.transform, &new.transform)),
        ("timeout", old.timeout == new.timeout),
        ("retry", old.retry == new.retry),
        ("disable_after", old.disable_after == new.disable_after),
        ("concurrency", old.concurrency == new.concurrency),
        ("order", old.order == new.order),
        ("validation", old.validation == new.validation),
        ("on_plugin_error", old.on_plugin_error == new.on_plugin_error),
        ("when_unreachable", old.when_unreachable == new.when_unreachable),
        ("headers", old.headers == new.headers),
        ("faults", old.faults == new.faults),
    ])
}

fn same_uses(old: &[PluginUse], new: &[PluginUse]) -> bool {
    let same = |(old, new): (&PluginUse, &PluginUse)| old.plugin == new.plugin && old.config == new.config;
    old.len() == new.len() && old.iter().zip(new).all(same)
}

fn same_plugin(old: &PluginSpec, new: &PluginSpec) -> bool {
    let meant = |spec: &PluginSpec| (spec.sha256, spec.isolation, spec.limits);
    old.path == new.path && meant(old) == meant(new)
}

fn by_name(subscriptions: &[Subscription]) -> HashMap<&str, &Subscription> {
    subscriptions.iter().map(|subscription| (subscription.name.as_str(), subscription)).collect()
}

fn users(config: &Config) -> BTreeMap<String, &User> {
    config.users.iter().map(|user| (user.name.clone(), user)).collect()
}

fn sources(config: &Config) -> BTreeMap<String, &Source> {
    config.sources.iter().map(|source| (source.name.clone(), source)).collect()
}

fn missing(from: &[Subscription], known: &HashMap<&str, &Subscription>) -> Vec<String> {
    let names = from.iter().map(|subscription| &subscription.name);
    names.filter(|name| !known.contains_key(name.as_str())).cloned().collect()
}

/// What stands for something else in the other map, or for nothing.
fn differing<T>(
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    same: impl Fn(&T, &T) -> bool,
) -> Vec<Other> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let unlike = |name: &String| {
        let what = match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => (!same(old, new)).then_some("changed")?,
            (Some(_), None) => "removed",
            (None, _) => "added",
        };
        Some(Other { name: name.clone(), what })
    };
    names.into_iter().filter_map(unlike).collect()
}

fn unequal(keys: &[(&'static str, bool)]) -> Vec<&'static str> {
    keys.iter().filter(|(_, equal)| !equal).map(|(key, _)| *key).collect()
}

#[cfg(test)]
mod tests;
