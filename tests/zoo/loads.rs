//! What a start costs that has a plugin to compile, and one that finds it compiled.
//!
//! `cargo test -p trackrelay --test promises -- zoo::loads --nocapture` prints the times of
//! `docs/performance.md`; with `--release` those of a release build.

use std::time::{Duration, Instant};

use super::row;
use crate::harness::{Receiver, Relay, repository};

/// Starts of each kind; the median counts.
const STARTS: usize = 3;

fn tables(receiver: &Receiver, name: Option<&str>) -> String {
    let Some(name) = name else { return receiver.table("s") };
    let path = repository(&format!("plugins/{name}.wasm")).canonicalize().unwrap();
    let config = match name {
        "match" => "filter = [{ plugin = \"p\", config = { \"payload.billable\" = true } }]\n",
        "redact" => "transform = [{ plugin = \"p\", config = { drop = [\"payload.name\"] } }]\n",
        _ => "transform = [{ plugin = \"p\" }]\n",
    };
    format!("[plugin.p]\npath = \"{}\"\n", path.display()) + &receiver.table("s") + config
}

/// How long a start takes until the daemon serves, with nothing compiled and with everything.
fn starts(receiver: &Receiver, name: Option<&str>) -> [Duration; 2] {
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..STARTS {
        let mut relay = Relay::prepare(&tables(receiver, name));
        for took in &mut took {
            let begun = Instant::now();
            relay.start_again();
            took.push(begun.elapsed());
            relay.stop();
        }
    }
    took.map(|mut took| {
        took.sort();
        took[STARTS / 2]
    })
}

#[test]
fn compiled_code_is_kept_in_the_state_folder() {
    let receiver = Receiver::start();
    let [first, again] = starts(&receiver, None);
    row("a start without plugins, first and again", &format!("{} and", first.as_millis()), again);
    for name in ["match", "slack", "redact"] {
        let [cold, warm] = starts(&receiver, Some(name));
        row(&format!("a start with `{name}`, compiled and kept"), &format!("{} and", cold.as_millis()), warm);
        assert!(warm < cold, "{name}: {warm:?} with the cache, {cold:?} without");
    }
}
