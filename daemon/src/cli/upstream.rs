//! `trackrelay upstream`: what to ask of Track, so that one subscription there feeds all
//! subscriptions here. How filters are chosen is `cli/upstream/cover.rs`, what is printed
//! `cli/upstream/told.rs`.

use crate::cli::args;
use crate::cli::check;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output;
use crate::config::load::load;
use crate::config::problem::did_you_mean;
use crate::config::{Config, EventFilter, Limit};
use cover::{Kinds, cover};

pub mod cover;
mod told;

/// What to ask of Track, so that one subscription there feeds all of them here
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay upstream plan
  trackrelay upstream plan --fit free")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Plan(PlanArgs),
}

/// Tell the fewest event filters that bring all events wanted here, and how to ask for them
///
/// Reads the config; needs neither the daemon nor the secrets. A wildcard that brings more than
/// is wanted is used only where a plan of Track allows too few filters, and it says what else
/// comes: that is recorded here and goes to nobody.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay upstream plan
  trackrelay upstream plan --fit free --source track
  trackrelay upstream plan --json | jq '.plans.free.fits'")]
struct PlanArgs {
    /// Ask for filters that this plan allows, with wildcards where it takes them
    #[arg(long, value_name = "PLAN")]
    fit: Option<TrackPlan>,

    /// The source that Track delivers to [default: the first of the config]
    #[arg(long, value_name = "NAME", value_parser = args::name, add = args::sources())]
    source: Option<String>,

    /// Leave out subscriptions with `enabled = false`
    #[arg(long)]
    enabled_only: bool,

    /// Print one JSON document: workspace_id, source, event_filters, plans, curl
    #[arg(long)]
    json: bool,
}

/// Track's plans, by how many event filters they allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum TrackPlan {
    Free,
    Starter,
    Premium,
}

/// What Track is to be asked for.
#[derive(Debug, PartialEq)]
struct Upstream {
    /// None if the config does not say.
    workspace_id: Option<i64>,
    source: String,
    /// Whether the config has this source.
    source_exists: bool,
    subscriptions: usize,
    filters: Vec<Wanted>,
    fits: Vec<Fit>,
}

/// A filter, and why it is there.
#[derive(Debug, PartialEq)]
struct Wanted {
    filter: EventFilter,
    /// Names of the subscriptions that want some of what it brings.
    by: Vec<String>,
    /// What it brings that nobody wants.
    extra: Vec<EventFilter>,
}

/// How a plan of Track takes it.
#[derive(Debug, PartialEq)]
struct Fit {
    plan: TrackPlan,
    /// With nothing that nobody wants.
    exact: bool,
    filters: Vec<EventFilter>,
    extra: Vec<EventFilter>,
}

pub fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let Command::Plan(args) = args.command;
    let upstream = plan(&args, here)?;
    if args.json {
        return output::document(&told::document(&upstream));
    }
    output::facts(&told::facts(&upstream))?;
    output::say_all(&told::remarks(&upstream));
    Ok(())
}

fn plan(args: &PlanArgs, here: &Invocation) -> Result<Upstream, Failure> {
    let path = here.config_file()?;
    // Secrets are of no concern here, so those that are not at hand are made up, each another.
    let loaded = load(&path, &|name| (here.env())(name).or_else(|| Some(name.to_owned())));
    match &loaded.result {
        Ok(config) => upstream(config, args),
        Err(problems) => {
            check::tell(&loaded);
            Err(check::refused(&path, problems))
        }
    }
}

fn upstream(config: &Config, args: &PlanArgs) -> Result<Upstream, Failure> {
    let wanting: Vec<(&str, Kinds)> = config
        .subscriptions
        .iter()
        .filter(|subscription| subscription.enabled || !args.enabled_only)
        .map(|subscription| (subscription.name.as_str(), Kinds::of_all(&subscription.event_filters)))
        .collect();
    let needed = wanting.iter().fold(Kinds::default(), |all, (_, kinds)| all.with(*kinds));
    let most = args.fit.map_or(usize::MAX, TrackPlan::filters);
    let wanted = |filter: EventFilter| {
        let brought = Kinds::of(&filter);
        let by = wanting.iter().filter(|(_, kinds)| kinds.meets(brought)).map(|(name, _)| (*name).to_owned());
        Wanted { filter, by: by.collect(), extra: brought.without(needed).each().collect() }
    };
    let (source, source_exists) = source(config, args.source.as_deref())?;
    Ok(Upstream {
        workspace_id: Some(config.workspace.id).filter(|id| *id != NO_WORKSPACE),
        source,
        source_exists,
        subscriptions: wanting.len(),
        filters: cover(needed, most).into_iter().map(wanted).collect(),
        fits: TrackPlan::ALL.map(|plan| Fit::of(needed, plan)).into(),
    })
}

/// What `[workspace] id` is when nobody wrote it; Track's are far larger.
const NO_WORKSPACE: i64 = 1;

/// What a source is called in a config that has none yet.
const FIRST_SOURCE: &str = "track";

fn source(config: &Config, named: Option<&str>) -> Result<(String, bool), Failure> {
    let mut names = config.sources.iter().map(|source| source.name.as_str());
    let Some(named) = named else {
        let first = names.next();
        return Ok((first.unwrap_or(FIRST_SOURCE).to_owned(), first.is_some()));
    };
    if names.clone().any(|name| name == named) {
        return Ok((named.to_owned(), true));
    }
    let help = match did_you_mean(named, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("add `[source.{named}]` to the config first"),
    };
    Err(Failure::failed(format!("no source `{named}`; {help}")))
}

impl TrackPlan {
    const ALL: [TrackPlan; 3] = [TrackPlan::Free, TrackPlan::Starter, TrackPlan::Premium];

    fn name(self) -> &'static str {
        match self {
            TrackPlan::Free => "free",
            TrackPlan::Starter => "starter",
            TrackPlan::Premium => "premium",
        }
    }

    fn limit(self) -> Limit {
        match self {
            TrackPlan::Free => Limit::Free,
            TrackPlan::Starter => Limit::Starter,
            TrackPlan::Premium => Limit::Premium,
        }
    }

    /// Event filters that a subscription may have.
    fn filters(self) -> usize {
        self.limit().event_filters().unwrap_or(usize::MAX)
    }

    fn subscriptions(self) -> usize {
        self.limit().subscriptions().unwrap_or(usize::MAX)
    }
}

impl Fit {
    fn of(needed: Kinds, plan: TrackPlan) -> Fit {
        let filters = cover(needed, plan.filters());
        let extra = Kinds::of_all(&filters).without(needed);
        Fit { plan, exact: extra.is_empty(), filters, extra: extra.each().collect() }
    }
}

#[cfg(test)]
mod tests;
