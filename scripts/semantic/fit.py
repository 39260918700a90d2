#!/usr/bin/env python3
"""Fits the verifier's weights and writes src/cache/semantic/verify/weights.rs. Needs numpy; `make bench-semantic FIT=1` runs it.

    fit.py MEASURED.jsonl [--write]      {"label", "kind", "family", "veto": null|"number"…, "f": [features]|null} a line

A logistic regression whose weights have the sign that they must have (what is left over never helps, a cosine never hurts), so that it
holds outside of what it was fitted on. Families are held out in turn; the bias is then moved until 0.98 is the score at which, of held-out
look-alikes (those with a veto counted), FALSE pass.
"""
import json, math, os, sys
import numpy as np

FALSE = 0.0015
THRESHOLD = 0.98
HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.join(HERE, "../../src/cache/semantic/verify/weights.rs")
# + may only help, - may only hurt, 0 either; in the order of Features::NAMES.
SIGNS = "++++++" + "-------" + "++++" + "--" + "0" + "--"


def fit(x, y, weight, steps=4000, rate=0.02, decay=2e-4):
    w, b = np.zeros(x.shape[1]), 0.0
    m, v = np.zeros(x.shape[1] + 1), np.zeros(x.shape[1] + 1)
    for step in range(1, steps + 1):
        p = 1 / (1 + np.exp(-(x @ w + b)))
        error = (p - y) * weight
        g = np.append(x.T @ error / weight.sum() + decay * w, error.sum() / weight.sum())
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        move = rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        w, b = w - move[:-1], b - move[-1]
        for at, sign in enumerate(SIGNS):
            if sign == "+":
                w[at] = max(w[at], 0)
            elif sign == "-":
                w[at] = min(w[at], 0)
    return w, b


def main():
    rows = [json.loads(line) for line in open(sys.argv[1])]
    zeros = sum(row["label"] == 0 for row in rows)
    live = [row for row in rows if row["f"]]
    x = np.array([row["f"] for row in live])
    y = np.array([row["label"] for row in live], float)
    assert x.shape[1] == len(SIGNS), (x.shape, len(SIGNS))
    families = np.array([row["family"] for row in live])
    # A wrong hit costs more than a missed one; families weigh alike whatever their size.
    size = {name: (families == name).sum() for name in set(families)}
    weight = np.where(y == 0, 6.0, 1.0) * np.array([1 / math.sqrt(size[name]) for name in families])
    order = sorted(size)
    held = np.zeros(len(live))
    for fold in range(6):
        names = set(order[fold::6])
        out = np.array([name in names for name in families])
        w, b = fit(x[~out], y[~out], weight[~out])
        held[out] = x[out] @ w + b
    wrong = np.sort(held[y == 0])[::-1]
    edge = wrong[min(int(FALSE * zeros), len(wrong) - 1)] + 1e-3
    ones = sum(row["label"] == 1 for row in rows)
    print(f"held out: {ones} that are the same, {zeros} look-alikes, {len(wrong)} of them without a veto; edge {edge:.3f}; hits {(held[y == 1] >= edge).sum() / ones:.3f}")
    for name in order:
        own = families == name
        print(f"  {name:12} hits {((held >= edge) & own & (y == 1)).sum()}/{(own & (y == 1)).sum()} wrong {((held >= edge) & own & (y == 0)).sum()}/{(own & (y == 0)).sum()}")
    w, b = fit(x, y, weight)
    b += math.log(THRESHOLD / (1 - THRESHOLD)) - edge
    print("\n".join(f"  {at:2} {value:8.3f}" for at, value in enumerate(w)), "\n  bias", b)
    if "--write" in sys.argv:
        with open(TARGET, "w") as file:
            file.write("//! The fitted weights, written by `scripts/semantic/fit.py`; not edited by hand.\n\nuse super::FEATURES;\n\n")
            file.write(f"pub(super) const BIAS: f32 = {b:.4f};\n#[rustfmt::skip]\npub(super) const WEIGHTS: [f32; FEATURES] = [{', '.join(f'{value + 0.0:.4f}' for value in w)}];\n")


if __name__ == "__main__":
    main()
