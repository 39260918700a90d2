#!/usr/bin/env bash
# The unit's measured exposure stays at or below 1.5 (systemd-analyze security: 0 best, 10 worst), and systemd and
# systemd-sysusers accept the files. Skips where the tools are missing: nothing here needs a running systemd.
set -euo pipefail
cd "$(dirname "$0")/../.."
limit=1.5

if ! command -v systemd-analyze >/dev/null 2>&1; then
    echo "service: skipped, systemd-analyze is not installed (package systemd)"
    exit 0
fi
if ! systemd-analyze security --help 2>/dev/null | grep -q -- --offline; then
    echo "service: skipped, this systemd-analyze has no --offline (needs systemd 250)"
    exit 0
fi

line=$(systemd-analyze security --offline=true --no-pager systemd/cirque.service | grep 'Overall exposure level')
score=$(sed -E 's/.*: ([0-9]+\.[0-9]+) .*/\1/' <<<"$line")
if ! awk -v s="$score" -v l="$limit" 'BEGIN { exit !(s <= l) }'; then
    echo "service: exposure $score is above $limit; run: systemd-analyze security --offline=true systemd/cirque.service"
    exit 1
fi

# `verify` wants the executable to exist; the rest of the unit is checked with a stand-in for it.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sed 's#/usr/local/bin/cirque#/bin/true#' systemd/cirque.service >"$scratch/cirque.service"
if ! complaints=$(systemd-analyze verify --man=no "$scratch/cirque.service" 2>&1) || [ -n "$complaints" ]; then
    # Units of the machine itself may draw warnings; only lines about ours count.
    ours=$(grep 'cirque' <<<"$complaints" || true)
    if [ -n "$ours" ]; then
        echo "service: systemd does not accept the unit:"
        echo "$ours"
        exit 1
    fi
fi
if command -v systemd-sysusers >/dev/null 2>&1; then
    if ! said=$(systemd-sysusers --dry-run "$PWD/systemd/cirque.sysusers" 2>&1); then
        echo "service: systemd-sysusers does not accept systemd/cirque.sysusers: $said"
        exit 1
    fi
fi
echo "service: exposure $score (limit $limit), unit and sysusers accepted"
