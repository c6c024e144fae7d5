//! The same edit without a daemon: checked and written by the command itself, which takes
//! the store's lock while it needs the store.

use std::path::Path;
use std::time::Duration;

use super::{Known, Prepared, end, prepare};
use crate::api::{NotEdited, Wish};
use crate::clock;
use crate::config::edit::{Edit, Error};
use crate::config::{Config, load};
use crate::daemon::{PLUGIN_CACHE, takeover};
use crate::plan::Guests;
use crate::plugin::Host;
use crate::store::{self, Store, sqlite::SqliteStore};

/// Another command may edit at the same time; whoever comes second starts again from what
/// the first has written.
const TRIES: u32 = 50;

/// Another command has the store for a moment only; a daemon would have it for good.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: u32 = 60;

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Makes a change in files and store. Returns how many waiting deliveries were cancelled.
pub async fn edit(path: &Path, wish: &Wish, env: Env<'_>) -> Result<u64, NotEdited> {
    for _ in 1..TRIES {
        match edit_once(path, wish, env).await {
            Err(NotEdited::File(Error::Stale { .. })) if matches!(wish, Wish::Edit { .. }) => {}
            done => return done,
        }
    }
    edit_once(path, wish, env).await
}

async fn edit_once(path: &Path, wish: &Wish, env: Env<'_>) -> Result<u64, NotEdited> {
    let main = load::main_file(path);
    let loaded = load::load(&main, env);
    let hashes = loaded.hashes();
    let subscriptions = match (&loaded.result, wish) {
        (Ok(config), _) => config.subscriptions.as_slice(),
        // It may be the very thing that is mended.
        (Err(_), Wish::Save { .. }) => &[],
        (Err(problems), Wish::Edit { .. }) => return Err(NotEdited::Broken(problems.clone())),
    };
    let known = Known { main: &main, subscriptions, hashes: &hashes };
    let prepared = prepare(wish.clone(), known)?;
    let config = check(&main, &prepared, env)?;
    let store = open(&config, &prepared).await?;
    prepared.carry_out(store.as_deref(), clock::now()).await?;
    let Some(store) = store else { return Ok(0) };
    takeover::finish_renames(&*store, &config, clock::now()).await?;
    let cancelled = match wish {
        Wish::Edit { edit: Edit::Remove { name }, .. } => end(&*store, name, clock::now()).await?,
        _ => 0,
    };
    store.close().await?;
    Ok(cancelled)
}

/// The config as it would be, loaded and with its plugins tried out.
fn check(main: &Path, prepared: &Prepared, env: Env<'_>) -> Result<Config, NotEdited> {
    let config = load::load_as_if(main, env, &prepared.instead()).result.map_err(NotEdited::Invalid)?;
    let cache = config.store.path.join(PLUGIN_CACHE);
    let host = Host::new(cache.is_dir().then_some(&cache));
    let host = host.map_err(|error| NotEdited::Failed(format!("{error:#}")))?;
    Guests::load(&config, &host, None).map_err(NotEdited::Invalid)?;
    Ok(config)
}

/// The store, if the edit has to do with it. There is nothing to change in one that has
/// never been opened, unless it is to keep a secret.
async fn open(config: &Config, prepared: &Prepared) -> Result<Option<Box<dyn Store>>, NotEdited> {
    if !prepared.asks_the_store(config.store.path.exists()) {
        return Ok(None);
    }
    for _ in 1..LOOKS {
        match open_once(config).await {
            Err(NotEdited::Store(store::Error::InUse { .. })) => tokio::time::sleep(LOOK).await,
            opened => return opened.map(Some),
        }
    }
    open_once(config).await.map(Some)
}

async fn open_once(config: &Config) -> Result<Box<dyn Store>, NotEdited> {
    let path = config.store.path.clone();
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path)).await;
    Ok(Box::new(opened.map_err(|panic| NotEdited::Failed(panic.to_string()))??))
}
