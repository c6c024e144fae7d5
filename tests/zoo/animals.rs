//! Plugins that load and then attack in a call: what each does, and how it ends.

use crate::harness::guest::{Text, data};

pub enum End {
    Held(&'static str),
    Skipped(&'static str),
    Delivered,
}

impl End {
    pub fn outcome(&self) -> &'static str {
        match self {
            End::Held(_) => "held",
            End::Skipped(_) => "skipped_plugin",
            End::Delivered => "delivered",
        }
    }

    /// A part of the reason.
    pub fn said(&self) -> &str {
        match self {
            End::Held(said) | End::Skipped(said) => said,
            End::Delivered => "",
        }
    }
}

pub struct Animal {
    pub attack: &'static str,
    pub wasm: Vec<u8>,
    pub stage: &'static str,
    /// Further keys of its plugin.
    pub keys: &'static str,
    pub end: End,
}

/// A second, so that whoever stood in its way would be seen to.
const LONG: &str = "limits = { time = \"1s\" }";

pub fn all() -> Vec<Animal> {
    [calls(), growth(), floods(), answers(), system()].into_iter().flatten().collect()
}

fn filter(attack: &'static str, check: &str, said: &'static str) -> Animal {
    animal(attack, &Text::filter(check), "filter", End::Held(said))
}

fn animal(attack: &'static str, text: &Text, stage: &'static str, end: End) -> Animal {
    Animal { attack, wasm: text.wasm(), stage, keys: "", end }
}

fn calls() -> Vec<Animal> {
    let deep = Text::filter("(call $deep) unreachable").with("(func $deep (call $deep))");
    vec![
        Animal { keys: LONG, ..filter("endless loop", "(loop $on (br $on)) unreachable", "its limit of 1s") },
        filter(
            "endless loop through the host",
            "(loop $on (call $previous (i32.const 32)) (global.set $top (global.get $floor)) (br $on)) unreachable",
            "its limit of 50ms",
        ),
        animal("recursion without end", &deep, "filter", End::Held("its stack of 512KiB")),
        filter("trap: `unreachable`, as a panic", "unreachable", "gave up"),
        filter("trap: division by zero", "(i32.div_u (i32.const 1) (i32.const 0))", "divide by zero"),
        filter("access beyond its memory", "(i32.load (i32.const -1))", "beyond its memory"),
        filter("answers with an error", "(call $err)", "failed: out of sorts"),
    ]
}

fn growth() -> Vec<Animal> {
    let table = Text::filter(
        "(loop $on (br_if $on (i32.ne (table.grow (ref.null func) (i32.const 1000)) (i32.const -1)))) (call $ok)",
    );
    vec![
        filter(
            "memory growth",
            "(loop $on (br_if $on (i32.ne (memory.grow (i32.const 64)) (i32.const -1)))) (call $ok)",
            "its limit of 32MiB",
        ),
        animal("table growth", &table.with("(table 10 funcref)"), "filter", End::Held("the limit of 100000")),
    ]
}

fn floods() -> Vec<Animal> {
    let forged = Text::filter("(call $log (i32.const 1) (i32.const 3000) (i32.const 8)) (call $ok)");
    vec![
        filter(
            "log flood",
            "(loop $on (call $log (i32.const 1) (i32.const 2064) (i32.const 1)) (br $on)) unreachable",
            "more than 100 lines or 8KiB",
        ),
        filter(
            "a line of log of 1 MiB",
            "(call $log (i32.const 1) (i32.const 131072) (i32.const 1048576)) (call $ok)",
            "more than 100 lines or 8KiB",
        ),
        filter(
            "a line of log of 64 MiB that it does not have",
            "(call $log (i32.const 1) (i32.const 131072) (i32.const 67108864)) (call $ok)",
            "out of bounds",
        ),
        animal(
            "a line of log that looks like two",
            &forged.with(&data(3000, b"a\nforged")),
            "filter",
            End::Delivered,
        ),
        animal(
            "a reason of 1 MiB",
            &Text::filter("(call $skip (i32.const 131072) (i32.const 1048576))"),
            "filter",
            End::Skipped("…"),
        ),
    ]
}

fn answers() -> Vec<Animal> {
    let body = |kind: u32, length: u32| {
        Text::transform(format!(
            "(call $replace (i32.const {kind}) (i32.const 131072) (i32.const {length}) (i32.const 0))"
        ))
    };
    let transform = |attack, text: &Text, said| animal(attack, text, "transform", End::Held(said));
    let many = "(drop (call $replace (i32.const 0) (i32.const 131072) (i32.const 1) (i32.const 33000)))
        (i32.store (i32.const 540) (i32.const 200000)) (i32.const 512)";
    vec![
        transform("1 MiB of output and a byte", &body(0, (1 << 20) + 1), "its limit of 1MiB"),
        transform("1.9 MiB of output", &body(1, 1_900_000), "its output limit of 1MiB"),
        transform("a header value with CR and LF", &header("x-a", b"a\r\nhost: evil"), "HTTP does not allow"),
        transform("a header value with NUL", &header("x-a", b"a\0b"), "HTTP does not allow"),
        transform("a header name with LF", &header("x\na", b"b"), "HTTP does not allow"),
        transform("the header `host`", &header("Host", b"evil"), "only trackrelay sets"),
        transform(
            "the signature's header",
            &header("x-webhook-signature-256", b"sha256=00"),
            "only trackrelay sets",
        ),
        transform("33 000 headers", &Text::transform(many), "its output limit of 1MiB"),
        transform("text that is not UTF-8", &bad_bytes(0), "invalid utf-8"),
    ]
}

/// With one header.
fn header(name: &str, value: &[u8]) -> Text {
    let words = [3000, name.len(), 3100, value.len()].map(|word| u32::try_from(word).unwrap().to_le_bytes());
    Text::transform("(call $replace (i32.const 0) (i32.const 131072) (i32.const 1) (i32.const 1))")
        .with(&data(2304, &words.concat()))
        .with(&data(3000, name.as_bytes()))
        .with(&data(3100, value))
}

fn bad_bytes(kind: u32) -> Text {
    Text::transform(format!(
        "(call $replace (i32.const {kind}) (i32.const 3000) (i32.const 2) (i32.const 0))"
    ))
    .with(&data(3000, b"\xff\xfe"))
}

fn system() -> Vec<Animal> {
    let with_clock = |check: &str| {
        let package = "package wasi:clocks@0.2.0 { interface monotonic-clock { now: func() -> u64; } }\n";
        let world = "world filter-plugin {\n";
        Text::filter(format!("{check} (call $ok)"))
            .against(world, &format!("{package}{world} import wasi:clocks/monotonic-clock@0.2.0;\n"))
            .with("(import \"wasi:clocks/monotonic-clock@0.2.0\" \"now\" (func $now (result i64)))")
    };
    let called = End::Held("`wasi:clocks/monotonic-clock@0.2.0#now` has not been defined");
    vec![
        animal("bytes that are not UTF-8 as a body", &bad_bytes(1), "transform", End::Delivered),
        animal("WASI mentioned", &with_clock(""), "filter", End::Delivered),
        animal("WASI called", &with_clock("(drop (call $now))"), "filter", called),
    ]
}
