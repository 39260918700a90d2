#!/usr/bin/env python3
"""Draws precision over recall from the report of `make bench-semantic`: plot.py REPORT.json OUT.svg. Needs nothing but Python."""
import json, sys

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 420, 60, 24, 20, 52
COLOURS = {"cosine alone": "#b0413e", "cosine and vetoes": "#c98a1b", "verifier": "#2a6f97"}
LOWEST = 0.6


def main():
    found = json.load(open(sys.argv[1]))["pairs"]
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    x = lambda recall: LEFT + recall * across
    y = lambda precision: TOP + (1 - max(precision, LOWEST)) / (1 - LOWEST) * down
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    for step in range(6):
        recall, precision = step / 5, LOWEST + (1 - LOWEST) * step / 5
        out.append(f'<line x1="{x(recall):.1f}" y1="{TOP}" x2="{x(recall):.1f}" y2="{TOP + down}" stroke="#ddd"/><text x="{x(recall):.1f}" y="{TOP + down + 18}" text-anchor="middle">{recall:.0%}</text>')
        out.append(f'<line x1="{LEFT}" y1="{y(precision):.1f}" x2="{LEFT + across}" y2="{y(precision):.1f}" stroke="#ddd"/><text x="{LEFT - 8}" y="{y(precision) + 4:.1f}" text-anchor="end">{precision:.0%}</text>')
    out.append(f'<text x="{LEFT + across / 2}" y="{HEIGHT - 12}" text-anchor="middle">recall: questions answered, of those that a kept answer serves</text>')
    out.append(f'<text transform="translate(14 {TOP + down / 2}) rotate(-90)" text-anchor="middle">precision</text>')
    for at, curve in enumerate(found["curves"]):
        points = curve["points"]
        points = points[:: max(1, len(points) // 240)] + points[-1:]
        line = " ".join(f"{x(recall):.1f},{y(precision):.1f}" for _, recall, precision in points)
        colour = COLOURS[curve["method"]]
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{line}"/>')
        out.append(f'<line x1="{LEFT + 20}" y1="{TOP + down - 58 + 18 * at}" x2="{LEFT + 48}" y2="{TOP + down - 58 + 18 * at}" stroke="{colour}" stroke-width="3"/><text x="{LEFT + 56}" y="{TOP + down - 54 + 18 * at}">{curve["method"]}</text>')
    kept = next(row for row in found["rows"] if row["name"] == "verifier, as delivered")
    at = (x(kept["hits"]), y(1.0 if kept["wrong"] == 0 else LOWEST))
    out.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="5" fill="{COLOURS["verifier"]}"/><text x="{at[0]:.1f}" y="{at[1] + 20:.1f}" text-anchor="middle">threshold 0.98</text></svg>')
    open(sys.argv[2], "w").write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
