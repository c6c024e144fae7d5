//! Every limit, and how hitting it reads.

use wasmtime::Engine;

use super::*;
use crate::plugin::engine;

/// The failure of a filter with this `check`, with limits that differ from the defaults so
/// that a text cannot be right by chance.
fn failure(host: &Host, check: &str) -> String {
    failure_of(host, &guest::filter(check))
}

fn failure_of(host: &Host, bytes: &[u8]) -> String {
    let bench = Bench::new();
    let spec = PluginSpec { limits: tight(), ..bench.spec(bytes) };
    let entry = filter(&host.load(&spec).unwrap());
    let Err(Failure(failure)) = ask(&entry) else { panic!("it went well") };
    // The entry goes on with another instance.
    assert_eq!(ask(&entry), Err(Failure(failure.clone())));
    failure
}

fn tight() -> PluginLimits {
    PluginLimits { time: Duration::from_millis(20), memory: 3 << 20, output: 100 << 10 }
}

const TIME: &str =
    "plugin `p` ran longer than its limit of 20ms; `[plugin.p] limits.time = \"20ms\"` changes it";

const FOREVER: &str = "(loop $again (br $again)) unreachable";
const GROW: &str = "(loop $more (drop (memory.grow (i32.const 16))) (br $more)) unreachable";

const RECURSE: &str = "(func $deep (param i32) (result i32)
    (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (local.get 0)))";

fn checks_of_every_limit(host: &Host) {
    assert_eq!(failure(host, FOREVER), TIME);
    let failed = failure(host, GROW);
    assert_eq!(
        failed,
        "plugin `p` asked for 3276800 bytes of memory, over its limit of 3MiB; \
         `[plugin.p] limits.memory = \"3MiB\"` changes it"
    );
    let deep = guest::filter_with(guest::CONFIGURED, "(call $deep (i32.const 0))", RECURSE);
    assert_eq!(
        failure_of(host, &deep),
        "plugin `p` used up its stack of 512KiB, which no key changes; does it call itself without end?"
    );
}

#[test]
fn time_memory_and_stack_end_a_call() {
    checks_of_every_limit(&Host::new(None).unwrap());
}

#[test]
fn the_same_holds_where_address_space_is_limited() {
    let engine = Engine::new(engine::on_demand(&mut engine::rules())).unwrap();
    checks_of_every_limit(&Host::with_engine(engine).unwrap());
}

#[test]
fn a_loop_is_also_stopped_in_configure_and_in_a_start_function() {
    let bench = Bench::new();
    let spec = |bytes: &[u8]| PluginSpec { limits: tight(), ..bench.spec(bytes) };
    for bytes in [
        guest::filter_with(FOREVER, "(call $deliver)", ""),
        guest::filter_with(
            guest::CONFIGURED,
            "(call $deliver)",
            "(func $begin (loop $again (br $again))) (start $begin)",
        ),
    ] {
        let plugin = bench.host.load(&spec(&bytes)).unwrap();
        assert_eq!(refused(plugin.entry("s", Stage::Filter, &json!({}))), TIME);
    }
}

#[test]
fn output_is_limited_as_it_is_made_and_as_it_is_handed_over() {
    let bench = Bench::new();
    let key = "`[plugin.p] limits.output = \"100KiB\"` changes it";
    let apply = |length: usize| {
        let bytes = guest::transform(&format!(
            "(i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (i32.const 1))
             (i32.store (i32.const 8) (i32.const 1))
             (i32.store (i32.const 12) (i32.const 1024)) (i32.store (i32.const 16) (i32.const {length}))
             (i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const 3))
             (i32.store (i32.const 28) (i32.const 64)) (i32.store (i32.const 32) (i32.const 0))
             (i32.store (i32.const 64) (i32.const 0x622f61))
             (drop (memory.grow (i32.const 16)))
             (i32.const 0)"
        ));
        let spec = PluginSpec { limits: tight(), ..bench.spec(&bytes) };
        let entry = bench.host.load(&spec).unwrap().entry("s", Stage::Transform, &json!({})).unwrap();
        block_on(entry.apply(input())).answer
    };
    let fits = (100 << 10) - "a/b".len();
    assert!(matches!(apply(fits), Ok(Reshape::Replace(message)) if message.body.len() == fits));
    assert_eq!(
        apply(fits + 1),
        Err(Failure(format!("plugin `p` made 102401 bytes of output, over its limit of 100KiB; {key}")))
    );
    assert_eq!(
        apply(1 << 20),
        Err(Failure(format!(
            "plugin `p` handed over more at once, as answer or as log, than its output limit of 100KiB; {key}"
        )))
    );
}

#[test]
fn log_is_limited_by_lines_and_by_bytes_of_each_call() {
    let host = Host::new(None).unwrap();
    let logging = |lines: u32, bytes: u32| {
        format!(
            "(memory.fill (i32.const 1024) (i32.const 120) (i32.const {bytes}))
             (global.set $count (i32.const 0))
             (loop $more
                (call $log (i32.const 0) (i32.const 1024) (i32.const {bytes}))
                (global.set $count (i32.add (global.get $count) (i32.const 1)))
                (br_if $more (i32.lt_u (global.get $count) (i32.const {lines}))))
             (call $deliver)"
        )
    };
    let text = "plugin `p` logged more than 100 lines or 8KiB for one event; no key changes this, log less";
    assert_eq!(failure(&host, &logging(101, 1)), text);
    assert_eq!(failure(&host, &logging(2, 4097)), text);
    let bench = Bench::new();
    for (lines, bytes) in [(100, 1), (2, 4096)] {
        let entry = bench.filter(&guest::filter(&logging(lines, bytes)));
        for _ in 0..3 {
            assert_eq!(ask(&entry), Ok(Keep::Deliver));
        }
    }
}

#[test]
fn a_panic_tells_what_it_logged_in_that_call() {
    let host = Host::new(None).unwrap();
    let check = "(i32.store (i32.const 64) (i32.const 0x216f6e0a))
        (call $log (i32.const 3) (i32.const 64) (i32.const 4)) unreachable";
    assert_eq!(failure(&host, check), r"plugin `p` panicked: \nno!");
}

#[test]
fn tables_are_limited_from_the_start_and_as_they_grow() {
    let bench = Bench::new();
    let grows = |by: u32| {
        let check = format!("(drop (table.grow (ref.null func) (i32.const {by}))) (call $deliver)");
        ask(&bench.filter(&guest::filter_with(guest::CONFIGURED, &check, "(table 100 funcref)")))
    };
    // Of the 100 000, one is the encoder's.
    assert_eq!(grows(99_000), Ok(Keep::Deliver));
    let Err(Failure(failure)) = grows(100_000) else { panic!("it grew") };
    let said = "elements of tables, over the limit of 100000, which no key changes";
    assert!(failure.starts_with("plugin `p` asked for 1001") && failure.ends_with(said), "{failure}");

    let table = "(table 100000 funcref)";
    let plugin = bench.load(&guest::filter_with(guest::CONFIGURED, "(call $deliver)", table)).unwrap();
    let error = refused(plugin.entry("s", Stage::Filter, &json!({})));
    assert!(error.starts_with("plugin `p` asked for 1000") && error.ends_with(said), "{error}");
}

#[test]
fn a_stack_that_lies_in_memory_is_told_of() {
    let host = Host::new(None).unwrap();
    let check = "(i32.load (i32.const -1))";
    assert_eq!(
        failure(&host, check),
        "plugin `p` reached beyond its memory, as calls without end do too in Rust and C"
    );
}

#[test]
fn a_memory_that_begins_too_large_is_refused_at_load() {
    let bench = Bench::new();
    let bytes = guest::filter_with(guest::CONFIGURED, "(call $deliver)", "");
    let spec = bench.spec(&bytes);
    let limits = PluginLimits { memory: 64 << 10, ..spec.limits };
    let plugin = bench.host.load(&PluginSpec { limits, ..spec }).unwrap();
    assert_eq!(
        refused(plugin.entry("s", Stage::Filter, &json!({}))),
        "plugin `p` asked for 131072 bytes of memory, over its limit of 64KiB; \
         `[plugin.p] limits.memory = \"64KiB\"` changes it"
    );
}
