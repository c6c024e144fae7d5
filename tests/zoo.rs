//! The safety zoo: hostile plugins side by side in one daemon with a good subscription. Each
//! ends in an outcome with a name, and the good one's events take no longer than without them.
//!
//! `cargo test -p trackrelay --test promises -- zoo --nocapture` prints the table of
//! `docs/plugin-safety.md`.

mod alone;
mod animals;
mod broken;
mod files;
mod loads;
mod neighbour;

use std::time::{Duration, Instant};

use crate::harness::event::{ACTIONS, ENTITIES};
use crate::harness::guest::{Guest, save};
use crate::harness::{Receiver, Relay, Sender, event, wait_until};
use animals::Animal;
use neighbour::Neighbour;

/// A kind of events for each animal: every one but the neighbour's.
fn kind(at: usize) -> String {
    let of = |entity: &'static str| ACTIONS.iter().map(move |action| format!("{entity}.{action}"));
    let mut others = ENTITIES.into_iter().flat_map(of).filter(|kind| kind != neighbour::KIND);
    others.nth(at).expect("more animals than kinds of events")
}

fn row(attack: &str, outcome: &str, took: Duration) {
    let outcome: String = outcome.chars().take(240).collect();
    eprintln!("| {attack} | {outcome} | {} ms |", took.as_millis());
}

/// An animal's cage: its plugin, and a subscription that gets one kind of event.
fn cage(receiver: &Receiver, at: usize, animal: &Animal) -> String {
    let plugin = format!("\n[plugin.a{at}]\npath = \"a{at}.wasm\"\n{}\n", animal.keys);
    let table = receiver.table_for(&format!("a{at}"), &format!("[\"{}\"]", kind(at)));
    plugin + &table + &format!("{} = [{{ plugin = \"a{at}\" }}]\n", animal.stage)
}

#[test]
fn hostile_calls_end_with_a_name_and_hurt_nobody_else() {
    let receiver = Receiver::start();
    let animals = animals::all();
    let mut tables = neighbour::tables(&receiver);
    tables.extend(animals.iter().enumerate().map(|(at, animal)| cage(&receiver, at, animal)));
    let mut relay = Relay::prepare(&tables.concat());
    Guest::Good.save(&relay.path("good.wasm"));
    for (at, animal) in animals.iter().enumerate() {
        save(&animal.wasm, &relay.path(&format!("a{at}.wasm")));
    }
    relay.start_again();

    let mut neighbour = Neighbour::new(&relay, &receiver);
    for (at, animal) in animals.iter().enumerate() {
        neighbour.in_peace();
        let id = 1000 + at as i64;
        let begun = Instant::now();
        // In as many lanes as one entry serves at once; one of them is looked at.
        let lanes = (0..4).map(|lane| event(&kind(at), id + 100 * lane).of(lane));
        Sender::unix(&relay).send_all(&lanes.collect::<Vec<_>>());
        let (name, outcome) = (format!("a{at}"), animal.end.outcome());
        let mut decision = relay.decision(id, &name);
        while decision["outcome"] != outcome {
            neighbour.beside_others();
            assert!(begun.elapsed() < crate::harness::DEADLINE, "{}: {decision:#}", animal.attack);
            decision = relay.decision(id, &name);
        }
        let took = begun.elapsed();
        let reason = decision["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(animal.end.said()), "{}: {reason}", animal.attack);
        assert!(outcome == "delivered" || outcome == "skipped_plugin" || reason.contains(&name), "{reason}");
        row(animal.attack, &format!("{outcome}: {}", reason.replace(&name, "p")), took);
    }
    neighbour.was_not_hurt();
    let status = relay.status();
    assert_eq!(status["config"]["state"], "ok", "{status:#}");
    assert!(!relay.log().contains("\nforged"), "a line of log that a plugin made up");
}

#[test]
fn hostile_files_are_refused_with_a_sentence_and_hurt_nobody_else() {
    let receiver = Receiver::start();
    let mut tables = neighbour::tables(&receiver);
    tables.push("\n[plugin.p]\npath = \"p.wasm\"\nlimits = { memory = \"4MiB\" }\n".into());
    tables.push(receiver.table_for("caged", "[\"tag.created\"]") + "filter = [{ plugin = \"p\" }]\n");
    let mut relay = Relay::prepare(&tables.concat());
    Guest::Good.save(&relay.path("good.wasm"));
    Guest::Good.save(&relay.path("p.wasm"));
    relay.start_again();

    let mut neighbour = Neighbour::new(&relay, &receiver);
    for (attack, bytes, said) in files::all() {
        neighbour.in_peace();
        match bytes {
            files::Bytes::All(bytes) => save(&bytes, &relay.path("p.wasm")),
            files::Bytes::Zeros(size) => {
                std::fs::File::create(relay.path("p.wasm")).unwrap().set_len(size).unwrap();
            }
        }
        let begun = Instant::now();
        let reply = std::thread::scope(|scope| {
            let reload =
                scope.spawn(|| Sender::unix(&relay).post("/api/reload", "application/json", b"").json());
            while !reload.is_finished() {
                neighbour.beside_others();
            }
            reload.join().unwrap()
        });
        let took = begun.elapsed();
        let errors = &reply["errors"];
        let message = errors[0]["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains("plugin `p`") && message.contains(said), "{attack}: {reply:#}");
        let folder = relay.path("").display().to_string();
        row(attack, &format!("refused: {}", message.replace(&folder, "")), took);
    }
    neighbour.was_not_hurt();
    // What was in force all the time still is, and a good file is taken again.
    relay.send(&event("tag.created", 1));
    relay.wait_for_outcome(1, "caged", "delivered");
    Guest::Good.save(&relay.path("p.wasm"));
    wait_until("the config is good again", || (relay.status()["config"]["state"] == "ok").then_some(()));
}
