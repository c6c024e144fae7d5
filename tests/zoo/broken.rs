//! The shipped `match.wasm` with bits flipped and its end cut off: each is refused with a
//! sentence or works, within the time that one command may take.
//!
//! `TRACKRELAY_ROUNDS` sets how many files there are; the seed of each is printed with it.

use std::fmt::Write as _;
use std::time::Instant;

use serde_json::Value;

use super::row;
use crate::harness::dice::Dice;
use crate::harness::guest::save;
use crate::harness::{Receiver, Relay, event, repository, wait_until};

/// Files by default. Half of those with flipped bits still compile, which takes the time.
const FILES: usize = 24;

/// Files of one config: together they must be checked before a command is given up.
const AT_ONCE: usize = 12;

/// An odd one is cut, an even one has up to eight flipped bits.
fn broken(whole: &[u8], seed: usize) -> Vec<u8> {
    let mut dice = Dice::of(("broken", seed));
    let mut bytes = whole.to_vec();
    if seed % 2 == 1 {
        bytes.truncate(dice.below(whole.len() as u64) as usize);
        return bytes;
    }
    for _ in 0..=dice.below(8) {
        let at = dice.below(whole.len() as u64) as usize;
        bytes[at] ^= 1 << dice.below(8);
    }
    bytes
}

fn tables(receiver: &Receiver, seeds: &[usize]) -> String {
    let mut tables = String::new();
    for seed in seeds {
        writeln!(tables, "\n[plugin.p{seed}]\npath = \"p{seed}.wasm\"").unwrap();
        tables += &receiver.table(&format!("s{seed}"));
        let config = "{ \"payload.billable\" = true }";
        writeln!(tables, "filter = [{{ plugin = \"p{seed}\", config = {config} }}]").unwrap();
    }
    tables
}

/// Those of the errors that are about this plugin.
fn about(errors: &[Value], seed: usize) -> impl Iterator<Item = &str> {
    let name = format!("plugin `p{seed}`");
    errors.iter().filter_map(|error| error["message"].as_str()).filter(move |message| message.contains(&name))
}

#[test]
fn a_broken_file_is_refused_or_works() {
    let whole = std::fs::read(repository("plugins/match.wasm")).unwrap();
    let files = std::env::var("TRACKRELAY_ROUNDS").map_or(FILES, |rounds| rounds.parse().unwrap());
    let (mut refused, mut taken) = (0, 0);
    let begun = Instant::now();
    for first in (0..files).step_by(AT_ONCE) {
        let seeds: Vec<_> = (first..files.min(first + AT_ONCE)).collect();
        let fit = tried(&whole, &seeds);
        refused += seeds.len() - fit;
        taken += fit;
    }
    assert!(refused > 0, "nothing was refused of {files}");
    row(
        &format!("{files} broken copies of `match.wasm`"),
        &format!("{refused} refused with a sentence, {taken} work or fail by name"),
        begun.elapsed(),
    );
}

/// How many of them can be used; those then are.
fn tried(whole: &[u8], seeds: &[usize]) -> usize {
    let receiver = Receiver::start();
    let mut relay = Relay::prepare(&tables(&receiver, seeds));
    for seed in seeds {
        save(&broken(whole, *seed), &relay.path(&format!("p{seed}.wasm")));
    }
    let check = relay.cli(&["check", "--json"]);
    assert!([0, 78].contains(&check.code), "seeds {seeds:?}: {check:?}");
    assert!(!check.stderr.contains("panicked"), "seeds {seeds:?}: {check:?}");
    let errors = check.json()["errors"].as_array().cloned().unwrap_or_default();
    let fit: Vec<_> = seeds.iter().copied().filter(|seed| about(&errors, *seed).next().is_none()).collect();
    assert_eq!(errors.len(), seeds.len() - fit.len(), "one sentence for each: {errors:#?}");

    relay.save(&tables(&receiver, &fit));
    relay.start_again();
    relay.send(&event("time_entry.created", 1).with("billable", true));
    for seed in &fit {
        let name = format!("s{seed}");
        wait_until(&format!("seed {seed} comes to an end"), || {
            let outcome = relay.decision(1, &name)["outcome"].clone();
            ["delivered", "held", "skipped_plugin"].contains(&outcome.as_str()?).then_some(())
        });
    }
    fit.len()
}
