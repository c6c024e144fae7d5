//! `trackrelay add`: writes a new subscription into the config.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::change::{self, Change, Done};
use crate::cli::enable::render;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::{args, output};
use crate::config::edit::{Edit, Field};
use crate::config::load::main_file;

/// Add a subscription
///
/// Writes a table at the end of the main config file; everything else in it stays as it is.
/// Its endpoint is asked at once whether it wants events; if it does not answer as it should,
/// this says what to do.
/// Without a secret one is made; `trackrelay secret show NAME` prints it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay add slack --url http://127.0.0.1:3000/ --event 'tag.*' --event time_entry.created
  trackrelay add all --url http://127.0.0.1:3000/ --event '*.*' --set validation=off
  trackrelay add later --url https://example.com/hook --event '*.*' --secret-file a.key --disabled")]
pub struct Args {
    /// Its name, which no other subscription has
    #[arg(value_parser = args::name)]
    name: String,

    /// Where events are sent
    #[arg(long, value_name = "URL")]
    url: String,

    /// Which events: entity.action, `*` in either place; may be repeated
    #[arg(long = "event", value_name = "ENTITY.ACTION", required = true, add = args::filters())]
    events: Vec<String>,

    /// A file that holds the secret
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Its creator, a name of `[user.*]`
    #[arg(long, value_name = "NAME", add = args::users())]
    user: Option<String>,

    /// Send nothing until it is enabled
    #[arg(long)]
    disabled: bool,

    /// Any other key of its table, as in TOML; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = change::assignment)]
    set: Vec<Field>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let fields = fields(&args, &main_file(&here.config_file()?));
    let edit = Edit::Add { name: args.name.clone(), fields };
    match (change::make(Change::Edit(edit), here).await?, args.json) {
        (Done::Live(reply), true) => output::document(&reply.json::<serde_json::Value>()?),
        (Done::Live(reply), false) => output::facts(&render(&reply.json()?, here)),
        (Done::Alone(_), true) => output::document(&json!({ "name": args.name })),
        (Done::Alone(_), false) => output::facts(&format!("{}: added", output::clean(&args.name))),
    }
}

/// In the order of the reference.
fn fields(args: &Args, config: &Path) -> Vec<Field> {
    let mut fields =
        vec![Field::new("url_callback", args.url.as_str()), Field::new("event_filters", args.events.clone())];
    if let Some(file) = &args.secret_file {
        let key = vec!["secret".to_owned()];
        let value = toml::Table::from_iter([("file".to_owned(), beside(config, file).into())]);
        fields.push(Field { key, value: Some(value.into()) });
    }
    fields.extend(args.disabled.then(|| Field::new("enabled", false)));
    fields.extend(args.user.as_ref().map(|user| Field::new("user", user.as_str())));
    fields.extend(args.set.clone());
    fields
}

/// A file named from here, as the config names it: relative to its own folder if it is in there.
fn beside(config: &Path, file: &Path) -> String {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let folder = config.parent().unwrap_or(Path::new("/"));
    absolute.strip_prefix(folder).unwrap_or(&absolute).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_from_the_config() {
        let config = Path::new("/a/b/config.toml");
        assert_eq!(beside(config, Path::new("/a/b/keys/x")), "keys/x");
        assert_eq!(beside(config, Path::new("/a/keys/x")), "/a/keys/x");
    }
}
