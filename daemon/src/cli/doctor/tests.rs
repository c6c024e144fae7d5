//! What the doctor says, of a store of each kind.

use std::path::Path;

use super::*;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::salvage::Saved;

fn ground(folder: &Path) -> Invocation {
    let config = folder.join("config.toml");
    // The usual port may be a daemon's that runs on this machine.
    let text = format!("[listen]\ntcp = \"127.0.0.1:0\"\n[store]\npath = \"{}/store\"\n", folder.display());
    std::fs::write(&config, text).unwrap();
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

/// The usual store is not that of a config nobody has.
#[test]
fn without_a_config_the_way_out_is_told_and_no_store_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let here = ground(folder.path());
    let config = folder.path().join("config.toml");
    std::fs::remove_file(&config).unwrap();
    let missing = format!("the config `{}` does not exist", config.display());
    let said = found(&here);
    let way_out = "`trackrelay init` writes one, `--config FILE` names another";
    assert!(said.contains(&format!("problem config: {missing}; {way_out}\n")), "{said:?}");
    assert!(said.iter().all(|line| !line.contains("store")), "{said:?}");
    let refused = run(Args { json: false, repair: true }, &here).unwrap_err();
    assert_eq!((refused.exit_code(), refused.to_string()), (78, missing));
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
fn losses_are_told_in_numbers_and_doubts_as_doubts() {
    let saved = Saved {
        events: 12,
        events_lost: Lost { at_least: 3, perhaps_more: false },
        decisions: 1,
        decisions_doubtful: true,
        waiting: 2,
        subscriptions: 1,
        standings_lost: vec!["slack".to_owned()],
        subscriptions_doubtful: false,
        plans: 1,
    };
    let mut done = Salvaged { kept: vec!["/s/trackrelay.db.damaged-1".into()], saved };
    assert_eq!(
        told(&done),
        "saved: 12 events, 1 outcome of ended deliveries, 2 deliveries waiting, 1 subscription\n\
         lost: 3 events\n\
         lost: perhaps some outcomes; deliveries of saved events may go out a second time\n\
         lost: how `slack` stood; it is validated again, and a secret made here is made anew\n\
         kept: `/s/trackrelay.db.damaged-1`, the damaged file; delete it when nothing is missed\n"
    );
    let facts = document(&done);
    assert_eq!((&facts["events_lost"], &facts["decisions_lost"]), (&json!(3), &json!(null)));
    assert_eq!(facts["subscriptions_lost"], json!(false));

    for (at_least, said) in [
        (0, "lost: perhaps some events; how many cannot be known\n"),
        (1, "lost: at least 1 event; how many more cannot be known\n"),
    ] {
        done.saved.events_lost = Lost { at_least, perhaps_more: true };
        assert!(told(&done).contains(said), "{}", told(&done));
        let facts = document(&done);
        assert_eq!((&facts["events_lost"], &facts["events_lost_at_least"]), (&json!(null), &json!(at_least)));
    }
}
