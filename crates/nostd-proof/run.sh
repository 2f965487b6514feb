#!/usr/bin/env bash
# Proves that memplug-core builds and works without std.
#
# Builds the freestanding program of this folder, looks at what came out, and runs it. Needs:
# x86-64 Linux, stable Rust, gcc with its binutils. Five things must hold:
#   1. it builds;
#   2. it does not build once std is in the graph, so that 1. means something;
#   3. the program has no interpreter, nothing dynamic, nothing undefined, nothing relocated;
#   4. it has no symbol of std; the same search finds std in the build script of this crate,
#      so that finding none means something;
#   5. its tests pass, in an empty environment.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$here/../.."

mkdir -p "${CARGO_TARGET_DIR:-target/nostd}"
CARGO_TARGET_DIR="$(cd "${CARGO_TARGET_DIR:-target/nostd}" && pwd)"
export CARGO_TARGET_DIR
# Chosen elsewhere, these would put what is looked at in another place.
unset CARGO_BUILD_TARGET CARGO_BUILD_BUILD_DIR
manifest=crates/nostd-proof/Cargo.toml
program="$CARGO_TARGET_DIR/release/nostd-proof"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

fail() {
    printf 'nostd-proof: %s\n' "$*" >&2
    exit 1
}

needs() {
    [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] ||
        fail "the program is for x86-64 Linux; run this on such a machine"
    command -v cargo >/dev/null || fail "cargo is missing; install Rust from rustup.rs"
    local tool
    for tool in cc nm readelf; do
        command -v "$tool" >/dev/null || fail "$tool is missing; install gcc and binutils"
    done
}

builds() {
    cargo build --release --locked --manifest-path "$manifest" ||
        fail "it does not build; if the lock file is old: cargo update --workspace --manifest-path $manifest"
}

# The panic handler of std is a second one: error E0152, and no other reason counts.
does_not_build_with_std() {
    local log="$scratch/with-std"
    if cargo check --release --locked --manifest-path "$manifest" \
        --features std-must-not-build 2>"$log"; then
        fail "it builds with std as well, so building proves nothing; is the panic handler gone?"
    fi
    if ! grep -q 'E0152' "$log" || ! grep -q 'panic_impl' "$log"; then
        cat "$log" >&2
        fail "with std it fails for another reason than two panic handlers; see above"
    fi
    printf 'with std it does not build: %s\n' "$(grep -m 1 'E0152' "$log")"
}

stands_alone() {
    local elf="$scratch/elf" symbols="$scratch/undefined"
    LC_ALL=C readelf --wide --file-header --program-headers --relocs "$program" >"$elf"
    grep -q 'Type: *EXEC' "$elf" || fail "$program is not linked to a fixed address"
    if grep -E '^ *(INTERP|DYNAMIC|TLS) ' "$elf" >&2; then
        fail "$program has a segment that a program without std has no use for; see above"
    fi
    grep -q 'There are no relocations' "$elf" || fail "$program has relocations and nobody to apply them"
    nm --undefined-only "$program" >"$symbols"
    if [ -s "$symbols" ]; then
        cat "$symbols" >&2
        fail "$program has undefined symbols; see above"
    fi
    printf 'the program stands alone: %s bytes, no interpreter, nothing dynamic\n' \
        "$(stat --format %s "$program")"
}

# How many symbols of std a program has, in either way of writing them.
std_symbols() {
    nm --demangle "$1" >"$scratch/symbols"
    grep -cE '(^|[^[:alnum:]_])std(\[[0-9a-f]+\])?::' "$scratch/symbols" || true
}

has_no_symbol_of_std() {
    local control found
    for control in "$CARGO_TARGET_DIR"/release/build/nostd-proof-*/build-script-build; do
        [ -f "$control" ] || fail "the build script is not at $control, to try the search on"
        found="$(std_symbols "$control")"
        [ "$found" -gt 0 ] || fail "the search finds no std where there is; is nm of binutils 2.36 or newer?"
    done
    printf 'symbols of std: %s in a program with std, ' "$found"
    found="$(std_symbols "$program")"
    printf '%s in this one, which has %s symbols\n' "$found" "$(wc -l <"$scratch/symbols")"
    [ "$found" -eq 0 ] || fail "$program has symbols of std; look with nm --demangle"
    grep -q 'memplug_core' "$scratch/symbols" || fail "$program has no symbol of the core either"
}

tests_pass() {
    local output="$scratch/output"
    env -i "$program" | tee "$output" || fail "a test failed; see above"
    grep -qE '^[1-9][0-9]* passed, 0 failed$' "$output" || fail "the run came to no good end; see above"
}

needs
builds
does_not_build_with_std
stands_alone
has_no_symbol_of_std
tests_pass
