//! Saves without end under load, good ones and broken ones, in every way there is: nothing is
//! lost, nothing comes twice, nothing grows, and in the end the last good config is in force.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::crowd::{Crowd, is_billable};
use crate::harness::dice::Dice;
use crate::harness::guest::Guest;
use crate::harness::model::{Subscription, judge};
use crate::harness::relay::BASE;
use crate::harness::witness::Witness;
use crate::harness::{Answer, Receiver, Relay, Request, event, repository};

mod saves;

/// Saves of the storm, and those that come in one gust, at whose end the daemon is looked at.
const SAVES: usize = 1000;
const GUST: usize = 10;

/// Replacements of a plugin's file.
const PLUGINS: usize = 60;

/// Senders, and the longest that each rests, in milliseconds.
const SENDERS: i64 = 4;
const REST: u64 = 100;

/// Gusts after which memory and descriptors are measured for the first time.
const WARM: usize = 20;

/// Attempts of a delivery to `flaky`, and failed ones in a row that disable it.
const ATTEMPTS: u32 = 2;
const DISABLE_AFTER: u32 = 4;

/// What a save may not change for good: kilobytes resident, and open descriptors.
const MORE_KIB: u64 = 32 << 10;
const MORE_OPEN: usize = 16;

#[test]
fn a_thousand_saves_under_load_lose_and_double_nothing() {
    let (receiver, witness, mut dice) = (Receiver::start(), Witness::default(), Dice::of("saves"));
    let mut relay = Relay::prepare("");
    relay.save_whole(&config(&receiver, 0));
    relay.start_again();
    receiver.answer(answers(witness.clone()));
    let started = relay.status()["started_at"].clone();
    let crowd = Crowd::start(relay.unix(), &witness, &dice, SENDERS, REST, None);
    let begun = Instant::now();
    let mut before = None;
    let mut slowest = Duration::ZERO;
    for gust in 0..SAVES / GUST {
        blow(&relay, &receiver, &mut dice, gust * GUST);
        let saved = Instant::now();
        looks_as_it_should(&relay, gust);
        slowest = slowest.max(saved.elapsed());
        if gust == WARM {
            before = Some(weight(&relay));
        }
    }
    let (kib, open) = before.expect("more gusts than that");
    let (kib_after, open_after) = weight(&relay);
    let took = begun.elapsed();
    // The last gust ended with a broken save; what the one before said is in force. Now a good one.
    relay.save_whole(&config(&receiver, SAVES));
    relay.wait_until("the last good config is in force", |status| in_force(status, SAVES));
    crowd.finish();
    witness.rest(&relay, &["plain", "picky", "flaky", "guest", "visitor"]);
    assert_eq!(relay.status()["started_at"], started, "it is still the first daemon");

    let story = witness.story(&relay, subscriptions());
    let judgement = judge(&story);
    eprintln!(
        "{SAVES} saves in {took:.1?} under {} events, in force after {slowest:?} at most; \
         {kib} and {kib_after} KiB, {open} and {open_after} descriptors",
        story.told.len()
    );
    assert!(judgement.wrongs.is_empty(), "{:#?}", judgement.wrongs);
    assert_eq!(judgement.doubles, 0);
    assert!(story.told.len() > SAVES, "hardly any load: {} events", story.told.len());
    assert!(kib_after < kib + MORE_KIB && open_after < open + MORE_OPEN, "it grows");
}

#[test]
fn a_storm_of_plugin_files_loses_and_doubles_nothing() {
    let (receiver, witness, mut dice) = (Receiver::start(), Witness::default(), Dice::of("plugins"));
    let plugin = "[plugin.guest]\npath = \"guest.wasm\"\n";
    let guarded = receiver.table("guarded") + "filter = [{ plugin = \"guest\" }]\n";
    let mut relay = Relay::prepare(&(plugin.to_owned() + &guarded + &receiver.table("plain")));
    let file = relay.path("guest.wasm");
    fs::write(&file, version(0)).unwrap();
    relay.start_again();
    receiver.answer(answers(witness.clone()));
    let crowd = Crowd::start(relay.unix(), &witness, &dice, SENDERS, REST, None);
    for n in 1..=PLUGINS {
        let (garbage, good) = (n % 2 == 1, version(n));
        let bytes = if garbage { &good[..dice.below(good.len() as u64) as usize] } else { &good };
        if dice.one_in(2) {
            fs::write(&file, bytes).unwrap();
        } else {
            fs::write(relay.path("guest.new"), bytes).unwrap();
            fs::rename(relay.path("guest.new"), &file).unwrap();
        }
        if dice.one_in(3) {
            let state = if garbage { "stale" } else { "ok" };
            relay.wait_until("it is noticed", |status| status["config"]["state"] == state);
        } else {
            thread::sleep(Duration::from_millis(dice.below(60)));
        }
    }
    relay.wait_until("the last one is good", |status| status["config"]["state"] == "ok");
    crowd.wait_for_more(20);
    crowd.finish();
    witness.rest(&relay, &["guarded", "plain"]);
    let story = witness.story(&relay, vec![subscription("guarded"), subscription("plain")]);
    let judgement = judge(&story);
    eprintln!("{PLUGINS} plugin files under {} events", story.told.len());
    assert!(judgement.wrongs.is_empty(), "{:#?}", judgement.wrongs);
    assert_eq!(judgement.doubles, 0);
}

#[test]
fn what_waits_outlives_its_subscription_ten_times() {
    let receiver = Receiver::start();
    let table = |name: &str, n: usize| {
        receiver.table(name) + &format!("when_unreachable = \"wait\"\ntimeout = \"{}s\"\n", 5 + n)
    };
    let relay = Relay::start(&table("guest", 0));
    receiver.stop();
    relay.send_all(&(1..=20).map(|id| event("tag.created", id).of(id % 3)).collect::<Vec<_>>());
    let id = relay.wait_for("guest", "waits", |it| it["pending"] == 20)["subscription_id"].clone();
    for n in 1..=10 {
        // Another name in the file is another subscription, which begins with nothing.
        relay.save(&table("visitor", n));
        let visitor = relay.wait_for("visitor", "is there", |it| !it.is_null());
        assert_ne!(visitor["subscription_id"], id);
        assert!(relay.subscription("guest").is_null());
        relay.send(&event("tag.created", 100 + n as i64).of(7));
        relay.save(&table("guest", n));
        let back = relay.wait_for("guest", "is back", |it| !it.is_null());
        assert_eq!((&back["subscription_id"], &back["pending"]), (&id, &20.into()), "{back}");
    }
    relay.save(&(table("guest", 11) + &table("visitor", 11)));
    relay.wait_for("visitor", "is back", |it| it["pending"] == 10);
    receiver.start_again();
    // A change of its table ends a wait.
    relay.save(&(table("guest", 12) + &table("visitor", 12)));
    for (name, count) in [("guest", 20), ("visitor", 10)] {
        relay
            .wait_for(name, "has delivered what waited", |it| it["pending"] == 0 && it["delivered"] == count);
        let ids = receiver.ids_at(name);
        assert_eq!(ids.len(), count, "{name}: {ids:?}");
    }
    for entity in 0..3 {
        let lane: Vec<_> = receiver.ids_at("guest").into_iter().filter(|id| id % 3 == entity).collect();
        assert!(lane.is_sorted(), "{lane:?}");
    }
}

/// One gust: good and broken saves in turn; which of them comes last changes from gust to gust.
fn blow(relay: &Relay, receiver: &Receiver, dice: &mut Dice, first: usize) {
    for n in first..first + GUST {
        let text = if is_good(n) { config(receiver, n) } else { broken(receiver, n) };
        let (_, save) = saves::way(dice);
        save(&relay.config(), &text, n);
        thread::sleep(Duration::from_millis(dice.below(8)));
    }
}

/// Every other save is good, and the last of every other gust.
fn is_good(n: usize) -> bool {
    (n / GUST + n) % 2 == 1
}

/// After a gust: the config of its last save is in force, or refused.
#[track_caller]
fn looks_as_it_should(relay: &Relay, gust: usize) {
    let last = gust * GUST + GUST - 1;
    if is_good(last) {
        relay.wait_until("the last save is in force", |status| in_force(status, last));
    } else {
        relay.wait_until("the last save is refused", |status| status["config"]["state"] == "stale");
    }
}

fn in_force(status: &serde_json::Value, n: usize) -> bool {
    let all = status["subscriptions"].as_array().unwrap();
    status["config"]["state"] == "ok" && all.iter().any(|one| one["name"] == format!("version-{n}"))
}

/// Version n: `guest` comes and goes, and changes; sometimes it is called `visitor`.
fn config(receiver: &Receiver, n: usize) -> String {
    let plugin = repository("plugins/match.wasm");
    let plugin = format!("\n[plugin.match]\npath = \"{}\"\n", plugin.display());
    let filter = "filter = [{ plugin = \"match\", config = { \"payload.billable\" = true } }]\n";
    let rule = format!("retry = [\"5ms\"]\ndisable_after = {DISABLE_AFTER}\norder = \"subscription\"\n");
    let timeout = format!("timeout = \"{}s\"\n", 5 + n % 20);
    let (guest, visitor) = (receiver.table("guest") + &timeout, receiver.table("visitor") + &timeout);
    let guests = match n % 3 {
        _ if n == SAVES => guest + &visitor,
        0 => guest,
        1 => visitor,
        _ => String::new(),
    };
    [
        BASE,
        &plugin,
        &(receiver.table("plain") + "concurrency = 4\n"),
        &(receiver.table("picky") + filter),
        &(receiver.table("flaky") + &rule),
        &guests,
        &receiver.table_for(&format!("version-{n}"), r#"["workspace.deleted"]"#),
    ]
    .concat()
}

/// A version that is no good, each in its own way.
fn broken(receiver: &Receiver, n: usize) -> String {
    let good = config(receiver, n);
    match n / 2 % 5 {
        0 => good + "\n[subscription.",
        1 => good + "retri = [\"1s\"]\n",
        2 => good.replace("order = \"subscription\"", "order = \"alphabetical\""),
        3 => good.replace("match.wasm", "gone.wasm"),
        _ => good.replace("url_callback = \"http://", "url_callback = \"gopher://"),
    }
}

/// `flaky` fails now and then, the same for the same request.
fn answers(witness: Witness) -> impl Fn(&Request, usize) -> Answer {
    move |request, before| {
        let ok = request.path != "/flaky" || !Dice::of((request.event_id(), before)).one_in(8);
        witness.saw(request, ok);
        Answer::status(if ok { 200 } else { 500 })
    }
}

fn subscriptions() -> Vec<Subscription> {
    vec![
        subscription("plain"),
        Subscription { wants: is_billable, ..subscription("picky") },
        Subscription { serial: true, ..subscription("flaky") },
        Subscription { always: false, ..subscription("guest") },
        Subscription { always: false, ..subscription("visitor") },
    ]
}

fn subscription(name: &str) -> Subscription {
    Subscription {
        name: name.to_owned(),
        serial: false,
        always: true,
        wants: |_| true,
        attempts: ATTEMPTS,
        disable_after: DISABLE_AFTER,
        delivered_before: 0,
    }
}

/// A filter that delivers everything, and differs from every other version by a custom section.
fn version(n: usize) -> Vec<u8> {
    let text = format!("version {n:04}");
    let mut wasm = Guest::Good.wasm();
    let name = text.len() as u8;
    wasm.extend([0, name + 1, name]);
    wasm.extend(text.into_bytes());
    wasm
}

/// Kilobytes resident, and open descriptors.
fn weight(relay: &Relay) -> (u64, usize) {
    let process = |file: &str| format!("/proc/{}/{file}", relay.pid());
    let status = fs::read_to_string(process("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("memory in use");
    let kib = line.trim().trim_end_matches(" kB").parse().expect("kilobytes");
    (kib, fs::read_dir(process("fd")).unwrap().count())
}
