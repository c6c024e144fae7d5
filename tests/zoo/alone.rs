//! Who shares what: nothing with another subscription, and with the events before it only
//! what an instance keeps until it is replaced.

use serde_json::Value;

use crate::harness::guest::{Text, save};
use crate::harness::{Receiver, Relay, event};

/// Says its config and, as a letter, how often this instance was asked. Traps on an event
/// whose id has three digits.
fn echo() -> Text {
    let configure = "(global.set $at (local.get 0)) (global.set $length (local.get 1))
        (global.set $floor (i32.add (i32.and (i32.add (local.get 0) (local.get 1)) (i32.const -16)) (i32.const 32)))
        (global.set $top (global.get $floor)) (call $ok)";
    let check = "(if (i32.eq (local.get 1) (i32.const 3)) (then unreachable))
        (i32.store8 (i32.add (global.get $at) (global.get $length))
            (i32.add (i32.const 97) (i32.rem_u (global.get $count) (i32.const 26))))
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (call $skip (global.get $at) (i32.add (global.get $length) (i32.const 1)))";
    let state = "(global $at (mut i32) (i32.const 0)) (global $length (mut i32) (i32.const 0))";
    Text::filter(check).configured(configure).with(state)
}

/// Traps if it finds anything where no instance but itself writes, and leaves something there.
fn snoop() -> Text {
    Text::filter(
        "(if (i32.load (i32.const 1500000)) (then unreachable)) (i32.store (i32.const 1500000) (i32.const 77)) (call $ok)",
    )
}

/// A subscription to one plugin, all of whose events keep their order.
fn table(receiver: &Receiver, name: &str, config: &str) -> String {
    receiver.table(name)
        + &format!(
            "order = \"subscription\"\nfilter = [{{ plugin = \"p\", config = {{ who = \"{config}\" }} }}]\n"
        )
}

fn relay(plugin: &Text, tables: &str) -> Relay {
    let mut relay = Relay::prepare(tables);
    save(&plugin.wasm(), &relay.path("p.wasm"));
    relay.start_again();
    relay
}

const PLUGIN: &str = "[plugin.p]\npath = \"p.wasm\"\n";

/// What the plugin said, without its name.
fn reason(decision: &Value) -> &str {
    decision["reason"].as_str().unwrap_or_default().trim_start_matches("plugin `p`: ")
}

#[test]
fn two_subscriptions_of_one_file_share_nothing() {
    let receiver = Receiver::start();
    let tables =
        |one: &str| PLUGIN.to_owned() + &table(&receiver, "one", one) + &table(&receiver, "two", "2");
    let relay = relay(&echo(), &tables("1"));
    let says = |id: i64, one: &str, two: &str| {
        relay.send(&event("tag.created", id));
        for (name, said) in [("one", one), ("two", two)] {
            assert_eq!(
                reason(&relay.wait_for_outcome(id, name, "skipped_plugin")),
                said,
                "event {id} for `{name}`"
            );
        }
    };
    says(1, r#"{"who":"1"}a"#, r#"{"who":"2"}a"#);
    says(2, r#"{"who":"1"}b"#, r#"{"who":"2"}b"#);
    // Another config of one is another instance of it, and of nobody else.
    relay.save(&tables("I"));
    assert_eq!(relay.cli(&["reload"]).code, 0);
    says(3, r#"{"who":"I"}a"#, r#"{"who":"2"}c"#);
    // Another file is another instance of both.
    save(&echo().with("(func)").wasm(), &relay.path("p.wasm"));
    assert_eq!(relay.cli(&["reload"]).code, 0);
    says(4, r#"{"who":"I"}a"#, r#"{"who":"2"}a"#);
}

#[test]
fn an_instance_ends_with_a_trap_and_after_256_events() {
    let receiver = Receiver::start();
    let relay =
        relay(&echo(), &(PLUGIN.to_owned() + &table(&receiver, "one", "1") + "on_plugin_error = \"drop\"\n"));
    let said = |id: i64| {
        let decision = relay.wait_for_outcome(id, "one", "skipped_plugin");
        reason(&decision).strip_prefix(r#"{"who":"1"}"#).unwrap_or("?").to_owned()
    };
    relay.send_all(&(1001..=1257).map(|id| event("tag.created", id)).collect::<Vec<_>>());
    assert_eq!(said(1257), "a", "the 257th is the first of the next");
    // 256 is nine times the alphabet and 22.
    assert_eq!([said(1001), said(1256)], ["a", "v"]);
    relay.send(&event("tag.created", 1258));
    assert_eq!(said(1258), "b");
    relay.send(&event("tag.created", 100));
    relay.wait_for_outcome(100, "one", "dropped");
    relay.send(&event("tag.created", 1259));
    assert_eq!(said(1259), "a");
}

#[test]
fn isolation_by_event_is_a_fresh_instance_in_wiped_memory() {
    let receiver = Receiver::start();
    let plugin = PLUGIN.to_owned() + "isolation = \"event\"\n";
    let tables = plugin.clone() + &table(&receiver, "one", "1") + &table(&receiver, "two", "2");
    let relay = self::relay(&snoop(), &tables);
    relay.send_all(&(1..=40).map(|id| event("tag.created", id)).collect::<Vec<_>>());
    receiver.wait_for_at("one", 40);
    receiver.wait_for_at("two", 40);
    save(&echo().wasm(), &relay.path("p.wasm"));
    assert_eq!(relay.cli(&["reload"]).code, 0);
    relay.send_all(&(1001..=1010).map(|id| event("tag.created", id)).collect::<Vec<_>>());
    for id in 1001..=1010 {
        assert_eq!(
            reason(&relay.wait_for_outcome(id, "two", "skipped_plugin")),
            r#"{"who":"2"}a"#,
            "event {id}"
        );
    }
}
