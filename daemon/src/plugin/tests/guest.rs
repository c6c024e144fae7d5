//! Makes plugins in text form: a core module in WebAssembly text, to which the contract is
//! added as a compiler would.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const CONTRACT: &str = include_str!("../../../../plugins/wit/track-relay.wit");

/// What all test plugins have. A function that returns an address returns that of its
/// result: `$deliver` and `$unchanged` write one that is all zeros, `$skip` one with as many
/// `x` as it is told, `$err` one with an error of so many.
const PRELUDE: &str = r#"
    (import "track:relay/host@0.1.0" "log" (func $log (param i32 i32 i32)))
    (import "track:relay/host@0.1.0" "previous" (func $previous (param i32)))
    (memory (export "memory") 2)
    (global $free (mut i32) (i32.const 65536))
    (global $count (mut i32) (i32.const 0))
    ;; Strings come to a place of their own, one after the other and then from the start.
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (local $at i32)
        (if (i32.gt_u (i32.add (global.get $free) (local.get 3)) (i32.const 131072))
            (then (global.set $free (i32.const 65536))))
        (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
        (global.set $free (i32.add (local.get $at) (local.get 3)))
        (local.get $at))
    (func $deliver (result i32)
        (i64.store (i32.const 0) (i64.const 0))
        (i32.const 0))
    (func $answer (param $case i32) (param $address i32) (param $length i32) (result i32)
        (i32.store (i32.const 0) (i32.const 0))
        (i32.store (i32.const 4) (local.get $case))
        (i32.store (i32.const 8) (local.get $address))
        (i32.store (i32.const 12) (local.get $length))
        (i32.const 0))
    (func $skip (param $length i32) (result i32)
        (memory.fill (i32.const 1024) (i32.const 120) (local.get $length))
        (call $answer (i32.const 1) (i32.const 1024) (local.get $length)))
    (func $err (param $length i32) (result i32)
        (memory.fill (i32.const 1024) (i32.const 120) (local.get $length))
        (i32.store (i32.const 0) (i32.const 1))
        (i32.store (i32.const 4) (i32.const 1024))
        (i32.store (i32.const 8) (local.get $length))
        (i32.const 0))
    ;; Says how often this instance was asked.
    (func $counted (result i32)
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (call $skip (global.get $count)))
"#;

/// The 16 values that an event is passed as.
const EVENT: &str = "(param i32 i32 i32 i32 i32 i32 i32 i64 i32 i64 i32 i64 i32 i32 i32 i32)";

pub(super) const CONFIGURED: &str = "(call $deliver)";

/// A filter whose `check` has this body.
pub(super) fn filter(check: &str) -> Vec<u8> {
    component(&core("filter", "check", CONFIGURED, check, ""), "filter-plugin", CONTRACT)
}

/// A transform whose `apply` has this body.
pub(super) fn transform(apply: &str) -> Vec<u8> {
    component(&core("transform", "apply", CONFIGURED, apply, ""), "transform-plugin", CONTRACT)
}

/// A filter that also has other parts.
pub(super) fn filter_with(configure: &str, check: &str, parts: &str) -> Vec<u8> {
    component(&core("filter", "check", configure, check, parts), "filter-plugin", CONTRACT)
}

/// A filter as a compiler leaves it: not yet a component.
pub(super) fn core_filter(check: &str) -> Vec<u8> {
    embedded(&core("filter", "check", CONFIGURED, check, ""), "filter-plugin", CONTRACT)
}

/// A filter built for another version of the contract.
pub(super) fn filter_of_version(version: &str) -> Vec<u8> {
    let text = core("filter", "check", CONFIGURED, "(call $counted)", "");
    let contract = CONTRACT.replace("@0.1.0", &format!("@{version}"));
    component(&text.replace("@0.1.0", &format!("@{version}")), "filter-plugin", &contract)
}

/// A filter built for a contract that somebody changed.
pub(super) fn filter_of_contract(from: &str, to: &str, check: &str, parts: &str) -> Vec<u8> {
    assert!(CONTRACT.contains(from), "{from}");
    let text = core("filter", "check", CONFIGURED, check, parts);
    component(&text, "filter-plugin", &CONTRACT.replace(from, to))
}

/// A module without any contract.
pub(super) fn bare_module() -> Vec<u8> {
    wat::parse_str("(module)").unwrap()
}

fn core(interface: &str, function: &str, configure: &str, body: &str, parts: &str) -> String {
    let name = format!("track:relay/{interface}@0.1.0");
    // Imports must come first.
    let (imports, rest): (Vec<_>, Vec<_>) =
        parts.lines().partition(|line| line.trim_start().starts_with("(import"));
    format!(
        "(module {} {PRELUDE} {}
            (func (export \"{name}#configure\") (param i32 i32) (result i32) {configure})
            (func (export \"{name}#{function}\") {EVENT} (result i32) {body}))",
        imports.join("\n"),
        rest.join("\n"),
    )
}

fn embedded(text: &str, world: &str, contract: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    let package = resolve.push_str("contract.wit", contract).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

fn component(text: &str, world: &str, contract: &str) -> Vec<u8> {
    let module = embedded(text, world, contract);
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}
