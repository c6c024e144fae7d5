//! Secrets in their three forms. No message repeats one.

use super::{Pen, path_hint};
use crate::config::Secret;
use crate::config::file::leaf::SecretKept;
use crate::config::file::{At, Key, SecretForm};
use crate::config::problem::Flaw;

/// More than any key or token needs; keeps a wrong file from being signed with.
const LONGEST: usize = 4096;

pub(super) fn secret(pen: &mut Pen<'_>, key: &str, written: &Key<SecretForm>) -> Option<Secret> {
    let at = written.get().filter(|at| !(is_nowhere(&at.value) && pen.written.is_cut(&at.span)))?;
    let found = match &at.value {
        SecretForm::Text(secret) => Ok(secret.clone()),
        SecretForm::Kept(kept) => kept_secret(pen, key, at, kept),
    };
    let sound = found.and_then(|secret| fits(pen, key, at, secret));
    sound.map_err(|flaw| pen.flaw(flaw)).ok()
}

/// The first secret of the file that others can read as well.
pub(super) fn exposed(pen: &mut Pen<'_>, secrets: &[&Key<SecretForm>]) {
    let texts = secrets.iter().filter_map(|key| key.get());
    let first = texts.filter(|at| matches!(at.value, SecretForm::Text(_))).min_by_key(|at| at.span.start);
    if let Some(at) = first
        && pen.world.exposed.contains(pen.written.text.file())
    {
        let file = pen.written.text.file().display().to_string();
        let message = format!("others can read the secrets in `{file}`");
        let hint = format!("`chmod 600 {file}`, or write `{{ env = \"NAME\" }}` or `{{ file = \"path\" }}`");
        pen.warn(Flaw::new(at.span.clone(), message).hint(hint));
    }
}

/// With a flaw in it, it says nothing because of that.
fn is_nowhere(form: &SecretForm) -> bool {
    matches!(form, SecretForm::Kept(kept) if kept.env.get().is_none() && kept.file.get().is_none())
}

fn kept_secret(pen: &Pen<'_>, key: &str, at: &At<SecretForm>, kept: &SecretKept) -> Result<Secret, Flaw> {
    let key = pen.key(key);
    match (kept.env.get(), kept.file.get()) {
        (Some(env), None) => pen.world.variables.get(&env.value).cloned().map(Secret::new).ok_or_else(|| {
            let message = format!("{key}: the environment variable `{}` is not set", env.value);
            Flaw::new(env.span.clone(), message).hint("it must be set where the daemon is started")
        }),
        (None, Some(file)) => {
            let path = pen.path(&file.value);
            let read = pen.world.secrets.get(&path).cloned();
            read.unwrap_or_else(|| Err("was not read".to_owned())).map_err(|reason| {
                let message = format!("{key}: `{}` {reason}", path.display());
                Flaw { span: file.span.clone(), message, hint: path_hint(&file.value, &reason) }
            })
        }
        (Some(_), Some(_)) => {
            let message = format!("{key} takes only one of `env` and `file`");
            Err(Flaw::new(at.span.clone(), message).hint("remove the one that does not hold the secret"))
        }
        (None, None) => Err(Flaw::new(at.span.clone(), format!("{key} needs one of `env` and `file`"))
            .hint("write \"text\", { env = \"NAME\" } or { file = \"path\" }")),
    }
}

fn fits(pen: &Pen<'_>, key: &str, at: &At<SecretForm>, secret: Secret) -> Result<Secret, Flaw> {
    let length = secret.reveal().len();
    let flaw = |wrong: &str| Flaw::new(at.span.clone(), format!("{} {wrong}", pen.key(key)));
    match length {
        0 if pen.table.first().is_some_and(|table| table == "source") => {
            Err(flaw("is empty").hint("it is the secret of the subscription at Track, which is never empty"))
        }
        0 if key == "secret" => Err(flaw("is empty").hint("leave the key out to have one made")),
        0 => Err(flaw("is empty").hint("leave the key out if the user needs none")),
        length if length > LONGEST => Err(flaw(&format!("is longer than {LONGEST} bytes"))),
        _ => Ok(secret),
    }
}
