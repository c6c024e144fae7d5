//! Changes a subscription in the user's files and in the store as one step: worked out first,
//! then checked as a load would check it, then written. A running daemon does so in
//! `daemon/reload/edit.rs`; without one a command does (`edit/alone.rs`).
//!
//! The store goes first, since what it did can be taken back: a file that somebody has saved
//! meanwhile is left alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::api::{NotEdited, Wish};
use crate::config::edit::{self, Draft, Edit, Field, SecretHome};
use crate::config::load::Instead;
use crate::config::{Secret, Subscription};
use crate::delivery::MadeSecret;
use crate::store::Store;
use step::Step;

pub mod alone;
mod step;

pub(super) use step::end;

/// What an edit starts from.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) main: &'a Path,
    pub(super) subscriptions: &'a [Subscription],
    /// Of each TOML file as it was loaded.
    pub(super) hashes: &'a BTreeMap<PathBuf, String>,
}

/// An edit worked out: what files and store are to hold. Nothing has happened yet.
#[derive(Default)]
pub(super) struct Prepared {
    drafts: Vec<Draft>,
    steps: Vec<Step>,
}

/// Works a wish out.
pub(super) fn prepare(wish: Wish, known: Known<'_>) -> Result<Prepared, NotEdited> {
    match wish {
        Wish::Save { file, text, expected } => saved(file, text, &expected, known),
        Wish::Edit { edit: Edit::Add { name, fields }, secret } => added(name, fields, secret, known),
        Wish::Edit { edit: Edit::Change { name, rename, fields }, secret } => {
            changed(name, rename, fields, secret, known)
        }
        Wish::Edit { edit: Edit::Remove { name }, .. } => removed(name, known),
    }
}

impl Prepared {
    /// What a load would find.
    pub(super) fn instead(&self) -> Instead {
        self.drafts.iter().map(|draft| (draft.file.clone(), draft.text.clone())).collect()
    }

    /// Whether the store has to change, one that may not be there yet.
    fn asks_the_store(&self, there: bool) -> bool {
        self.steps.iter().any(|step| there || matches!(step, Step::Secret { .. }))
    }

    /// Changes store and files, or neither.
    pub(super) async fn carry_out(self, store: Option<&dyn Store>, now: Timestamp) -> Result<(), NotEdited> {
        if let (true, Some(Step::Ending { name, .. })) = (self.drafts.is_empty(), self.steps.first())
            && store.and_then(|store| store.named(name)).is_none()
        {
            return Err(NotEdited::Unknown(name.clone()));
        }
        let mut back = Vec::new();
        let done = async {
            if let Some(store) = store {
                for step in self.steps {
                    back.push(step.take(store, now).await?);
                }
            }
            write(self.drafts).await
        };
        let done = done.await;
        if let (Err(_), Some(store)) = (&done, store) {
            for step in back.into_iter().rev() {
                if let Err(error) = step.take(store, now).await {
                    tracing::error!(%error, "failed to take back what an edit changed in the store");
                }
            }
        }
        done
    }
}

async fn write(drafts: Vec<Draft>) -> Result<(), NotEdited> {
    let written = tokio::task::spawn_blocking(move || save_all(&drafts)).await;
    written.map_err(|panic| NotEdited::Failed(panic.to_string()))?
}

/// All files or none.
fn save_all(drafts: &[Draft]) -> Result<(), NotEdited> {
    for (n, draft) in drafts.iter().enumerate() {
        if let Err(error) = draft.save() {
            for written in &drafts[..n] {
                if let Err(error) = written.undone().save() {
                    tracing::error!(%error, "failed to take back an edit");
                }
            }
            return Err(error.into());
        }
    }
    Ok(())
}

fn saved(file: PathBuf, text: String, expected: &str, known: Known<'_>) -> Result<Prepared, NotEdited> {
    if file != known.main && !known.hashes.contains_key(&file) {
        return Err(NotEdited::Foreign(file));
    }
    let before = edit::text(&file)?;
    if edit::hash(before.as_bytes()) != expected {
        return Err(edit::Error::Stale { file }.into());
    }
    Ok(Prepared { drafts: vec![Draft { file, text, before }], steps: Vec::new() })
}

fn added(
    name: String,
    fields: Vec<Field>,
    secret: Option<Secret>,
    known: Known<'_>,
) -> Result<Prepared, NotEdited> {
    if place(&name, known).is_some() {
        return Err(NotEdited::Exists(name));
    }
    let steps = secret.map(|secret| Step::secret(&name, &secret)).into_iter().collect();
    let draft = draft(known.main, &Edit::Add { name, fields }, known)?;
    Ok(Prepared { drafts: vec![draft], steps })
}

fn changed(
    name: String,
    rename: Option<String>,
    mut fields: Vec<Field>,
    secret: Option<Secret>,
    known: Known<'_>,
) -> Result<Prepared, NotEdited> {
    let file = place(&name, known).ok_or_else(|| NotEdited::Unknown(name.clone()))?;
    let rename = rename.filter(|new| *new != name);
    if let Some(new) = rename.as_ref().filter(|new| place(new, known).is_some()) {
        return Err(NotEdited::Exists(new.clone()));
    }
    let mut prepared = Prepared::default();
    if let Some(secret) = secret {
        match SecretHome::of(file, &edit::text(file)?, &name) {
            SecretHome::Store => prepared.steps.push(Step::secret(&name, &secret)),
            SecretHome::Table => fields.push(Field::new("secret", secret.reveal())),
            SecretHome::File(path) => {
                own(&path, &name, known)?;
                prepared.drafts.push(secret_file(path, &secret)?);
            }
            SecretHome::Environment(variable) => return Err(NotEdited::Environment { name, variable }),
        }
    }
    if let Some(new) = &rename {
        prepared.steps.push(Step::Renaming { name: name.clone(), to: Some(new.clone()) });
    }
    prepared.drafts.push(draft(file, &Edit::Change { name, rename, fields }, known)?);
    Ok(prepared)
}

/// A subscription that is in no file any more may still be known to the store.
fn removed(name: String, known: Known<'_>) -> Result<Prepared, NotEdited> {
    let file = place(&name, known);
    let remove = Edit::Remove { name: name.clone() };
    let drafts = file.map(|file| draft(file, &remove, known)).transpose()?;
    Ok(Prepared { drafts: drafts.into_iter().collect(), steps: vec![Step::Ending { name, ending: true }] })
}

fn draft(file: &Path, edit: &Edit, known: Known<'_>) -> Result<Draft, NotEdited> {
    let expected = known.hashes.get(file).map(String::as_str).unwrap_or_default();
    Ok(edit::draft(file, edit, expected)?)
}

/// A file that something else reads too, a source above all, is not for one subscription to
/// change.
fn own(secret: &Path, name: &str, known: Known<'_>) -> Result<(), NotEdited> {
    for file in known.hashes.keys() {
        let others = edit::users_of(secret, file, &edit::text(file)?);
        let other = others.into_iter().find(|other| *other != format!("subscription.{name}.secret"));
        if let Some(other) = other {
            return Err(NotEdited::Shared { name: name.to_owned(), file: secret.to_owned(), other });
        }
    }
    Ok(())
}

/// The file keeps its last line break, or goes on without one.
fn secret_file(file: PathBuf, secret: &Secret) -> Result<Draft, NotEdited> {
    let before = edit::text(&file)?;
    let end = if before.ends_with('\n') { "\n" } else { "" };
    Ok(Draft { file, text: format!("{}{end}", secret.reveal()), before })
}

/// The file in which a subscription stands.
fn place<'a>(name: &str, known: Known<'a>) -> Option<&'a Path> {
    let found = known.subscriptions.iter().find(|subscription| subscription.name == name);
    found.map(|subscription| subscription.place.file.as_path())
}

/// A secret in the form in which the store keeps those made here.
fn kept(secret: &Secret) -> MadeSecret {
    MadeSecret(secret.reveal().to_owned())
}
