//! Plugins for tests, built here from a few lines of text: a core module against
//! `plugins/wit`, which the daemon turns into a component as it does for any author.

use std::path::Path;

use wit_component::StringEncoding;
use wit_parser::Resolve;

use super::repository;

/// What a filter does with every event whose id has three digits; it delivers all others.
#[derive(Clone, Copy, Debug)]
pub enum Guest {
    /// Delivers these too.
    Good,
    Loops,
    Traps,
    /// Takes memory until it gets no more, then uses what it did not get.
    EatsMemory,
    /// Calls itself without end.
    Recurses,
    /// Answers with an error.
    Errs,
}

impl Guest {
    pub const BAD: [Guest; 5] = [Guest::Loops, Guest::Traps, Guest::EatsMemory, Guest::Recurses, Guest::Errs];

    /// The file of a filter that behaves like this.
    pub fn wasm(self) -> Vec<u8> {
        let bad = self.instructions();
        let check = format!("(if (i32.eq (local.get 1) (i32.const 3)) (then {bad})) (call $ok)");
        Text::filter(check).with("(func $deep (call $deep))").wasm()
    }

    /// Puts the file in its place in one step, as a build tool should.
    pub fn save(self, path: &Path) {
        save(&self.wasm(), path);
    }

    fn instructions(self) -> &'static str {
        match self {
            Guest::Good => "nop",
            Guest::Loops => "(loop $on (br $on))",
            Guest::Traps => "unreachable",
            Guest::EatsMemory => {
                "(loop $on (br_if $on (i32.ne (memory.grow (i32.const 64)) (i32.const -1))))
                 (i32.store (i32.const -16) (i32.const 1))"
            }
            Guest::Recurses => "(call $deep)",
            Guest::Errs => "(return (call $err))",
        }
    }
}

/// The file of a filter that logs `saw it` on every event; on bad ones it says why it gives up.
pub fn talker() -> Vec<u8> {
    let (saw, last) = ("saw it", "index out of bounds at src/lib.rs:7");
    let say = |level: u8, at: usize, text: &str| {
        format!("(call $log (i32.const {level}) (i32.const {at}) (i32.const {}))", text.len())
    };
    let (always, bad) = (say(1, 3072, saw), say(3, 3200, last));
    let check =
        format!("{always} (if (i32.eq (local.get 1) (i32.const 3)) (then {bad} unreachable)) (call $ok)");
    Text::filter(check).with(&data(3072, saw.as_bytes())).with(&data(3200, last.as_bytes())).wasm()
}

/// The file of a filter that delivers the first event of every instance whose id has three digits,
/// and answers those after it with an error.
pub fn moody() -> Vec<u8> {
    let check = "(if (i32.eq (local.get 1) (i32.const 3))
                   (then
                     (if (i32.load (i32.const 3072)) (then (return (call $err))))
                     (i32.store (i32.const 3072) (i32.const 1))))
                 (call $ok)";
    Text::filter(check).wasm()
}

/// Puts a file in its place in one step.
pub fn save(bytes: &[u8], path: &Path) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, bytes).unwrap();
    std::fs::rename(beside, path).unwrap();
}

/// A plugin by hand. Its functions are bodies in WebAssembly text: `configure` has the config
/// in locals 0 and 1, the call the event in locals 0 to 15, with the id's length in 1.
pub struct Text {
    world: &'static str,
    call: String,
    configure: String,
    parts: String,
    contract: String,
}

impl Text {
    pub fn filter(check: impl Into<String>) -> Text {
        Text::of("filter", check.into())
    }

    pub fn transform(apply: impl Into<String>) -> Text {
        Text::of("transform", apply.into())
    }

    fn of(world: &'static str, call: String) -> Text {
        let contract = std::fs::read_to_string(repository("plugins/wit/track-relay.wit")).unwrap();
        Text { world, call, configure: "(call $ok)".into(), parts: String::new(), contract }
    }

    pub fn configured(self, configure: &str) -> Text {
        Text { configure: configure.into(), ..self }
    }

    /// With further fields of the module; imports each on a line of their own.
    pub fn with(self, parts: &str) -> Text {
        Text { parts: self.parts + "\n" + parts, ..self }
    }

    /// Against a contract that somebody changed.
    pub fn against(self, from: &str, to: &str) -> Text {
        assert!(self.contract.contains(from), "{from}");
        Text { contract: self.contract.replace(from, to), ..self }
    }

    /// Against another version of the contract.
    pub fn of_version(self, version: &str) -> Text {
        self.against("@0.1.0", &format!("@{version}"))
    }

    /// The file.
    pub fn wasm(&self) -> Vec<u8> {
        let mut wit = Resolve::default();
        let package = wit.push_str("contract.wit", &self.contract).unwrap();
        let id = wit.packages[package].name.to_string();
        let mut module =
            wat::parse_str(self.text().replace("@0.1.0", id.trim_start_matches("track:relay"))).unwrap();
        let world = wit.select_world(&[package], Some(&format!("{}-plugin", self.world))).unwrap();
        wit_component::embed_component_metadata(&mut module, &wit, world, StringEncoding::UTF8).unwrap();
        module
    }

    fn text(&self) -> String {
        let Text { world, call, configure, parts, .. } = self;
        let (imports, parts): (Vec<_>, Vec<_>) =
            parts.lines().partition(|line| line.trim_start().starts_with("(import"));
        let function = if *world == "filter" { "check" } else { "apply" };
        format!(
            r#"(module {} {PRELUDE} {}
              (func (export "track:relay/{world}@0.1.0#configure") (param i32 i32) (result i32)
                (global.set $top (global.get $floor))
                {configure})
              (func (export "track:relay/{world}@0.1.0#{function}")
                (param i32 i32 i32 i32 i32 i32 i32 i64 i32 i64 i32 i64 i32 i32 i32 i32) (result i32)
                (global.set $top (global.get $floor))
                {call}))"#,
            imports.join("\n"),
            parts.join("\n"),
        )
    }
}

/// Text as data at this address.
pub fn data(at: usize, bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(data (i32.const {at}) \"{escaped}\")")
}

/// Memory from 1024 to 2048 is zero, and zero is the answer "ok, deliver" or "ok, unchanged" of
/// all functions. What the host passes in is laid down from 65536 on and forgotten at the next
/// call; from 131072 on memory is zero again.
const PRELUDE: &str = r#"
  (import "track:relay/host@0.1.0" "log" (func $log (param i32 i32 i32)))
  (import "track:relay/host@0.1.0" "previous" (func $previous (param i32)))
  (memory (export "memory") 32)
  (global $floor (mut i32) (i32.const 65536))
  (global $top (mut i32) (i32.const 65536))
  (global $count (mut i32) (i32.const 0))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $top)
    (global.set $top
      (i32.and (i32.add (i32.add (global.get $top) (local.get 3)) (i32.const 15)) (i32.const -16))))
  (func $ok (result i32) (i32.const 1024))
  ;; The result `error("out of sorts")`.
  (data (i32.const 2048) "\01\00\00\00\10\08\00\00\0c\00\00\00")
  (data (i32.const 2064) "out of sorts")
  (func $err (result i32) (i32.const 2048))
  ;; A filter's answer: skip, for the reason that stands there.
  (func $skip (param $at i32) (param $length i32) (result i32)
    (i32.store (i32.const 512) (i32.const 0))
    (i32.store (i32.const 516) (i32.const 1))
    (i32.store (i32.const 520) (local.get $at))
    (i32.store (i32.const 524) (local.get $length))
    (i32.const 512))
  ;; A transform's answer: this text (0) or these bytes (1), with so many headers from 2304 on.
  (data (i32.const 2100) "text/plain")
  (func $replace (param $kind i32) (param $at i32) (param $length i32) (param $headers i32) (result i32)
    (i32.store (i32.const 512) (i32.const 0))
    (i32.store (i32.const 516) (i32.const 1))
    (i32.store (i32.const 520) (local.get $kind))
    (i32.store (i32.const 524) (local.get $at))
    (i32.store (i32.const 528) (local.get $length))
    (i32.store (i32.const 532) (i32.const 2100))
    (i32.store (i32.const 536) (i32.const 10))
    (i32.store (i32.const 540) (i32.const 2304))
    (i32.store (i32.const 544) (local.get $headers))
    (i32.const 512))
"#;
