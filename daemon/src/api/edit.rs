//! Changes of subscriptions: what may be wished for, what came of it, and why not. Files and
//! store are changed in `daemon/edit.rs`, which answers when the change is live.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::oneshot;

use super::{Api, Asked, Refusal, Reply, decode};
use crate::config::edit::{self, Edit, Field, SecretHome};
use crate::config::{Config, Problem, Secret};
use crate::plan::Reload;
use crate::store;
use crate::telemetry::shell::quoted;

/// A change that is to be made as a whole or not at all.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Of one subscription's table. A secret goes where that subscription's secret lives: into
    /// the store, the TOML or a file of its own; that of a new one goes into the store.
    Edit { edit: Edit, secret: Option<Secret> },
    /// Of a whole file of the config, which held what `expected` is the hash of.
    Save { file: PathBuf, text: String, expected: String },
}

/// A change that has been made and is live.
#[derive(Debug)]
pub struct Edited {
    pub reload: Arc<Reload>,
    /// Deliveries that waited for a subscription which is gone now.
    pub cancelled: u64,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NotEdited {
    #[error(transparent)]
    File(#[from] edit::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("no subscription `{0}`; `trackrelay list` shows those there are")]
    Unknown(String),
    #[error("subscription `{0}` exists already; take another name")]
    Exists(String),
    #[error(
        "{0} of an earlier subscription `{1}` still wait; `trackrelay rm {word}` ends them, or take another name",
        word = quoted(.1)
    )]
    Waits(u64, String),
    #[error(
        "the secret of `{name}` comes from the environment variable `{variable}`; change it where the daemon is started, and restart the daemon"
    )]
    Environment { name: String, variable: String },
    /// Whatever else reads that file would take the new secret for its own.
    #[error(
        "the secret of `{name}` stands in `{}`, which `{other}` uses as well; give `{name}` a file of its own first, or write the new one into that file, which changes it for both", .file.display()
    )]
    Shared { name: String, file: PathBuf, other: String },
    #[error("`{}` is no TOML file of the config", .0.display())]
    Foreign(PathBuf),
    /// The config as it would be.
    #[error("nothing was changed: {}", sentences(.0))]
    Invalid(Vec<Problem>),
    /// The config as it is: what is wrong with it could not be told from what the edit does.
    #[error("nothing was changed, since the config is broken; mend it first, `trackrelay check` shows all of it: {}", sentences(.0))]
    Broken(Vec<Problem>),
    #[error("the file was edited but does not load; `trackrelay check` says why")]
    NotLoaded,
    #[error("the edit failed: {0}")]
    Failed(String),
}

impl NotEdited {
    pub fn status(&self) -> StatusCode {
        match self {
            NotEdited::Unknown(_) => StatusCode::NOT_FOUND,
            NotEdited::Invalid(_) | NotEdited::Foreign(_) => StatusCode::BAD_REQUEST,
            NotEdited::Store(error) => Refusal::from(error.clone()).0,
            NotEdited::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            NotEdited::File(_)
            | NotEdited::Exists(_)
            | NotEdited::Waits(..)
            | NotEdited::Environment { .. }
            | NotEdited::Shared { .. }
            | NotEdited::Broken(_)
            | NotEdited::NotLoaded => StatusCode::CONFLICT,
        }
    }
}

impl From<NotEdited> for Refusal {
    fn from(error: NotEdited) -> Refusal {
        Refusal::new(error.status(), error.to_string())
    }
}

/// `POST /api/subscriptions`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Add {
    name: String,
    #[schemars(with = "Vec<FieldForm>")]
    fields: Vec<Field>,
}

/// `POST /api/subscriptions/{name}/edit`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    rename: Option<String>,
    #[serde(default)]
    #[schemars(with = "Vec<FieldForm>")]
    fields: Vec<Field>,
}

/// `POST /api/files`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Save {
    file: PathBuf,
    text: String,
    /// SHA-256 of what the file held, in hex.
    expected: String,
}

/// A key of a subscription's table, in its parts, and its value; none takes the key out.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `Field` reads")]
struct FieldForm {
    #[schemars(length(min = 1))]
    key: Vec<String>,
    #[serde(default)]
    value: serde_json::Value,
}

impl Api {
    pub(super) async fn add(&self, body: &Bytes) -> Reply {
        let Add { name, fields } = read(body)?;
        keyed(&fields)?;
        let edit = Edit::Add { name: name.clone(), fields };
        self.edit(Wish::Edit { edit, secret: None }).await?;
        self.stands(&name).await
    }

    pub(super) async fn change(&self, name: &str, body: &Bytes) -> Reply {
        let planned = self.named(name)?;
        let (name, Change { rename, fields }) = (planned.name().to_owned(), read(body)?);
        keyed(&fields)?;
        let after = rename.clone().unwrap_or_else(|| name.clone());
        self.edit(Wish::Edit { edit: Edit::Change { name, rename, fields }, secret: None }).await?;
        self.stands(&after).await
    }

    /// Of one that is in no file any more, it ends what still waits.
    pub(super) async fn remove(&self, name: &str) -> Reply {
        let name = decode(name);
        if self.store.named(&name).is_none() {
            self.subscription_of(&name)?;
        }
        let edit = Edit::Remove { name: name.clone() };
        let edited = self.edit(Wish::Edit { edit, secret: None }).await?;
        Ok(json!({ "name": name, "cancelled": edited.cancelled }))
    }

    /// The answer says where the secret is, not what it is.
    pub(super) async fn rotate(&self, name: &str) -> Reply {
        let planned = self.named(name)?;
        let (name, file) = (planned.name().to_owned(), planned.meant.place.file.clone());
        let edit = Edit::Change { name: name.clone(), rename: None, fields: Vec::new() };
        self.edit(Wish::Edit { edit, secret: Some(Secret::make()) }).await?;
        let text = tokio::task::spawn_blocking(move || edit::text(&file).map(|text| (file, text))).await;
        let (file, text) =
            text.map_err(|panic| NotEdited::Failed(panic.to_string()))?.map_err(NotEdited::from)?;
        let kept_in = match SecretHome::of(&file, &text, &name) {
            SecretHome::File(path) => Some(path),
            SecretHome::Table => Some(file),
            SecretHome::Store | SecretHome::Environment(_) => None,
        };
        Ok(json!({ "name": name, "kept_in": kept_in }))
    }

    /// A whole file, as somebody's editor left it.
    pub(super) async fn save(&self, body: &Bytes) -> Reply {
        let Save { file, text, expected } = read(body)?;
        let edited = self.edit(Wish::Save { file, text, expected }).await?;
        Ok(json!({ "changes": edited.reload.changes, "restart_needed": edited.reload.restart_needed }))
    }

    /// Has a change made, and returns when it is live.
    pub(super) async fn edit(&self, wish: Wish) -> Result<Edited, NotEdited> {
        self.ask_loader(|answer| Asked::Edit(Box::new(wish), answer)).await
    }

    /// Has a change checked as if it were made.
    pub(super) async fn rehearse(&self, wish: Wish) -> Result<Arc<Config>, NotEdited> {
        self.ask_loader(|answer| Asked::Rehearse(Box::new(wish), answer)).await
    }

    async fn ask_loader<T>(
        &self,
        asked: impl FnOnce(oneshot::Sender<Result<T, NotEdited>>) -> Asked,
    ) -> Result<T, NotEdited> {
        let stopping = || NotEdited::Failed("the daemon is stopping".to_owned());
        let (answer, answered) = oneshot::channel();
        self.reloads.send(asked(answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }

    /// How it stands once its endpoint has been asked, if it has to be.
    async fn stands(&self, name: &str) -> Reply {
        let planned = self.subscription_of(name)?;
        self.pinger.first_over(&planned).await;
        Ok(self.subscription(&planned))
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))
}

fn keyed(fields: &[Field]) -> Result<(), Refusal> {
    match fields.iter().any(|field| field.key.is_empty()) {
        true => Err(Refusal::bad("each of `fields` has a `key` of at least one part")),
        false => Ok(()),
    }
}

/// All problems in a line each.
fn sentences(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}
