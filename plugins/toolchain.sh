#!/bin/sh
# Makes a private Rust compiler that can build for wasm32-unknown-unknown, for machines
# whose own toolchain lacks that target and cannot add it. It takes Debian's compiler
# packages, unpacks them into plugins/.toolchain (nothing is installed), and builds the
# standard library for wasm with them once. Needs: apt-get, dpkg, cargo, about 3 minutes,
# 140 MB of download, 600 MB of disk.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=$here/.toolchain
target=wasm32-unknown-unknown

if [ -x "$out/rustc" ] && "$out/rustc" --print target-libdir --target $target >/dev/null 2>&1 &&
    ls "$("$out/rustc" --print target-libdir --target $target)"/libstd-*.rlib >/dev/null 2>&1; then
    exit 0
fi

rm -rf "$out"
mkdir -p "$out/deb" "$out/fs" "$out/std/src"

echo "toolchain: fetching Debian's compiler packages" >&2
std=$(apt-cache depends libstd-rust-web-dev | sed -n 's/.*Depends: \(libstd-rust-web-[0-9.]*\)$/\1/p')
if [ -z "$std" ]; then
    echo "toolchain: the package rustc-web is not known here; run \`apt-get update\` on a Debian with its security updates" >&2
    exit 1
fi
offered=$(apt-cache policy rustc-web | sed -n 's/^ *Candidate: \([0-9.]*\).*/\1/p')
recorded=$(sed -n 's/^compiler rustc \([0-9.]*\).*/\1/p' "$here/BUILDINFO")
if [ "$offered" != "$recorded" ]; then
    echo "toolchain: apt offers rustc $offered, BUILDINFO records $recorded: with this one the plugins come out as other" \
        "bytes, and check.sh compares what both files make of the golden events" >&2
fi
llvm=$(apt-cache depends "$std" | sed -n 's/.*Depends: \(libllvm[0-9]*\).*/\1/p' | head -n 1)
(cd "$out/deb" && apt-get download -qq rustc-web "$std" libstd-rust-web-dev rust-web-src "$llvm")
for package in rustc-web "$std" libstd-rust-web-dev "$llvm"; do
    dpkg -x "$out"/deb/"$package"_*.deb "$out/fs"
done
dpkg --fsys-tarfile "$out"/deb/rust-web-src_*.deb |
    tar -x -C "$out/fs" --wildcards './usr/src/rustc-*/library*' './usr/lib/rustlib/src/*'

cat >"$out/rustc" <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH=$out/fs/usr/lib/$(uname -m)-linux-gnu exec $out/fs/usr/bin/rustc "\$@"
WRAPPER
chmod +x "$out/rustc"

echo "toolchain: building the standard library for $target" >&2
cat >"$out/std/Cargo.toml" <<'MANIFEST'
[package]
name = "empty"
version = "0.0.0"
edition = "2021"
[workspace]
[profile.release]
panic = "abort"
MANIFEST
: >"$out/std/src/lib.rs"

flags="-Cembed-bitcode=yes --remap-path-prefix=$out/fs/usr/lib/rustlib/src/rust=/rust"
for sources in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags="$flags --remap-path-prefix=$sources=/dep"
done
# The compiler is Debian's, the linker the installed toolchain's: Debian's package has none.
(cd "$out/std" && RUSTC="$out/rustc" RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags" CARGO_TARGET_DIR="$out/std/target" \
    cargo build --release -Zbuild-std=std,panic_abort --target $target)
lib=$("$out/rustc" --print target-libdir --target $target)
mkdir -p "$lib"
cp "$out"/std/target/$target/release/deps/*.rlib "$lib"/
rm -rf "$out/deb" "$out/std"
echo "toolchain: $("$out/rustc" --version) is ready" >&2
