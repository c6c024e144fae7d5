# What build.sh, check.sh and story.sh share. Needs $plugins and $root.
# shellcheck shell=sh disable=SC2034,SC2154 # it uses what they set, and they what it sets

NAMES="match redact slack"
TARGET=wasm32-unknown-unknown
BUILD=$root/target/plugins

use_private_compiler() {
    # The linker is the installed toolchain's: Debian's packages have none.
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$(installed_linker)
    RUSTC=$plugins/.toolchain/rustc
    BUILD=$root/target/plugins-private
    export RUSTC CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER
}

installed_linker() {
    host=$(rustc -vV | sed -n 's/^host: //p')
    echo "$(rustc --print sysroot)/lib/rustlib/$host/bin/rust-lld"
}

compiler() {
    "${RUSTC:-rustc}" --version
}

# Whether the compiler has a standard library for wasm.
has_target() {
    ls "$("${RUSTC:-rustc}" --print target-libdir --target $TARGET)"/libstd-*.rlib >/dev/null 2>&1
}

digest() {
    sha256sum <"$1" | cut -d ' ' -f 1
}

# All that a plugin's bytes depend on: its sources, the kit's, the contract, the profile, and
# the versions of what is linked in. Tests are not.
sources_digest() {
    (
        cd "$root" || exit
        find plugins/wit plugins/sdk/src plugins/sdk/Cargo.toml "plugins/$1/src" "plugins/$1/Cargo.toml" \
            -type f ! -name tests.rs | LC_ALL=C sort | xargs sha256sum
        sed -n '/^\[profile\.plugin\]/,/^$/p' Cargo.toml
        cargo tree --locked -q -p "trackrelay-$1" --target $TARGET -e normal,no-proc-macro \
            --prefix none --format '{p} {f}' | sed "s|$root||" | LC_ALL=C sort -u
        sed -n '/^name = "wit-bindgen-rust-macro"$/,/^version/p' Cargo.lock
    ) | sha256sum | cut -d ' ' -f 1
}
