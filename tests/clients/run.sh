#!/usr/bin/env bash
# The vendors' own SDKs (Python, Node) against a running gateway, which has every provider dialect behind it: a replay
# upstream (OpenAI, byte for byte) and strict fake vendors (vendors/).
#   tests/clients/run.sh              through the gateway: $CIRQUE_BIN, or target/debug/cirque, built when absent
#   tests/clients/run.sh --direct     each SDK straight to the fake of its own vendor: proves the harness
#   tests/clients/run.sh --node       the Node SDKs only
#   tests/clients/run.sh -k stream    what follows goes to pytest; Node is left out then
# Free ports, readiness by polling, everything started here is ended here by its process id.
set -euo pipefail
cd "$(dirname "$0")/../.."

direct='' only=''
if [ "${1:-}" = --direct ]; then direct=yes; shift; fi
if [ "${1:-}" = --node ]; then only=node; shift; fi
shared=${CIRQUE_SHARED:-../shared}
python=.tools/venv/bin/python
scratch=$(mktemp -d)
pids=()

# shellcheck disable=SC2329  # called by the trap
finish() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM

# until_true SECONDS COMMAND... : polls ten times a second.
until_true() {
    local left=$(($1 * 10))
    shift
    while [ "$left" -gt 0 ]; do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
        left=$((left - 1))
    done
    return 1
}
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# shellcheck disable=SC2329  # called through until_true
answers() { python3 -c 'import sys, urllib.request as u; sys.exit(u.urlopen(sys.argv[1], timeout=1).status != 200)' "$1"; }

start_upstream() {
    "$python" tests/clients/replay_upstream.py --port-file "$scratch/upstream.port" --shared "$shared" \
        >"$scratch/upstream.log" 2>&1 &
    pids+=($!)
    until_true 10 test -s "$scratch/upstream.port" || { cat "$scratch/upstream.log"; exit 1; }
    REPLAY_URL="http://127.0.0.1:$(cat "$scratch/upstream.port")"
    export REPLAY_URL
}

start_gateway() {
    local bin=${CIRQUE_BIN:-target/debug/cirque} port admin
    if [ -z "${CIRQUE_BIN:-}" ]; then cargo build --quiet --bin cirque; fi
    port=$(free_port) admin=$(free_port)
    local secrets=()
    mapfile -t secrets < <(cd tests/clients && "$OLDPWD/$python" -m vendors.targets gateway.yaml "$scratch/gateway.yaml" \
        LISTEN="127.0.0.1:$port" ADMIN="127.0.0.1:$admin" REPLAY="$REPLAY_URL" DEAD="$(free_port)" SCRATCH="$scratch")
    # Not the caller's environment: a proxy variable or a real key has no business here.
    env -i PATH="$PATH" HOME="$scratch" REPLAY_KEY=sk-replay OTHER_KEY=sk-other "${secrets[@]}" \
        "$bin" serve --config "$scratch/gateway.yaml" >"$scratch/gateway.log" 2>&1 &
    local pid=$!
    pids+=("$pid")
    if ! until_true 15 answers "http://127.0.0.1:$admin/readyz"; then
        echo "clients: the gateway did not become ready:"
        tail -n 40 "$scratch/gateway.log"
        exit 1
    fi
    export CIRQUE_URL="http://127.0.0.1:$port" CIRQUE_ADMIN_URL="http://127.0.0.1:$admin" CIRQUE_PID=$pid
}

scripts/setup.sh clients
start_upstream
if [ -n "$direct" ]; then
    export CIRQUE_URL=$REPLAY_URL CIRQUE_DIRECT=1
    echo "clients: straight to the fake vendors"
else
    start_gateway
fi
export CIRQUE_SHARED="$shared" OPENAI_API_KEY=sk-client-secret
unset OPENAI_BASE_URL OPENAI_ORG_ID OPENAI_PROJECT_ID HTTP_PROXY HTTPS_PROXY http_proxy https_proxy ALL_PROXY all_proxy
[ -d "$shared/transcripts" ] || echo "clients: no recordings at $shared/transcripts, their tests are skipped"

(cd tests/clients && "$OLDPWD/$python" -m vendors.targets facts) >"$scratch/targets.json"
export CIRQUE_TARGETS="$scratch/targets.json"
status=0
if [ -z "$only" ]; then
    # Two workers: while one waits for the gateway the other reads an answer. Files keep their order, models are a test's own.
    PYTHONDONTWRITEBYTECODE=1 CIRQUE_COUNTS="$scratch/python.counts" "$python" -m pytest -q -p no:cacheprovider \
        -n 2 --dist worksteal --durations=3 -rfE tests/clients/python "$@" || status=1
    cat "$scratch/python.counts" 2>/dev/null || { echo "clients: python: 0 passed, 1 failed, 0 skipped"; status=1; }
fi

if [ $# -eq 0 ] && [ -d tests/clients/node/node_modules/openai ]; then
    # A failing run prints its assertions in the spec report; the counts come from the TAP one.
    node --test --test-reporter=spec --test-reporter-destination=stdout \
        --test-reporter=tap --test-reporter-destination="$scratch/node.tap" tests/clients/node/*.test.mjs || status=1
    awk '/^# (pass|fail|skipped|cancelled) / { n[$2] = $3 }
         END { printf "clients: node: %d passed, %d failed, %d skipped\n", n["pass"], n["fail"] + n["cancelled"], n["skipped"] }' \
        "$scratch/node.tap"
fi

if [ "$status" -ne 0 ] && [ -s "$scratch/gateway.log" ]; then
    echo "clients: the gateway's last lines:"
    tail -n 40 "$scratch/gateway.log"
fi
exit "$status"
