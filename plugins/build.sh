#!/bin/sh
# Builds the plugins that come with trackrelay. Run it after a change of their sources and
# commit what it writes: the .wasm files and BUILDINFO.
#
#   plugins/build.sh [--private-toolchain] [--out FOLDER]
#
# It uses the installed compiler if that has the target (`rustup target add
# wasm32-unknown-unknown`); with --private-toolchain the one that toolchain.sh makes from
# Debian's packages, which is the one the committed files are built with.
set -eu

plugins=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$plugins")
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$plugins/lib.sh"

out=$plugins
while [ $# -gt 0 ]; do
    case $1 in
    --private-toolchain) "$plugins/toolchain.sh" && use_private_compiler ;;
    --out) shift && mkdir -p "$1" && out=$(cd "$1" && pwd) ;;
    *) echo "usage: plugins/build.sh [--private-toolchain] [--out FOLDER]" >&2 && exit 2 ;;
    esac
    shift
done

if ! has_target; then
    echo "build: this compiler cannot build for $TARGET." >&2
    echo "build: run \`rustup target add $TARGET\`, or this with --private-toolchain on Debian" >&2
    exit 1
fi

# Without these the file would tell the builder's home folder, and differ from machine to
# machine.
flags="--remap-path-prefix=$root=/trackrelay"
for sources in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags="$flags --remap-path-prefix=$sources=/dep"
done

packages=
for name in $NAMES; do
    packages="$packages -p trackrelay-$name"
done
# shellcheck disable=SC2086 # the packages are words
(cd "$root" && CARGO_TARGET_DIR="$BUILD" RUSTFLAGS="$flags" \
    cargo build --locked --profile plugin --target $TARGET $packages)
for name in $NAMES; do
    (cd "$root" && env -u RUSTC cargo run --locked -q -p trackrelay-plugin --example componentize -- \
        "$BUILD/$TARGET/plugin/trackrelay_$name.wasm" "$out/$name.wasm")
done

{
    echo "# How the .wasm files were built; check.sh compares. Written by build.sh."
    echo "compiler $(compiler)"
    echo "flags --target $TARGET --profile plugin (see Cargo.toml), paths remapped"
    for name in $NAMES; do
        echo "sources $name $(sources_digest "$name")"
        echo "file $name.wasm $(digest "$out/$name.wasm")"
    done
} >"$out/BUILDINFO"
cat "$out/BUILDINFO"
