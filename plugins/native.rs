//! How long a call takes as native code. Each plugin's tests have one with this that is ignored,
//! for `cargo bench --bench plugins`: it names events and config, and reads the time.

use std::env::var;
use std::fs;
use std::hint::black_box;
use std::time::Instant;

use trackrelay_plugin::Event;
use trackrelay_plugin::testing::event;

/// The plugin is configured once and shown the events in turn, as an instance is. A call ends when
/// its answer is gone, as it does for the host.
pub(crate) fn time<P, A>(
    configure: impl Fn(&str) -> Result<P, String>,
    call: impl Fn(&P, &Event) -> Result<A, String>,
) {
    let lines = fs::read_to_string(var("TRACKRELAY_NATIVE_EVENTS").unwrap()).unwrap();
    let events: Vec<_> = lines.lines().map(event).collect();
    let calls: usize = var("TRACKRELAY_NATIVE_CALLS").unwrap().parse().unwrap();
    let plugin = configure(&var("TRACKRELAY_NATIVE_CONFIG").unwrap()).unwrap();
    let mut times = Vec::with_capacity(calls);
    for event in events.iter().cycle().take(calls) {
        let begun = Instant::now();
        drop(black_box(call(&plugin, black_box(event)).unwrap()));
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    eprintln!("\nmedian_ns {}", times[calls / 2].as_nanos());
}
