//! What a round is played on: one daemon with four subscriptions, the receiver with its
//! moods, and the witness; how the daemon is made to die, and how a round is brought to rest.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use trackrelay::drill::Point;

use crate::harness::crowd::is_billable;
use crate::harness::dice::Dice;
use crate::harness::model::{Story, Subscription};
use crate::harness::relay::DIE;
use crate::harness::sender::Sender;
use crate::harness::witness::Witness;
use crate::harness::{
    Answer, DEADLINE, Receiver, Relay, Request, SECRET, event, repository, wait_at_most, wait_until,
};

/// Attempts of a delivery to `flaky`, and failed ones in a row that disable it.
const ATTEMPTS: u32 = 2;
const DISABLE_AFTER: u32 = 4;

/// Events from before the round, for rounds that prune them: their ids are below all others.
const OLD: std::ops::Range<i64> = 1..30;

/// Older than `keep`.
const AGED: &str = "UPDATE events SET arrived_at = arrived_at - 2 * 3600 * 1000000000";

/// A plugin takes a second to compile in a debug build; all rounds share the result.
static COMPILED: LazyLock<TempDir> = LazyLock::new(|| {
    let (receiver, folder) = (Receiver::start(), tempfile::tempdir().unwrap());
    let relay = Relay::start(&tables(&receiver, None));
    copy(&relay.store().join("plugin-cache"), folder.path());
    folder
});

pub struct Stage {
    pub relay: Relay,
    pub witness: Witness,
    receiver: Receiver,
    delivered_before: u64,
    /// Saves so far; each differs from the one before.
    saves: u64,
    pruned: bool,
}

impl Stage {
    pub fn set(dice: &mut Dice, room: &str) -> Stage {
        let (receiver, witness) = (Receiver::start(), Witness::default());
        let relay = Relay::prepare(&tables(&receiver, Some(0)));
        fs::DirBuilder::new().mode(0o700).recursive(true).create(relay.store()).unwrap();
        copy(COMPILED.path(), &relay.store().join("plugin-cache"));
        let pruned = room == "prune";
        let mut stage = Stage { relay, witness, receiver, delivered_before: 0, saves: 0, pruned };
        if pruned {
            stage.grow_old();
        }
        stage.receiver.answer(moods(dice, stage.witness.clone()));
        stage
    }

    /// Starts the daemon and has it die there.
    #[track_caller]
    pub fn die(&mut self, point: Point, times: u64, way: &str) {
        let order = format!("{}:{times}:{way}", point.name());
        self.relay.set_env(DIE, &*order);
        self.relay.launch();
        let reloads = point.name().starts_with("reload");
        let dead = wait_at_most(DEADLINE, || {
            if reloads && !self.relay.has_ended() {
                self.save();
            }
            self.relay.has_ended().then_some(())
        });
        assert!(dead.is_some(), "never came to {order}");
        let signal = self.relay.wait_for_end().signal();
        assert_eq!(signal, Some(if way == "kill" { 9 } else { 6 }), "died of something else than {order}");
        self.relay.unset_env(DIE);
        self.receiver.hear_out();
        self.witness.died();
    }

    /// Waits until nothing waits any more. Whom failures disabled is enabled again.
    pub fn drain(&mut self) {
        self.relay.save(&tables(&self.receiver, Some(self.saves)));
        self.witness.rest(&self.relay, &["plain", "picky", "flaky", "guest"]);
        if self.pruned {
            let mut sender = Sender::unix(&self.relay);
            let gone = |id: i64, sender: &mut Sender| sender.get(&format!("/api/why/{id}")).status == 404;
            wait_until("what is old is gone", || OLD.clone().all(|id| gone(id, &mut sender)).then_some(()));
        }
    }

    pub fn story(&self) -> Story {
        let all = |_: i64| true;
        let subscription = |name: &str, always, serial, wants| Subscription {
            name: name.to_owned(),
            serial,
            always,
            wants,
            attempts: ATTEMPTS,
            disable_after: DISABLE_AFTER,
            delivered_before: self.delivered_before,
        };
        let subscriptions = vec![
            subscription("plain", true, false, all),
            Subscription { delivered_before: 0, ..subscription("picky", true, false, is_billable) },
            subscription("flaky", true, true, all),
            subscription("guest", false, false, all),
        ];
        self.witness.story(&self.relay, subscriptions)
    }

    /// Stops the daemon; what it leaves behind is in order.
    pub fn close(mut self) {
        assert!(self.receiver.events().iter().all(|request| request.signed), "a wrong signature");
        self.relay.stop();
        let database = Connection::open_with_flags(database(&self.relay), OpenFlags::SQLITE_OPEN_READ_ONLY);
        let database = database.unwrap();
        let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        let nothing = [
            ("rows that wait", "SELECT count(*) FROM waiting"),
            ("counts of what waits", "SELECT sum(abs(waiting)) FROM subscriptions"),
            (
                "decisions without their event",
                "SELECT count(*) FROM decisions WHERE seq NOT IN (SELECT seq FROM events)",
            ),
            ("events that are there twice", "SELECT count(*) - count(DISTINCT event_id) FROM events"),
        ];
        for (what, sql) in nothing {
            let found: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
            assert_eq!(found, 0, "{what}");
        }
    }

    /// Saves what differs from the last time: `guest` comes, changes and goes.
    fn save(&mut self) {
        self.saves += 1;
        let guest = Some(self.saves).filter(|saves| saves % 3 != 0);
        self.relay.save_by_rename(&tables(&self.receiver, guest));
        // The daemon may die over it, or not yet be there.
        if let Ok(mut sender) = Sender::at(&self.relay.socket()) {
            drop(sender.try_request("POST", "/api/reload", &[], b""));
        }
    }

    /// A life before: some events are delivered, some wait for somebody who is not there;
    /// then all of them are older than `keep`.
    fn grow_old(&mut self) {
        let away = "\n[subscription.away]\nurl_callback = \"http://127.0.0.1:1\"\nevent_filters = [\"tag.*\"]\n\
            validation = \"off\"\nwhen_unreachable = \"wait\"\n";
        self.relay.save(&(tables(&self.receiver, Some(0)) + away));
        self.relay.start_again();
        let events: Vec<_> =
            OLD.map(|id| event("tag.created", id).of(id % 5).with("billable", false)).collect();
        self.relay.send_all(&events);
        self.delivered_before = OLD.count() as u64;
        for name in ["plain", "flaky", "guest"] {
            self.relay
                .wait_for(name, "has delivered what is old", |it| it["delivered"] == self.delivered_before);
        }
        self.relay.wait_for("away", "waits", |it| it["pending"] == self.delivered_before);
        self.relay.stop();
        Connection::open(database(&self.relay)).unwrap().execute(AGED, []).unwrap();
        self.relay.save(&(tables(&self.receiver, Some(0)) + away));
    }
}

/// `guest` with a timeout that depends on the number of the save, or without it.
fn tables(receiver: &Receiver, guest: Option<u64>) -> String {
    let plugin = repository("plugins/match.wasm");
    let store = format!("\n[store]\nkeep = \"1h\"\n\n[source.track]\nsecret = \"{SECRET}\"\n");
    let plugin = format!("\n[plugin.match]\npath = \"{}\"\n", plugin.display());
    let plain = receiver.table("plain") + "concurrency = 4\n";
    let filter = "filter = [{ plugin = \"match\", config = { \"payload.billable\" = true } }]\n";
    let picky = receiver.table("picky") + filter;
    let rule = format!("retry = [\"5ms\"]\ndisable_after = {DISABLE_AFTER}\norder = \"subscription\"\n");
    let flaky = receiver.table("flaky") + &rule;
    let guest = guest.map(|n| receiver.table("guest") + &format!("timeout = \"{}s\"\n", 5 + n % 20));
    [&*store, &plugin, &plain, &picky, &flaky, &guest.unwrap_or_default()].concat()
}

/// Answers take a moment; `flaky` fails now and then, in some rounds for a while.
fn moods(dice: &mut Dice, witness: Witness) -> impl Fn(&Request, usize) -> Answer + use<> {
    let (seed, wait) = (dice.below(u64::MAX), Duration::from_micros(dice.below(2000)));
    let begins = dice.below(40) as usize;
    let outage = if dice.one_in(2) { begins..begins + 7 } else { 0..0 };
    move |request, before| {
        let id = request.event_id();
        let moody = Dice::of((seed, id, before)).one_in(6) || outage.contains(&before);
        let ok = request.path != "/flaky" || !moody;
        witness.saw(request, ok);
        Answer::status(if ok { 200 } else { 500 }).after(wait)
    }
}

fn database(relay: &Relay) -> std::path::PathBuf {
    relay.store().join("trackrelay.db")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
