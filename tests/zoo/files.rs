//! Files that must not be loaded: what each is, and what is said of it.

use crate::harness::guest::Text;
use crate::harness::repository;

pub enum Bytes {
    All(Vec<u8>),
    /// So many zeros, which take no room on a disk.
    Zeros(u64),
}

type File = (&'static str, Bytes, &'static str);

pub fn all() -> Vec<File> {
    let all = [strangers(), versions(), imports(), attacks(), heavy()].into_iter().flatten();
    let mut files: Vec<File> = all.map(|(attack, bytes, said)| (attack, Bytes::All(bytes), said)).collect();
    files.push(("a file of 100 MB", Bytes::Zeros(100_000_000), "over the limit of 32MiB"));
    files
}

type Refused = (&'static str, Vec<u8>, &'static str);

fn good() -> Text {
    Text::filter("(call $ok)")
}

fn parsed(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn strangers() -> Vec<Refused> {
    let whole = std::fs::read(repository("plugins/match.wasm")).unwrap();
    let command = "(component (component $c) (instance $i (instantiate $c))
        (export \"wasi:cli/run@0.2.3\" (instance $i)))";
    let other = "(component (component $c) (instance $i (instantiate $c))
        (export \"my:own/handler@1.0.0\" (instance $i)))";
    vec![
        ("an empty file", Vec::new(), "is empty"),
        ("text", b"(component)".to_vec(), "is WebAssembly as text"),
        ("a packed file", b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), "is packed by gzip"),
        ("half a file", whole[..whole.len() / 2].to_vec(), "ends too early, after 37484 bytes"),
        ("a command", parsed(command), "is a command (it exports `wasi:cli/run@0.2.3`)"),
        ("a component of another world", parsed(other), "exports `my:own/handler@1.0.0`, but neither"),
        (
            "a core module without a component type",
            parsed("(module)"),
            "does not say which component it means",
        ),
    ]
}

fn versions() -> Vec<Refused> {
    let other_form = good()
        .against("skip(string),\n  }\n\n  /// A body", "skip(string),\n    later,\n  }\n\n  /// A body");
    vec![
        (
            "built for contract 0.2.0",
            good().of_version("0.2.0").wasm(),
            "exports `track:relay/filter@0.2.0`, expected is",
        ),
        (
            "built for contract 0.0.9",
            good().of_version("0.0.9").wasm(),
            "exports `track:relay/filter@0.0.9`, expected is",
        ),
        (
            "a variant of the contract with another case",
            other_form.wasm(),
            "built for another form of the contract",
        ),
    ]
}

fn imports() -> Vec<Refused> {
    let world = "world filter-plugin {\n";
    let other = format!("interface other {{ reach: func(); }}\n{world}  import other;\n");
    let more = "previous: func() -> option<string>;\n  now: func() -> u64;";
    let reaching = Text::filter("(call $reach) (call $ok)").against(world, &other);
    let asking =
        Text::filter("(drop (call $now)) (call $ok)").against("previous: func() -> option<string>;", more);
    vec![
        (
            "an unknown import",
            reaching.with("(import \"track:relay/other@0.1.0\" \"reach\" (func $reach))").wasm(),
            "imports `track:relay/other@0.1.0`",
        ),
        (
            "an unknown function of the host",
            asking.with("(import \"track:relay/host@0.1.0\" \"now\" (func $now (result i64)))").wasm(),
            "imports `track:relay/host@0.1.0#now`",
        ),
    ]
}

/// These attack as soon as they are tried out.
fn attacks() -> Vec<Refused> {
    let starts = |body: &str| good().with(&format!("(func $begin {body}) (start $begin)")).wasm();
    let endless = "(loop $on (br $on)) unreachable";
    vec![
        ("endless loop in `configure`", good().configured(endless).wasm(), "its limit of 50ms"),
        ("endless loop at the start", starts("(loop $on (br $on))"), "its limit of 50ms"),
        ("trap in `configure`", good().configured("unreachable").wasm(), "gave up"),
        (
            "memory growth at the start",
            starts("(loop $on (br_if $on (i32.ne (memory.grow (i32.const 64)) (i32.const -1))))"),
            "its limit of 4MiB",
        ),
        (
            "refuses its config",
            good().configured("(call $err)").wasm(),
            "refuses its config in `caged`: out of sorts",
        ),
    ]
}

/// These are meant for the compiler.
fn heavy() -> Vec<Refused> {
    let function = |body: &str| good().with(&format!("(func {body})")).wasm();
    let nested = |opener: &str, depth: usize| function(&(opener.repeat(depth) + &"end ".repeat(depth)));
    let types = [&[1][..], &b"\x41\x01\x01".repeat(1_000_000), b"\x41\0"].concat();
    let mut nested_types = b"\0asm\x0d\0\x01\0\x07".to_vec();
    // The length, in the four of its bytes that have another one after them, and that one.
    nested_types.extend((0..4).map(|at| 0x80 | ((types.len() >> (7 * at)) & 0x7f) as u8));
    nested_types.push(0);
    nested_types.extend(types);
    let double = |at: usize| {
        format!(
            "(component $c{at} (alias outer 1 $c{} (component $x))
                (instance (instantiate $x)) (instance (instantiate $x)))",
            at - 1
        )
    };
    let doubling: String = (1..40).map(double).collect();
    let doubling = format!("(component (component $c0) {doubling} (instance (instantiate $c39)))");
    let locals = format!("(func (local {}))", "i32 ".repeat(49_000)).repeat(11);
    let segment = format!("(data (i32.const 65536) \"{}\")", "x".repeat(3 << 20));
    let memory = parsed("(module (memory 65536))");
    vec![
        ("50 000 functions", good().with(&"(func)".repeat(50_000)).wasm(), "has more than 40000 functions"),
        (
            "a function of 1.1 MB",
            function(&"f64.const 1 drop ".repeat(110_000)),
            "a function of more than 1048576 bytes",
        ),
        (
            "539 000 local variables in 110 bytes",
            good().with(&locals).wasm(),
            "has more than 500000 local variables",
        ),
        ("12 000 loops inside of each other", nested("loop ", 12_000), "nests more than 100 loops"),
        ("100 000 blocks inside of each other", nested("block ", 100_000), "nests more than 5000 blocks"),
        ("a million types inside of each other", nested_types, "may nest more than 1000 types"),
        ("components that double 39 times", parsed(&doubling), "more than 10000 instances of components"),
        ("4 GiB of memory to begin with", memory, "over the 256MiB that `limits.memory` can say"),
        ("a data segment of 3 MiB in 2 MiB of memory", good().with(&segment).wasm(), "beyond its memory"),
    ]
}
