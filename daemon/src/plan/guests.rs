//! The plugins of a config, loaded: all or nothing. What did not change is taken over from
//! the plan before, instances included, so that a reload costs only what it changes.

use std::collections::HashMap;
use std::sync::Arc;

use super::Plan;
use crate::config::{Config, PluginSpec, PluginUse, Problem, Sound, Subscription, Uses};
use crate::plugin::{Entry, Host, LoadError, Plugin, Stage};

impl PartialEq for Entries {
    fn eq(&self, other: &Entries) -> bool {
        let same = |a: &[Arc<Entry>], b: &[Arc<Entry>]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        same(&self.filters, &other.filters) && same(&self.transforms, &other.transforms)
    }
}

/// Every plugin of a config, and every entry of its subscriptions in their order.
#[derive(Default)]
pub struct Guests {
    pub(super) plugins: HashMap<String, Arc<Plugin>>,
    pub(super) entries: Vec<Entries>,
}

/// The entries of one subscription.
#[derive(Clone, Default)]
pub struct Entries {
    pub filters: Vec<Arc<Entry>>,
    pub transforms: Vec<Arc<Entry>>,
}

#[cfg(test)]
impl Guests {
    /// No plugins, for so many subscriptions.
    pub(crate) fn none(subscriptions: usize) -> Guests {
        Guests { plugins: HashMap::new(), entries: vec![Entries::default(); subscriptions] }
    }
}

impl Guests {
    /// Loads, compiles and tries out every plugin. Blocks, for as long as compiling takes.
    pub fn load(config: &Config, host: &Host, before: Option<&Plan>) -> Result<Guests, Vec<Problem>> {
        let (plugins, mut problems) = plugins(config.plugins.values(), host, before);
        let mut entries = Vec::with_capacity(config.subscriptions.len());
        for subscription in &config.subscriptions {
            match all(&Lists::from(subscription), &plugins, before) {
                Ok(loaded) => entries.push(loaded),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(Guests { plugins, entries }) } else { Err(problems) }
    }

    /// The problems of those plugins of a refused config that have none so far. What is
    /// loaded for it is gone afterwards.
    pub fn try_out(sound: &Sound, host: &Host, before: Option<&Plan>) -> Vec<Problem> {
        let (plugins, mut problems) = plugins(sound.plugins.values(), host, before);
        let found = sound.uses.iter().filter_map(|uses| all(&Lists::from(uses), &plugins, before).err());
        problems.extend(found.flatten());
        problems
    }
}

/// The lists of one subscription, whether the rest of it is fit for use or not.
struct Lists<'a> {
    subscription: &'a str,
    filter: &'a [PluginUse],
    transform: &'a [PluginUse],
}

impl<'a> From<&'a Subscription> for Lists<'a> {
    fn from(meant: &'a Subscription) -> Lists<'a> {
        Lists { subscription: &meant.name, filter: &meant.filter, transform: &meant.transform }
    }
}

impl<'a> From<&'a Uses> for Lists<'a> {
    fn from(uses: &'a Uses) -> Lists<'a> {
        Lists { subscription: &uses.subscription, filter: &uses.filter, transform: &uses.transform }
    }
}

fn plugins<'a>(
    specs: impl Iterator<Item = &'a PluginSpec>,
    host: &Host,
    before: Option<&Plan>,
) -> (HashMap<String, Arc<Plugin>>, Vec<Problem>) {
    let (mut plugins, mut problems) = (HashMap::new(), Vec::new());
    for spec in specs {
        match plugin(spec, host, before) {
            Ok(plugin) => drop(plugins.insert(spec.name.clone(), plugin)),
            Err(problem) => problems.push(problem),
        }
    }
    (plugins, problems)
}

fn plugin(spec: &PluginSpec, host: &Host, before: Option<&Plan>) -> Result<Arc<Plugin>, Problem> {
    let loaded = host.load(spec).map_err(|error| of_plugin(spec, &error))?;
    let known = before.and_then(|plan| plan.guests.get(&spec.name));
    Ok(known.filter(|known| known.same_as(&loaded)).cloned().unwrap_or(loaded))
}

fn all(
    lists: &Lists<'_>,
    plugins: &HashMap<String, Arc<Plugin>>,
    before: Option<&Plan>,
) -> Result<Entries, Vec<Problem>> {
    let known = before.and_then(|plan| plan.named(lists.subscription)).map(|planned| &planned.entries);
    let known = known.cloned().unwrap_or_default();
    let mut problems = Vec::new();
    let mut list = |uses: &[PluginUse], stage: Stage, known: &[Arc<Entry>]| {
        let entry = |used: &PluginUse| entry(used, stage, lists.subscription, plugins, known).transpose();
        let (entries, errors): (Vec<_>, Vec<_>) = uses.iter().filter_map(entry).partition(Result::is_ok);
        problems.extend(errors.into_iter().filter_map(Result::err));
        entries.into_iter().filter_map(Result::ok).collect::<Vec<_>>()
    };
    let filters = list(lists.filter, Stage::Filter, &known.filters);
    let transforms = list(lists.transform, Stage::Transform, &known.transforms);
    if problems.is_empty() { Ok(Entries { filters, transforms }) } else { Err(problems) }
}

/// `None` when the plugin itself could not be loaded, which has been said already.
fn entry(
    used: &PluginUse,
    stage: Stage,
    subscription: &str,
    plugins: &HashMap<String, Arc<Plugin>>,
    known: &[Arc<Entry>],
) -> Result<Option<Arc<Entry>>, Problem> {
    let Some(plugin) = plugins.get(&used.plugin) else { return Ok(None) };
    if let Some(same) = known.iter().find(|entry| entry.serves(plugin, stage, &used.config)) {
        return Ok(Some(Arc::clone(same)));
    }
    let entry = plugin.entry(subscription, stage, &used.config);
    entry.map(Some).map_err(|error| Problem::at(used.place.clone(), error.to_string()))
}

/// Points at the key that has to be changed.
fn of_plugin(spec: &PluginSpec, error: &LoadError) -> Problem {
    let place = match error {
        LoadError::File(_) => &spec.path_place,
        LoadError::Pin(_) => &spec.sha256_place,
        LoadError::Use(_) => &spec.place,
    };
    Problem::at(place.clone(), error.to_string())
}
