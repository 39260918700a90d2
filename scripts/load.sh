#!/usr/bin/env bash
# The k6 scenarios through a gateway of their own: starts mocks and gateway on free ports, runs the scenarios named (all
# by default), samples the gateway's memory, ends what it started by pid, writes load-tests/results/load-DATE.{md,json}.
# Usage: scripts/load.sh [--direct] [SCENARIO...]      chat stream mixed failing slow flapping storm overload hedge continuation
#                                                      mirror rules reload big | soak (not by default); --direct: those of base.yaml
# Environment: DURATION (20s, or what the scenario says; soak 600s) · VUS · CIRQUE, MOCK, K6 (binaries instead of building or
#              installing) · RESULTS · KEEP_LOG (a folder for the gateway's logs)
set -euo pipefail
cd "$(dirname "$0")/.."
K6_VERSION=v1.8.1
ROOT=$PWD
TOOLS=$ROOT/.tools/bin
RESULTS=${RESULTS:-$ROOT/load-tests/results}
folder=load-tests/k6

direct=0
scenarios=()
for word in "$@"; do
  case $word in
    --direct) direct=1 ;;
    -h|--help) sed -n '2,7s/^# //p' "$0"; exit 0 ;;
    soak) scenarios+=(soak) ;;
    *) [[ -f $folder/$word.js && $word != lib ]] || { echo "load: no scenario $word" >&2; exit 2; }
       scenarios+=("$word") ;;
  esac
done
if [[ ${#scenarios[@]} == 0 ]]; then
  scenarios=(chat stream mixed big)
  [[ $direct == 1 ]] || scenarios=(chat stream mixed failing slow flapping storm overload hedge continuation mirror rules reload big)
fi
for name in "${scenarios[@]}"; do
  [[ $direct == 0 || ! -f $folder/$name.yaml ]] || { echo "load: $name is about the gateway, --direct makes no sense" >&2; exit 2; }
done

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
# Compilers at work beside it make latencies worthless; the page says so. Percent of the cores in use, over three seconds.
cpu_times() { awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 + $9, $5 + $6 }' /proc/stat; }
read -r used idle < <(cpu_times)
sleep 3
cpu_times | awk -v used="$used" -v idle="$idle" '{ u = $1 - used; i = $2 - idle; printf "%.0f\n", (u + i ? 100 * u / (u + i) : 0) }' >"$work/busy"
declare -A address=()
mocks=() helpers=()
end() { # pids...
  for pid in "$@"; do kill "$pid" 2>/dev/null || true; done
  for pid in "$@"; do
    for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
}
cleanup() {
  end "${helpers[@]}" "${mocks[@]}"
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Below the ports that the kernel gives to outgoing connections, of which there are many here.
free_port() {
  python3 - <<'PYTHON'
import random, socket
while True:
    port = random.randrange(15000, 32000)
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
PYTHON
}

start_mock() { # name, flags...; sets address[name]
  local name=$1; shift
  : >"$work/$name.out"
  "$MOCK" --listen 127.0.0.1:0 "$@" >>"$work/$name.out" 2>&1 &
  mocks+=($!)
  for _ in $(seq 100); do grep -q listening "$work/$name.out" && break; sleep 0.05; done
  address[$name]=$(sed -n 's/^listening on //p' "$work/$name.out" | head -n 1)
  [[ -n ${address[$name]} ]] || { echo "load: the mock $name did not start: $(cat "$work/$name.out")" >&2; exit 1; }
}

# The configuration of a scenario names its mocks in lines `# mock NAME FLAGS`; \${NAME} in it becomes their address, \${dead} one
# where nobody listens. Another \${weight} is another configuration, so that a reload has something to do.
write_config() { # weight
  {
    echo "listen: 127.0.0.1:$port"
    echo "admin: { listen: 127.0.0.1:$admin }"
    echo "insecure: { open_access: true }"
    local text; text=$(<"$yaml")
    for name in "${!address[@]}"; do text=${text//"\${$name}"/${address[$name]}}; done
    echo "${text//'${weight}'/$1}"
  } >"$work/cirque.new"
  mv "$work/cirque.new" "$work/cirque.yaml"
}

start_gateway() {
  port=$(free_port) admin=$(free_port)
  write_config 1
  : >"$work/gateway.log"
  MOCK_KEY=sk-mock "$CIRQUE" serve --config "$work/cirque.yaml" >"$work/gateway.log" 2>&1 &
  gateway=$!
  mocks+=("$gateway")
  for _ in $(seq 100); do
    curl -sf -o /dev/null "http://127.0.0.1:$admin/readyz" && return
    kill -0 "$gateway" 2>/dev/null || break
    sleep 0.1
  done
  echo "load: the gateway did not get ready:" >&2
  tail -n 20 "$work/gateway.log" >&2
  return 1
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

# Mocks and gateway of a configuration; those of another are ended first. Scenarios begin with a gateway that knows nothing yet.
world() { # file
  [[ $1 == "${yaml:-}" && $1 == "$folder/base.yaml" ]] && return
  end "${mocks[@]}"
  mocks=() address=([dead]=127.0.0.1:$(free_port)) yaml=$1
  local name flags
  while read -r name flags; do
    # shellcheck disable=SC2086 # flags are words
    start_mock "$name" $flags
  done < <(sed -n 's/^# mock //p' "$yaml")
  if [[ $direct == 1 ]]; then
    base=http://${address[good]}
  else
    start_gateway || return 1
    base=http://127.0.0.1:$port
  fi
}

run_one() { # scenario
  local name=$1 script=$1 config=$folder/base.yaml duration environment=()
  [[ $name != soak ]] || script=mixed
  [[ ! -f $folder/$script.yaml ]] || config=$folder/$script.yaml
  duration=$(sed -n 's/^# duration //p' "$config")
  [[ $name != soak ]] || duration=600s
  duration=${DURATION:-${duration:-20s}}
  echo "== $name ($duration)" >&2
  echo "$name $duration" >>"$work/order"
  world "$config" || { echo "the gateway did not start" >>"$work/$name.notes"; yaml=; return; }
  for mock in "${!address[@]}"; do environment+=("MOCK_$mock=${address[$mock]}"); done
  helpers=()
  if [[ $direct == 0 ]]; then
    sample_memory "$work/$name.rss" & helpers+=($!)
  fi
  if [[ $name == reload ]]; then
    # Not before the breaker is open, see reload.js.
    { sleep 2; reloads 50 "$(($(seconds "$duration") - 2))"; } & helpers+=($!)
  fi
  env "${environment[@]}" BASE_URL="$base" ADMIN_URL="http://127.0.0.1:${admin:-0}" DIRECT=$direct DURATION="$duration" \
    SUMMARY="$work/$name.json" "$K6" run --quiet --no-usage-report "$folder/$script.js" >&2 || true
  if [[ $direct == 0 ]] && ! kill -0 "$gateway" 2>/dev/null; then
    echo "the gateway died" >>"$work/$name.notes"
    tail -n 20 "$work/gateway.log" >&2
    exit 1
  fi
  if [[ $name == reload ]]; then
    wait "${helpers[1]}" || true
    metric '^cirque_[a-z_]*reload[a-z_]*(\{[^}]*\})? ' >"$work/$name.notes"
  fi
  end "${helpers[@]}"
  helpers=()
  [[ -z ${KEEP_LOG:-} || $direct == 1 ]] || cp "$work/gateway.log" "$KEEP_LOG/$name.log"
}

label="straight to the mock, no gateway"
[[ $direct == 1 ]] || label="through $("$CIRQUE" --version)"
for name in "${scenarios[@]}"; do run_one "$name"; done
python3 "$folder/report.py" "$work" "$RESULTS" "$label"
