//! What is said of a file that is no plugin: what was found, what is expected, what to do.
//! Pure; every sentence completes "the file `x` …".

use super::text;

/// The package of `plugins/wit`, whose version stands in every name that a plugin exports.
const PACKAGE: &str = "track:relay/";
const VERSION: &str = "0.1.0";

/// How to get a file that fits.
pub(super) const REBUILD: &str = "build it again for this trackrelay: in Rust with the `sdk` that `trackrelay plugin new` \
    writes and `trackrelay plugin build`, otherwise for its `plugins/wit`";

/// How the files begin that people take for plugins.
const MAGIC: [(&[u8], &str); 6] = [
    (b"\x1f\x8b", "is packed by gzip; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is packed by zstd; unpack it first"),
    (b"PK\x03\x04", "is a zip archive; unpack it first"),
    (b"\x7fELF", "is a native program or library; `trackrelay plugin build` makes a `.wasm` file"),
    (b"(module", "is WebAssembly as text; `wasm-tools parse` makes a binary file of it"),
    (b"(component", "is WebAssembly as text; `wasm-tools parse` makes a binary file of it"),
];

/// What a file is that does not even begin as WebAssembly does.
pub(super) fn named(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return Some("is empty; copy or build it again".into());
    }
    let begin = bytes.trim_ascii_start();
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| begin.starts_with(magic)) {
        return Some((*what).into());
    }
    match bytes {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] | [0, b'a', b's', b'm', 13, 0, 1, 0, ..] => None,
        [0, b'a', b's', b'm', a, b, kind @ 0..=1, 0, ..] => {
            let (kind, expected) = if *kind == 0 { ("module", 1) } else { ("component", 13) };
            let found = u16::from_le_bytes([*a, *b]);
            Some(format!(
                "is a WebAssembly {kind} in version {found} of the format; this trackrelay reads version {expected}"
            ))
        }
        [0, b'a', b's', b'm', ..] if bytes.len() < 8 => Some(format!(
            "ends too early, after {} bytes: it was cut short; copy or build it again",
            bytes.len()
        )),
        _ if std::str::from_utf8(&bytes[..bytes.len().min(64)]).is_ok() => Some(
            "is text, not a WebAssembly file; `path` names the `.wasm` that `trackrelay plugin build` makes"
                .into(),
        ),
        _ => Some(
            "is not a WebAssembly file; `path` names the `.wasm` that `trackrelay plugin build` makes".into(),
        ),
    }
}

/// A core module that tells nothing of the contract.
pub(super) fn bare_module(wasip1: bool) -> String {
    let target = if wasip1 { "built for a WASI target " } else { "" };
    format!(
        "is a core module {target}that does not say which component it means; begin with `trackrelay plugin new` and \
         build it with `trackrelay plugin build`, or make a component of it with `wasm-tools component embed` and \
         `component new`"
    )
}

/// A component that exports none of the contract's interfaces in our version.
pub(super) fn exports(names: &[&str], filter: &str, transform: &str) -> String {
    let ours = names.iter().find(|name| name.starts_with(PACKAGE));
    if let Some(found) = ours {
        let expected = if found.starts_with("track:relay/transform@") { transform } else { filter };
        return other_version("exports", found, expected);
    }
    if let Some(run) = names.iter().find(|name| name.starts_with("wasi:cli/run@")) {
        return format!(
            "is a command (it exports `{}`), not a plugin, which exports `{filter}` or `{transform}`; build a \
             library with `trackrelay plugin build`",
            text::brief(run)
        );
    }
    let found = match names {
        [] => "nothing".to_owned(),
        [name, ..] => format!("`{}`", text::brief(name)),
    };
    format!(
        "exports {found}, but neither `{filter}` nor `{transform}`; build it for a world of `plugins/wit`, or \
         begin with `trackrelay plugin new`"
    )
}

/// An import that no plugin gets.
pub(super) fn import(name: &str) -> String {
    let host = format!("{PACKAGE}host@{VERSION}");
    if name.starts_with("track:relay/host@") && !name.contains('#') {
        return other_version("imports", name, &host);
    }
    let name = text::brief(name);
    format!("imports `{name}`; a plugin gets `{host}` and nothing else")
}

fn other_version(does: &str, found: &str, expected: &str) -> String {
    let newer = version(found).is_none_or(|found| Some(found) > version(expected));
    let update = if newer { ", or update trackrelay" } else { "" };
    let found = text::brief(found);
    format!(
        "is for another version of the contract: it {does} `{found}`, expected is `{expected}`; {REBUILD}{update}"
    )
}

fn version(name: &str) -> Option<[u64; 3]> {
    let mut parts = name.split_once('@')?.1.splitn(3, '.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}
