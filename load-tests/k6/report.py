"""Turns what scripts/load.sh collected into one page and one JSON file in load-tests/results/.

Not a measuring tool: it only reads `NAME.json` (k6's figures) and `NAME.rss` (lines `seconds kilobytes`) from a folder.
`order` lists the scenarios as lines `NAME DURATION`, `busy` holds what others used of the cores, in percent. Usage: report.py FOLDER RESULTS_DIR LABEL
"""

import datetime
import json
import os
import pathlib
import platform
import sys


def memory(path):
    if not path.exists():
        return None
    samples = [tuple(map(float, line.split())) for line in path.read_text().splitlines() if len(line.split()) == 2]
    if not samples:
        return None
    megabytes = [kilobytes / 1024 for _, kilobytes in samples]
    # The first third warms up pools and allocator; growth after it is what would be a leak.
    settled = megabytes[len(megabytes) // 3]
    return {"first_mb": megabytes[0], "settled_mb": settled, "last_mb": megabytes[-1], "max_mb": max(megabytes),
            "growth_percent": 100 * (megabytes[-1] / settled - 1)}


def main():
    folder, results, label = sys.argv[1:4]
    folder, results = pathlib.Path(folder), pathlib.Path(results)
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown CPU")
    facts = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "cpu": cpu, "cores": os.cpu_count(),
             "kernel": platform.release(), "through": label, "busy_percent_before": float((folder / "busy").read_text())}
    scenarios = {}
    for name, duration in (line.split() for line in (folder / "order").read_text().splitlines()):
        path = folder / f"{name}.json"
        scenarios[name] = json.loads(path.read_text()) if path.exists() else {"thresholds_broken": ["k6 gave no figures"]}
        scenarios[name]["duration"] = duration
        scenarios[name]["rss"] = memory(folder / f"{name}.rss")
        notes = folder / f"{name}.notes"
        scenarios[name]["notes"] = notes.read_text().strip() if notes.exists() else ""
    lines = ["# Load", "", f"{facts['date']}, {cpu}, {facts['cores']} cores (k6, mocks and gateway share them), Linux {facts['kernel']}; {label}"]
    if facts["busy_percent_before"] > 10:
        lines += ["", f"**Taken on a busy machine**: others used {facts['busy_percent_before']:.0f} % of its cores before the first scenario."]
    lines += ["",
             "| scenario | lasted | requests | req/s | failed | p50 ms | p95 ms | p99 ms | first byte p95 ms | RSS MB first / settled / last | verdict |",
             "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"]
    broken = False
    for name, s in scenarios.items():
        wrong = s["thresholds_broken"] + s.get("checks_failed", [])
        rss = s["rss"]
        # Only the long run can tell a leak from a pool that is still filling.
        if name == "soak" and rss and rss["growth_percent"] > 5:
            wrong.append("memory grew by more than 5 %")
        broken |= bool(wrong)
        memory_cell = f"{rss['first_mb']:.0f} / {rss['settled_mb']:.0f} / {rss['last_mb']:.0f} ({rss['growth_percent']:+.1f} %)" if rss else ""
        figures = [f"{s.get(key) or 0:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms", "first_byte_p95_ms")]
        verdict = "; ".join(wrong) if wrong else "ok"
        if s["notes"]:
            verdict += f" ({s['notes']})"
        lines.append(f"| {name} | {s['duration']} | {s.get('requests', 0)} | {s.get('rps', 0):.0f} | {s.get('failed', 0)} | " + " | ".join(figures) + f" | {memory_cell} | {verdict} |")
    for name, s in scenarios.items():
        if not s.get("own") and not s.get("held"):
            continue
        lines += ["", f"## {name}", ""]
        trends = {key: v for key, v in sorted(s.get("own", {}).items()) if "p50" in v}
        if trends:
            lines += ["| | p50 | p95 | p99 | max |", "|---|--:|--:|--:|--:|"]
            lines += [f"| {key} | " + " | ".join(f"{v.get(q) or 0:.1f}" for q in ("p50", "p95", "p99", "max")) + " |" for key, v in trends.items()]
        others = [f"{key} {value:g}" for key, v in sorted(s.get("own", {}).items()) if key not in trends for value in v.values() if value is not None]
        rest = ["* " + " · ".join(others)] if others else []
        rest += [f"* {held}" for held in s.get("held", [])]
        rest += [f"* **{wrong}**" for wrong in s["thresholds_broken"] + s.get("checks_failed", [])]
        lines += ([""] if trends and rest else []) + rest
    results.mkdir(parents=True, exist_ok=True)
    stem = results / datetime.datetime.now().strftime("load-%Y%m%d-%H%M%S")
    text = "\n".join(lines) + "\n"
    stem.with_suffix(".md").write_text(text)
    stem.with_suffix(".json").write_text(json.dumps({"machine": facts, "scenarios": scenarios}, indent=1) + "\n")
    print(text)
    print(f"written to {stem}.md and .json", file=sys.stderr)
    sys.exit(1 if broken else 0)


main()
