#!/usr/bin/env bash
# The k6 scenarios through a gateway of their own: starts mocks and gateway on free ports, runs the scenarios named (all
# by default), samples the gateway's memory, ends what it started by pid, writes load-tests/results/load-DATE.{md,json}.
# Usage: scripts/load.sh [--direct] [SCENARIO...]      chat stream mixed failing reload big | soak (not by default)
# Environment: DURATION (20s; soak 600s) · VUS · CIRQUE, MOCK, K6 (binaries instead of building or installing) · RESULTS
set -euo pipefail
cd "$(dirname "$0")/.."
K6_VERSION=v1.8.1
ROOT=$PWD
TOOLS=$ROOT/.tools/bin
RESULTS=${RESULTS:-$ROOT/load-tests/results}

direct=0
scenarios=()
for word in "$@"; do
  case $word in
    --direct) direct=1 ;;
    -h|--help) sed -n '2,6s/^# //p' "$0"; exit 0 ;;
    soak) scenarios+=(soak) ;;
    *) [[ -f load-tests/k6/$word.js && $word != lib ]] || { echo "load: no scenario $word" >&2; exit 2; }
       scenarios+=("$word") ;;
  esac
done
[[ ${#scenarios[@]} -gt 0 ]] || scenarios=(chat stream mixed failing reload big)

# The executable that cargo reports for a target, whatever the target directory is.
built() { # name, cargo arguments...
  local name=$1; shift
  nice -n 10 cargo build --message-format=json-render-diagnostics "$@" | NAME=$name python3 -c '
import json, os, sys
for line in sys.stdin:
    message = json.loads(line) if line.startswith("{") else {}
    if message.get("executable") and message["target"]["name"] == os.environ["NAME"]:
        print(message["executable"])'
}

k6_binary() {
  local k6=$TOOLS/k6
  if [[ ! -x $k6 ]] || ! "$k6" version | grep -qF "k6 $K6_VERSION "; then
    command -v go >/dev/null || { echo "load: k6 is built with go, which is missing: https://go.dev/dl, or set K6" >&2; return 1; }
    echo "installing k6 $K6_VERSION (some minutes the first time)" >&2
    mkdir -p "$TOOLS"
    GOBIN=$TOOLS nice -n 10 go install "go.k6.io/k6@$K6_VERSION" >&2
  fi
  echo "$k6"
}

K6=${K6:-$(k6_binary)}
MOCK=${MOCK:-$(built cirque-mock-provider --release --manifest-path load-tests/mock/Cargo.toml)}
[[ $direct == 1 ]] || CIRQUE=${CIRQUE:-$(built cirque --release --bin cirque)}

work=$(mktemp -d -t cirque-load-XXXXXX)
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do
    for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
  done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

start_mock() { # name, flags...; sets port_NAME
  local name=$1; shift
  "$MOCK" --listen 127.0.0.1:0 "$@" >"$work/$name.out" 2>&1 &
  pids+=($!)
  for _ in $(seq 100); do grep -q listening "$work/$name.out" && break; sleep 0.05; done
  printf -v "port_$name" '%s' "$(sed -n 's/.*:\([0-9]*\)$/\1/p' "$work/$name.out" | head -n 1)"
  local port=port_$name
  [[ -n ${!port} ]] || { echo "load: the mock $name did not start: $(cat "$work/$name.out")" >&2; exit 1; }
}

write_config() { # weight; another weight is another configuration, so that a reload has something to do
  cat >"$work/cirque.new" <<YAML
listen: 127.0.0.1:$port
admin: { listen: 127.0.0.1:$admin }
insecure: { open_access: true }
providers:
  good:   { kind: openai, base_url: "http://127.0.0.1:$port_good/v1", api_key: env:MOCK_KEY }
  spare:  { kind: openai, base_url: "http://127.0.0.1:$port_spare/v1", api_key: env:MOCK_KEY }
  broken: { kind: openai, base_url: "http://127.0.0.1:$port_broken/v1", api_key: env:MOCK_KEY }
  flaky:  { kind: openai, base_url: "http://127.0.0.1:$port_flaky/v1", api_key: env:MOCK_KEY }
  dead:   { kind: openai, base_url: "http://127.0.0.1:$(free_port)/v1", api_key: env:MOCK_KEY }
models:
  mock: { targets: [ { provider: good, model: mock, weight: $1 }, { provider: spare, model: mock, weight: 1 } ] }
  pace-5-mock: { targets: [ { provider: good, model: pace-5-mock, weight: $1 }, { provider: spare, model: pace-5-mock, weight: 1 } ] }
  half-broken: { targets: [ { provider: good, model: mock }, { provider: broken, model: mock } ] }
  half-flaky:  { targets: [ { provider: good, model: mock }, { provider: flaky, model: mock } ] }
  half-dead:   { targets: [ { provider: good, model: mock }, { provider: dead, model: mock } ] }
YAML
  mv "$work/cirque.new" "$work/cirque.yaml"
}

start_gateway() {
  port=$(free_port) admin=$(free_port)
  write_config 1
  MOCK_KEY=sk-mock "$CIRQUE" serve --config "$work/cirque.yaml" >"$work/gateway.log" 2>&1 &
  gateway=$!
  pids+=("$gateway")
  for _ in $(seq 100); do
    curl -sf -o /dev/null "http://127.0.0.1:$admin/readyz" && return
    kill -0 "$gateway" 2>/dev/null || break
    sleep 0.1
  done
  echo "load: the gateway did not get ready:" >&2
  tail -n 20 "$work/gateway.log" >&2
  exit 1
}

sample_memory() { # file
  local begin=$SECONDS
  while kb=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$gateway/status" 2>/dev/null) && [[ -n $kb ]]; do
    echo "$((SECONDS - begin)) $kb" >>"$1"
    sleep 1
  done
}

reloads() { # how many, over how many seconds
  for nth in $(seq "$1"); do
    write_config $((1 + nth % 3))
    kill -HUP "$gateway" || return
    sleep "$(awk "BEGIN { print $2 / $1 }")"
  done
}

seconds() { local text=${1%s}; [[ $text == *m ]] && text=$((${text%m} * 60)); echo "$text"; }

metric() { curl -sf "http://127.0.0.1:$admin/metrics" | grep -E "$1" | tr '\n' ' ' || true; }

run_one() { # scenario
  local name=$1 script=$1 duration=${DURATION:-20s} helpers=()
  [[ $name != soak ]] || { script=mixed; duration=${DURATION:-600s}; }
  echo "== $name ($duration)" >&2
  echo "$name $duration" >>"$work/order"
  if [[ $direct == 0 ]]; then
    sample_memory "$work/$name.rss" & helpers+=($!)
  fi
  if [[ $name == reload && $direct == 0 ]]; then
    reloads 50 "$(($(seconds "$duration") - 2))" & helpers+=($!)
  fi
  BASE_URL=$base DIRECT=$direct DURATION=$duration SUMMARY=$work/$name.json \
    "$K6" run --quiet --no-usage-report "load-tests/k6/$script.js" >&2 || true
  if [[ $name == reload && $direct == 0 ]]; then
    wait "${helpers[1]}" || true
    metric '^cirque_[a-z_]*reload[a-z_]*(\{[^}]*\})? ' >"$work/$name.notes"
  fi
  for pid in "${helpers[@]}"; do kill "$pid" 2>/dev/null || true; done
  if [[ $direct == 0 ]] && ! kill -0 "$gateway" 2>/dev/null; then
    echo "the gateway died" >>"$work/$name.notes"
    tail -n 20 "$work/gateway.log" >&2
    exit 1
  fi
}

# About 50 ms to the first byte, as short prompts have it; the broken ones answer at once.
start_mock good --latency lognormal:50:0.4
start_mock spare --latency lognormal:50:0.4
start_mock broken --failure-share 1 --failure-status 503
start_mock flaky --failure-share 0.33 --failure-status 500 --latency lognormal:50:0.4
if [[ $direct == 1 ]]; then
  base=http://127.0.0.1:$port_good label="straight to the mock, no gateway"
else
  start_gateway
  base=http://127.0.0.1:$port label="through $("$CIRQUE" --version)"
fi
for name in "${scenarios[@]}"; do run_one "$name"; done
python3 load-tests/k6/report.py "$work" "$RESULTS" "$label"
