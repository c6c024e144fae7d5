//! Plugins that misbehave, built here from a few lines of text: a core module against
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
        filter(&text("", self.instructions()))
    }

    /// Puts the file in its place in one step, as a build tool should.
    pub fn save(self, path: &Path) {
        let beside = path.with_extension("new");
        std::fs::write(&beside, self.wasm()).unwrap();
        std::fs::rename(beside, path).unwrap();
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
            Guest::Errs => "(return (i32.const 2048))",
        }
    }
}

/// The file of a filter that logs `saw it` on every event; on bad ones it says why it gives up.
pub fn talker() -> Vec<u8> {
    let import = r#"(import "track:relay/host@0.1.0" "log" (func $log (param i32 i32 i32)))"#;
    let say = |level: u8, at: u16, length: usize| {
        format!("(call $log (i32.const {level}) (i32.const {at}) (i32.const {length}))")
    };
    let (saw, last) = ("saw it", "index out of bounds at src/lib.rs:7");
    let bad = format!("{} unreachable", say(3, 3200, last.len()));
    let (text, always) = (text(import, &bad), say(1, 3072, saw.len()));
    let text = text.replacen(";; always", &always, 1);
    let data = format!("(data (i32.const 3072) \"{saw}\") (data (i32.const 3200) \"{last}\")");
    filter(&text.replacen(";; data", &data, 1))
}

/// A module of text with the contract of a filter.
fn filter(text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap();
    let mut wit = Resolve::default();
    let (package, _) = wit.push_dir(repository("plugins/wit")).unwrap();
    let world = wit.select_world(&[package], Some("filter-plugin")).unwrap();
    wit_component::embed_component_metadata(&mut module, &wit, world, StringEncoding::UTF8).unwrap();
    module
}

/// A filter by hand. Memory up to 4096 is zero but for one text, and zero is the answer
/// "ok, deliver" of both functions; what the host passes in is laid down from 65536 on
/// and forgotten at the end of each call.
fn text(import: &str, bad: &str) -> String {
    format!(
        r#"(module
          {import}
          (memory (export "memory") 32)
          ;; data
          ;; At 2048: the result `error("out of sorts")`.
          (data (i32.const 2048) "\01\00\00\00\10\08\00\00\0c\00\00\00")
          (data (i32.const 2064) "out of sorts")
          (global $top (mut i32) (i32.const 65536))
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (global.get $top)
            (global.set $top
              (i32.and (i32.add (i32.add (global.get $top) (local.get 3)) (i32.const 15)) (i32.const -16))))
          (func $deep (call $deep))
          (func (export "track:relay/filter@0.1.0#configure") (param i32 i32) (result i32)
            (global.set $top (i32.const 65536))
            (i32.const 1024))
          (func (export "track:relay/filter@0.1.0#check")
            (param $id i32) (param $digits i32) (param i32 i32 i32 i32)
            (param i32 i64 i32 i64 i32 i64) (param i32 i32 i32 i32) (result i32)
            (global.set $top (i32.const 65536))
            ;; always
            (if (i32.eq (local.get $digits) (i32.const 3)) (then {bad}))
            (i32.const 1024)))"#
    )
}
