#!/bin/sh
# The story of a plugin, from nothing to a delivery: a new one, its tests on this machine, the
# build, recorded events, a config that names it, and a daemon that delivers what it makes, signed.
# Then the plugin is changed and built again, and the same daemon delivers the new form.
#
#   plugins/story.sh
#
# Needs cargo, python3, and a compiler for wasm: the installed one, or the one that
# toolchain.sh made in .toolchain. Without one the story is skipped; where CI=true it fails.
# TRACKRELAY names the program; without it it is built. Everything is written into
# target/plugins-story, where what was compiled stays for the next time.
set -eu
started=$(date +%s)

plugins=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$plugins")
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$plugins/lib.sh"

work=$root/target/plugins-story
name=done-lines
daemon=
receiver=

step() { printf '\nstory: %s\n' "$*"; }
fail() { echo "story: $*" >&2 && exit 1; }

skip() {
    [ "${CI-}" != true ] || fail "$*, and where CI=true the story must be told"
    echo "story: skipped: $*"
    exit 0
}

# For something to happen, but not for ever.
wait_for() {
    what=$1
    shift
    tries=300
    until "$@"; do
        tries=$((tries - 1))
        if [ $tries = 0 ] || ! kill -0 "$receiver" || ! { [ -z "$daemon" ] || kill -0 "$daemon"; }; then
            cat "$work/daemon.log" "$work/arrived" >&2 || true
            fail "waited in vain until $what; above is what daemon and receiver said"
        fi
        sleep 0.1
    done
}

finish() {
    for process in $daemon $receiver; do
        if kill "$process" 2>/dev/null; then wait "$process" 2>/dev/null || true; fi
    done
    [ -z "$XDG_RUNTIME_DIR" ] || rm -rf "$XDG_RUNTIME_DIR"
}
XDG_RUNTIME_DIR=
trap finish EXIT
trap 'exit 1' INT TERM

command -v python3 >/dev/null || skip "there is no python3 for the receiver"
compiler=
if ! has_target; then
    compiler=$plugins/.toolchain/rustc
    (RUSTC=$compiler && [ -x "$RUSTC" ] && has_target) ||
        skip "no compiler for $TARGET; run \`rustup target add $TARGET\`, or plugins/toolchain.sh on Debian"
fi
trackrelay=${TRACKRELAY-}
if [ -z "$trackrelay" ]; then
    (cd "$root" && cargo build --locked -q)
    trackrelay=${CARGO_TARGET_DIR:-$root/target}/debug/trackrelay
fi
[ -x "$trackrelay" ] || fail "there is no program \`$trackrelay\`, which TRACKRELAY names"
trackrelay=$(cd "$(dirname "$trackrelay")" && pwd)/$(basename "$trackrelay")

mkdir -p "$work"
cd "$work"
rm -rf "$name" store config.toml arrived daemon.log
CARGO_TARGET_DIR=$work/build
# A socket of its own, in a path that is short enough for one.
XDG_RUNTIME_DIR=$(mktemp -d)
export CARGO_TARGET_DIR XDG_RUNTIME_DIR

step "a new plugin"
"$trackrelay" plugin new $name --kind transform

step "its tests, on this machine"
(cd $name && cargo test -q)

# With the compiler for wasm for this one command: the daemon and the tests have their own.
build() {
    if [ -n "$compiler" ]; then
        RUSTC=$compiler "$trackrelay" plugin build $name
    else
        "$trackrelay" plugin build $name
    fi
}

step "the build"
build | tee built

step "what it makes of recorded events"
wasm=$CARGO_TARGET_DIR/$TARGET/release/done_lines.wasm
"$trackrelay" plugin test "$wasm" --events $name/events.ndjson --with '{"prefix":"done: "}'

step "a receiver that checks every signature, and a daemon whose config names the plugin"
python3 "$root/examples/python-receiver/receiver.py" 0 >arrived &
receiver=$!
wait_for "the receiver listens" grep -q '^listening on ' arrived
umask 077
{
    printf '[store]\npath = "store"\n\n[listen]\ntcp = "127.0.0.1:0"\n\n[workspace]\nid = 4200017\n\n'
    sed -n '/^\[plugin/,$p' built
    cat <<TABLE

[subscription.done]
url_callback  = "$(sed -n 's/^listening on //p' arrived)/done"
event_filters = ["time_entry.*"]
secret        = "a-secret-for-examples-only"
transform     = [{ plugin = "$name", config = { prefix = "done: " } }]
TABLE
} >config.toml
cat config.toml
"$trackrelay" check --config config.toml
"$trackrelay" run --config config.toml 2>daemon.log &
daemon=$!
status() { "$trackrelay" status --config config.toml "$@" 2>/dev/null; }
enabled() { status | grep -q '^done  *enabled '; }
wait_for "the subscription is enabled" enabled

step "events arrive in the plugin's form"
arrives() { grep -Fqx "/done $1" arrived; }
"$trackrelay" send - --config config.toml <$name/events.ndjson
wait_for "the first arrives" arrives '{"id": 4011000083, "seconds": 5400, "text": "done: Writing docs"}'
wait_for "the second arrives" arrives '{"id": 4011000091, "seconds": 600, "text": "done: Tea"}'

step "the plugin is changed and built again, the daemon goes on"
loaded() { status --json | sed -n 's/.*"loaded_at": *"\([^"]*\)".*/\1/p'; }
before=$(loaded)
sed -i 's/"seconds": entry.duration/"minutes": entry.duration.map(|seconds| seconds \/ 60)/' $name/src/lib.rs
grep -q '"minutes"' $name/src/lib.rs || fail "the template has changed: there is no \`\"seconds\": entry.duration\` in it"
build >built
is_loaded() { now=$(loaded) && [ -n "$now" ] && [ "$now" != "$before" ]; }
wait_for "the new file is in force" is_loaded
sed 's/"event_id":90071992547409/"event_id":80071992547409/' $name/events.ndjson |
    "$trackrelay" send - --config config.toml
wait_for "the first arrives in the new form" arrives '{"id": 4011000083, "minutes": 90, "text": "done: Writing docs"}'
wait_for "the second arrives in the new form" arrives '{"id": 4011000091, "minutes": 10, "text": "done: Tea"}'
kill -0 "$daemon" || fail "the daemon has ended"
sed '/^listening/d' arrived

step "done in $(($(date +%s) - started)) s: from \`plugin new\` to signed deliveries, and a change without a restart"
