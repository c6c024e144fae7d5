//! What the doctor says, of a store of each kind.

use std::path::Path;

use super::*;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;

fn ground(folder: &Path) -> Invocation {
    let config = folder.join("config.toml");
    std::fs::write(&config, format!("[store]\npath = \"{}/store\"\n", folder.display())).unwrap();
    let home = folder.display().to_string();
    Invocation::with_env(Some(config), move |name| {
        matches!(name, "HOME" | "XDG_RUNTIME_DIR").then(|| home.clone())
    })
}

fn found(here: &Invocation) -> Vec<String> {
    let ground = Ground::survey(here).unwrap();
    let found = CHECKS.iter().flat_map(|check| check(&ground));
    found.map(|finding| output::plain(&line(&finding))).collect()
}

#[test]
fn without_a_store_all_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let here = ground(folder.path());
    let said = found(&here);
    assert!(said.iter().all(|line| !line.starts_with("problem")), "{said:?}");
    assert!(run(Args { json: false, repair: false }, &here).is_ok());
    assert!(run(Args { json: false, repair: true }, &here).is_ok());
}

#[tokio::test]
async fn a_broken_store_is_told_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let here = ground(folder.path());
    let store = folder.path().join("store");
    SqliteStore::open(&store).unwrap().close().await.unwrap();
    assert!(
        found(&here).iter().any(|line| line == "ok store: sound; 0 events, 0 waiting, 0 subscriptions\n")
    );

    let file = store.join("trackrelay.db");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[..100].fill(7);
    std::fs::write(&file, bytes).unwrap();
    let said = found(&here);
    let named = |line: &String| line.starts_with("problem store") && line.contains("trackrelay.db");
    assert!(said.iter().any(|line| named(line) && line.contains("trackrelay doctor --repair")), "{said:?}");
    assert_eq!(run(Args { json: true, repair: false }, &here).unwrap_err().exit_code(), 1);

    run(Args { json: false, repair: true }, &here).unwrap();
    assert!(run(Args { json: false, repair: false }, &here).is_ok(), "{:?}", found(&here));
    SqliteStore::open(&store).unwrap();
}

#[test]
fn losses_are_told_in_numbers() {
    let saved = crate::store::sqlite::salvage::Saved {
        events: 12,
        events_lost: 3,
        decisions: 1,
        decisions_lost: true,
        waiting: 2,
        subscriptions: 1,
        standings_lost: vec!["slack".to_owned()],
        plans: 1,
    };
    let text = told(&Salvaged { kept: vec!["/s/trackrelay.db.damaged-1".into()], saved });
    assert_eq!(
        text,
        "saved: 12 events, 1 outcome of ended deliveries, 2 deliveries waiting, 1 subscription\n\
         lost: 3 events\n\
         lost: some outcomes; deliveries of saved events may go out a second time\n\
         lost: how `slack` stood; it is validated again, and a secret made here is made anew\n\
         kept: `/s/trackrelay.db.damaged-1`, the damaged file; delete it when nothing is missed\n"
    );
}
