#!/bin/sh
# Checks that the .wasm files are what their sources say:
#
#   plugins/check.sh [--private-toolchain]
#
# The digests in BUILDINFO are compared always. Where there is a compiler for wasm the
# plugins are built again: the recorded compiler must give the same bytes; another one gives
# others, and then both must make the same of the golden events. --private-toolchain makes
# the recorded compiler where it is missing (Debian; a minute or two).
set -eu

plugins=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$plugins")
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$plugins/lib.sh"

private=
case ${1-} in
"") ;;
--private-toolchain) "$plugins/toolchain.sh" && private=yes ;;
*) echo "usage: plugins/check.sh [--private-toolchain]" >&2 && exit 2 ;;
esac

recorded() {
    sed -n "s/^$1 //p" "$plugins/BUILDINFO"
}

golden() {
    (cd "$root" && env -u RUSTC TRACKRELAY_TEST_PLUGINS="$1" cargo test --locked -q -p trackrelay --lib plugin::tests::golden)
}

bad=0
for name in $NAMES; do
    if [ "$(recorded "sources $name")" != "$(sources_digest "$name")" ]; then
        echo "check: the sources of $name changed since $name.wasm was built; run plugins/build.sh --private-toolchain" >&2
        bad=1
    fi
    if [ "$(recorded "file $name.wasm")" != "$(digest "$plugins/$name.wasm")" ]; then
        echo "check: $name.wasm is not the file that BUILDINFO names; run plugins/build.sh --private-toolchain" >&2
        bad=1
    fi
done
[ $bad = 0 ] || exit 1

if [ -n "$private" ] || { ! has_target && [ -x "$plugins/.toolchain/rustc" ]; }; then
    use_private_compiler
fi
if ! has_target; then
    golden "$plugins"
    echo "check: digests agree and the golden events pass; not rebuilt, no compiler for $TARGET here"
    exit 0
fi

fresh=$root/target/plugins-fresh
# Built again in earnest, but for the macros that run on this machine.
rm -rf "${BUILD:?}/$TARGET/plugin"
if [ "${RUSTC-}" = "$plugins/.toolchain/rustc" ]; then
    "$plugins/build.sh" --private-toolchain --out "$fresh" >/dev/null
else
    "$plugins/build.sh" --out "$fresh" >/dev/null
fi

if [ "$(recorded compiler)" = "$(compiler)" ]; then
    for name in $NAMES; do
        cmp "$plugins/$name.wasm" "$fresh/$name.wasm" || bad=1
    done
    [ $bad = 0 ] || exit 1
    echo "check: digests agree; rebuilt with the recorded compiler, byte for byte the same"
else
    golden "$plugins"
    golden "$fresh"
    echo "check: digests agree; rebuilt with $(compiler), which is not the recorded one:" \
        "both make the same of the golden events"
fi
