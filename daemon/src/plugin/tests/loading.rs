//! What is accepted as a plugin, and how refusals read.

use rustix::fs::{FileType, Mode};
use sha2::{Digest, Sha256};

use super::super::foreign::REBUILD;
use super::*;

fn load_error(bytes: &[u8]) -> String {
    let bench = Bench::new();
    let error = bench.load(bytes).err().unwrap().to_string();
    error.replace(&bench.folder.path().display().to_string(), "FOLDER")
}

#[test]
fn a_component_and_the_core_module_it_is_made_from_are_both_accepted() {
    let bench = Bench::new();
    for bytes in [guest::filter("(call $counted)"), guest::core_filter("(call $counted)")] {
        let plugin = bench.load(&bytes).unwrap();
        assert!(plugin.has_filter() && !plugin.has_transform());
        assert_eq!(plugin.digest, <[u8; 32]>::from(Sha256::digest(&bytes)));
        assert_eq!(count(&filter(&plugin)), 1);
    }
}

#[test]
fn what_is_no_plugin_is_refused_with_what_it_is_and_what_to_do() {
    let parsed = |text: &str| wat::parse_str(text).unwrap();
    let neither = "but neither `track:relay/filter@0.1.0` nor `track:relay/transform@0.1.0`; build it for a \
        world of `plugins/wit`, or begin with `trackrelay plugin new`";
    let begin = "begin with `trackrelay plugin new` and build it with `trackrelay plugin build`, or make a component \
        of it with `wasm-tools component embed` and `component new`";
    let command = "(component (component $c) (instance $i (instantiate $c)) (export \"wasi:cli/run@0.2.3\" (instance $i)))";
    for (bytes, what) in [
        (b"".to_vec(), "is empty; copy or build it again".to_owned()),
        (b"\x1f\x8b\x08\0".to_vec(), "is packed by gzip; unpack it first".into()),
        (
            b"  (component)".to_vec(),
            "is WebAssembly as text; `wasm-tools parse` makes a binary file of it".into(),
        ),
        (
            b"fn main() {}".to_vec(),
            "is text, not a WebAssembly file; `path` names the `.wasm` that `trackrelay plugin build` makes"
                .into(),
        ),
        (
            b"\xff\xfe\0\x80".to_vec(),
            "is not a WebAssembly file; `path` names the `.wasm` that `trackrelay plugin build` makes".into(),
        ),
        (
            b"\0asm\x02\0\0\0".to_vec(),
            "is a WebAssembly module in version 2 of the format; this trackrelay reads version 1".into(),
        ),
        (
            b"\0asm\x0d\0\x01\0garbage".to_vec(),
            "is no WebAssembly from byte 8 on: 7 other bytes follow its end; copy or build it again".into(),
        ),
        (parsed("(component)"), format!("exports nothing, {neither}")),
        (
            parsed(
                "(component (component $c) (instance $i (instantiate $c)) (export \"a:b/c@1.0.0\" (instance $i)))",
            ),
            format!("exports `a:b/c@1.0.0`, {neither}"),
        ),
        (
            parsed(command),
            "is a command (it exports `wasi:cli/run@0.2.3`), not a plugin, which exports \
             `track:relay/filter@0.1.0` or `track:relay/transform@0.1.0`; build a library with \
             `trackrelay plugin build`"
                .into(),
        ),
        (
            guest::bare_module(),
            format!("is a core module that does not say which component it means; {begin}"),
        ),
        (
            parsed("(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func)))"),
            format!(
                "is a core module built for a WASI target that does not say which component it means; {begin}"
            ),
        ),
    ] {
        assert_eq!(load_error(&bytes), format!("plugin `p`: `FOLDER/p.wasm` {what}"));
    }
    let damaged = load_error(b"\0asm\x01\0\0\0\x01\xff\xff\xff\xff\xff\xff");
    assert!(damaged.starts_with("plugin `p`: `FOLDER/p.wasm` is damaged: "), "{damaged}");
    let invalid = load_error(&guest::core_filter("(call $deliver) (call $deliver)"));
    assert!(invalid.starts_with("plugin `p`: `FOLDER/p.wasm` cannot be "), "{invalid}");
}

#[test]
fn more_than_the_engine_takes_is_refused_with_the_number() {
    let tables = "(table 1 funcref)".repeat(7);
    let error = load_error(&guest::filter_with(guest::CONFIGURED, "(call $deliver)", &tables));
    assert!(
        error.ends_with("tables count of 7 exceeds the per-instance limit of 1; no key changes this limit"),
        "{error}"
    );
}

#[test]
fn half_of_a_plugin_is_refused_wherever_it_ends() {
    let bench = Bench::new();
    let whole = guest::filter("(call $counted)");
    let core = guest::core_filter("(call $counted)");
    for bytes in [&whole, &core] {
        // Each cut is compiled as far as it goes, so only some are tried.
        for end in (0..bytes.len()).step_by(29) {
            if let Ok(plugin) = bench.load(&bytes[..end]) {
                // A cut between sections may leave something whole, but never another plugin.
                assert!(plugin.has_filter());
            }
        }
    }
}

#[test]
fn files_that_are_none_are_refused() {
    let bench = Bench::new();
    let spec = bench.spec(b"");
    let load = |path: std::path::PathBuf| {
        let error = bench.host.load(&PluginSpec { path, ..spec.clone() }).err().unwrap().to_string();
        error.replace(&bench.folder.path().display().to_string(), "FOLDER")
    };
    assert_eq!(load(bench.folder.path().into()), "plugin `p`: `FOLDER` is not a file");
    let pipe = bench.folder.path().join("pipe.wasm");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert_eq!(load(pipe), "plugin `p`: `FOLDER/pipe.wasm` is not a file");
    let missing = load(bench.folder.path().join("no.wasm"));
    assert!(missing.starts_with("plugin `p`: failed to read `FOLDER/no.wasm`: "), "{missing}");
    let large = bench.folder.path().join("large.wasm");
    std::fs::File::create(&large).unwrap().set_len((32 << 20) + 1).unwrap();
    assert_eq!(
        load(large),
        "plugin `p`: `FOLDER/large.wasm` has 33554433B, over the limit of 32MiB; no key changes this"
    );
}

#[test]
fn a_pin_is_kept() {
    let bench = Bench::new();
    let bytes = guest::filter("(call $counted)");
    let right = Sha256::digest(&bytes).into();
    let load = |sha256| bench.host.load(&PluginSpec { sha256: Some(sha256), ..bench.spec(&bytes) });
    assert!(load(right).is_ok());
    let error = load([0xab; 32]).err().unwrap().to_string();
    let digest: String = right.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        error.contains(&format!("its SHA-256 is `{digest}`, `[plugin.p] sha256` says `{}`", "ab".repeat(32)))
    );
}

#[test]
fn the_version_of_the_contract_decides() {
    let bench = Bench::new();
    let later = filter(&bench.load(&guest::filter_of_version("0.1.7")).unwrap());
    assert_eq!(count(&later), 1);
    let other = |found: &str, advice: &str| {
        format!(
            "plugin `p`: `FOLDER/p.wasm` is for another version of the contract: it exports \
             `track:relay/filter@{found}`, expected is `track:relay/filter@0.1.0`; {REBUILD}{advice}"
        )
    };
    for (found, advice) in
        [("0.2.0", ", or update trackrelay"), ("1.0.0", ", or update trackrelay"), ("0.0.9", "")]
    {
        assert_eq!(load_error(&guest::filter_of_version(found)), other(found, advice));
    }
}

#[test]
fn a_changed_record_shows_when_the_config_is_loaded() {
    let bytes = guest::filter_of_contract(
        "skip(string),\n  }\n\n  /// A body",
        "skip(string),\n    later,\n  }\n\n  /// A body",
        "(call $deliver)",
        "",
    );
    let bench = Bench::new();
    let plugin = bench.load(&bytes).unwrap();
    let error = refused(plugin.entry("s", Stage::Filter, &json!({})));
    assert_eq!(
        error,
        "plugin `p` was built for another form of the contract: expected variant of 2 cases, found 3 cases; \
         build it again for this trackrelay: in Rust with the `sdk` that `trackrelay plugin new` writes and \
         `trackrelay plugin build`, otherwise for its `plugins/wit`, or update trackrelay"
    );
}

#[test]
fn imports_beyond_the_host_are_refused_by_name() {
    let more = |import: &str, item: &str| {
        guest::filter_of_contract(
            "world filter-plugin {\n",
            &format!("interface other {{ reach: func(); }}\nworld filter-plugin {{\n  {item}\n"),
            "(call $reach) (call $deliver)",
            &format!("(import \"{import}\" \"reach\" (func $reach))"),
        )
    };
    assert_eq!(
        load_error(&more("track:relay/other@0.1.0", "import other;")),
        "plugin `p`: `FOLDER/p.wasm` imports `track:relay/other@0.1.0`; \
         a plugin gets `track:relay/host@0.1.0` and nothing else"
    );
    let asks_more = guest::filter_of_contract(
        "previous: func() -> option<string>;",
        "previous: func() -> option<string>;\n  now: func() -> u64;",
        "(drop (call $now)) (call $deliver)",
        "(import \"track:relay/host@0.1.0\" \"now\" (func $now (result i64)))",
    );
    assert_eq!(
        load_error(&asks_more),
        "plugin `p`: `FOLDER/p.wasm` imports `track:relay/host@0.1.0#now`; \
         a plugin gets `track:relay/host@0.1.0` and nothing else"
    );
}

#[test]
fn wasi_may_be_mentioned_but_not_called() {
    let bench = Bench::new();
    let with_clock = |check: &str| {
        let contract = "import wasi:clocks/monotonic-clock@0.2.0;\n";
        let package = "package wasi:clocks@0.2.0 { interface monotonic-clock { now: func() -> u64; } }\n";
        let bytes = guest::filter_of_contract(
            "world filter-plugin {\n",
            &format!("{package} world filter-plugin {{\n {contract}"),
            &format!("{check} (call $deliver)"),
            "(import \"wasi:clocks/monotonic-clock@0.2.0\" \"now\" (func $now (result i64)))",
        );
        bench.filter(&bytes)
    };
    assert_eq!(ask(&with_clock("")), Ok(Keep::Deliver));
    let Err(Failure(failure)) = ask(&with_clock("(drop (call $now))")) else { panic!() };
    assert_eq!(
        failure,
        "plugin `p` stopped: unknown import: `wasi:clocks/monotonic-clock@0.2.0#now` has not been defined"
    );
}

#[test]
fn a_list_takes_only_what_belongs_in_it() {
    let bench = Bench::new();
    let plugin = bench.load(&guest::filter("(call $counted)")).unwrap();
    assert_eq!(
        refused(plugin.entry("s", Stage::Transform, &json!({}))),
        "plugin `p` is a filter, not a transform; name it under `filter`"
    );
}

#[test]
fn a_config_that_is_refused_shows_at_load() {
    let host = Host::new(None).unwrap();
    let plugin = shipped(&host, "match");
    assert_eq!(
        refused(plugin.entry("billing", Stage::Filter, &json!({ "payload.duration": { "gt": true } }))),
        "plugin `match` refuses its config in `billing`: `payload.duration`: `gt` takes a number or text, not true"
    );
}

#[test]
fn compiled_code_is_kept_for_the_next_start() {
    let bench = Bench::new();
    let cache = bench.folder.path().join("cache");
    let spec = bench.spec(&guest::filter("(call $counted)"));
    let modules = || {
        let mut found = Vec::new();
        let mut folders = vec![cache.clone()];
        while let Some(folder) = folders.pop() {
            for file in std::fs::read_dir(folder).unwrap().flatten() {
                match file.file_type().unwrap().is_dir() {
                    true => folders.push(file.path()),
                    false => found.push(file.path()),
                }
            }
        }
        found.len()
    };
    assert_eq!(count(&filter(&Host::new(Some(&cache)).unwrap().load(&spec).unwrap())), 1);
    let kept = modules();
    assert!(kept > 0);
    assert_eq!(count(&filter(&Host::new(Some(&cache)).unwrap().load(&spec).unwrap())), 1);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_cache_that_cannot_be_made_is_done_without() {
    let bench = Bench::new();
    let file = bench.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let host = Host::new(Some(&file)).unwrap();
    assert_eq!(count(&filter(&host.load(&bench.spec(&guest::filter("(call $counted)"))).unwrap())), 1);
}
