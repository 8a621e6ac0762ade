"""Attacks run query by query through judge and watch: how many are seen, when, and what is left.

    python bench/detection.py [--worlds report] [--sessions 10] [--queries 300] [--attack ...]

Each session is one attack on one input by one new principal, between ordinary callers (two of
their queries for each of the attack's). `seen` is the share of sessions in which any detection
named the principal, `page` that of an attack (such wake somebody up); `at` are medians and 95 %
quantiles over the sessions of the number of the attack's own queries at that moment, its first
query counted as 1, sessions not seen counted as more than the budget. `free` is the share of
sessions in which the attack succeeded within its budget with nobody watching, `watched` that in
which it had before the page. Attacks with a radius succeed when they are fooled within it; those
that look for the smallest change when it is within the catalog's `finding_within`.

The numbers in casemate.detect were chosen on the worlds `tune`, and on nothing else.
"""

from __future__ import annotations

import argparse
import inspect
import time

import numpy as np
from guarded_loop import Caller, Guarded, world

from casemate.attack.domain import Domain
from casemate.attack.oracle import Oracle
from casemate.catalog import loader
from casemate.catalog.entries import Attack, Detector
from casemate.detect.odds import upper
from casemate.errors import BudgetSpent

WORLDS = {
    "tune": ["mnist-cnn", "cancer-linear", "digits-forest"],
    "report": ["fashion-cnn", "cancer-boosting", "diabetes-network"],
}
PAGING = {i for i, e in loader.entries("detections", Detector).items() if e.pages}
NEVER = 55
"""A decision-based attack that finds no start stops after so many random inputs: not a session."""
WARM = 1500
"""Ordinary queries before the first session."""


def attacks(kind: str) -> list[str]:
    """The black-box evasion attacks of the catalog that fit this kind of input."""
    wanted = "tabular" if kind == "table" else "image"
    return [
        ident
        for ident, entry in loader.entries("attacks", Attack).items()
        if entry.family == "evasion"
        and entry.knowledge in ("score-based", "decision-based")
        and {"any", wanted} & set(entry.modality)
    ]


def session(guarded: Guarded, attack: str, row: int, seed: int, queries: int, rng, between=2):
    """Run one attack; return what was seen when, and when it succeeded."""
    place = guarded.world
    entry = loader.entry("attacks", attack, Attack)
    params = loader.params(entry, {})
    guarded.gives = frozenset(entry.needs) | {"labels"}
    name = f"mallory-{attack}-{seed}"
    seen = {"any": None, "page": None, "first": None}
    mark = len(guarded.detections)

    def look():
        nonlocal mark
        for found in guarded.detections[mark:]:
            if name in found.principals:
                asked = caller.asked
                seen["any"] = seen["any"] or asked
                seen["first"] = seen["first"] or found.rule
                if found.rule in PAGING:
                    seen["page"] = seen["page"] or asked
                    seen["rule"] = seen.get("rule", found.rule)
        mark = len(guarded.detections)
        if seen["done"] is None and good(oracle):
            seen["done"] = caller.asked

    caller = Caller(guarded, [name], between=lambda: guarded.crowd(between, rng), stop=look)
    norm = str(params.get("norm") or (entry.norms[0] if entry.norms else "linf"))
    eps = None
    if "eps" in params and not entry.minimum_norm:
        eps = place.eps if norm == "linf" else place.eps * place.x[0].size ** 0.5 / 2
        params["eps"] = eps
    if "steps" in params:
        params["steps"] = max(int(params["steps"] or 0), queries)
    cells = place.x[0].size
    within = (entry.finding_within or 0.05) * cells ** (1 / 2 if norm == "l2" else 0)

    def good(oracle):
        return oracle.distance[0] <= (eps * (1 + 1e-5) if eps is not None else within)

    seen["done"] = None
    x, y = place.x[row : row + 1], place.y[row : row + 1]
    oracle = Oracle(
        caller, np.array(x), y, domain=Domain(place.low, place.high, place.columns), norm=norm,
        eps=eps, budget=queries,
    )  # fmt: skip
    try:
        function = loader.load(entry)
        random = "rng" in inspect.signature(function).parameters
        extra = {"rng": np.random.default_rng(seed)} if random else {}
        function(oracle, oracle.x, oracle.y, **extra, **params)
    except BudgetSpent:
        pass
    look()
    seen["asked"] = caller.asked
    return seen


def right(place, n):
    """The first n inputs the model has right."""
    some = place.x[: 40 * n]
    good = np.flatnonzero(np.asarray(place.scores(some)).argmax(axis=1) == place.y[: 40 * n])
    return good[:n]


def quantiles(values, n):
    ordered = sorted(v if v is not None else float("inf") for v in values)
    if not n:
        return "-"
    return f"{ordered[(n - 1) // 2]:.0f}/{ordered[int(0.95 * (n - 1))]:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", default="report", help="tune, report or names")
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--guards", type=int, default=1)
    parser.add_argument("--attack", action="append")
    parser.add_argument("--verbose", action="store_true", help="print false alarms")
    args = parser.parse_args()
    print(f"{'world':16s} {'attack':24s} n   seen at       page at       free watched  rules")
    every: list[dict] = []
    for name in WORLDS.get(args.worlds) or args.worlds.split(","):
        place = world(name)
        rng = np.random.default_rng(5)
        guarded = Guarded(place, guards=args.guards)
        guarded.crowd(WARM, rng)
        start = time.process_time()
        chosen = args.attack or attacks(place.kind)
        spare = right(place, args.sessions * len(chosen))
        for attack in chosen:
            rows, spare = spare[: args.sessions], spare[args.sessions :]
            got = [
                session(guarded, attack, int(row), i, args.queries, rng)
                for i, row in enumerate(rows)
            ]
            started = [g for g in got if g["done"] is not None or g["asked"] > NEVER]
            every += started
            print(f"{name:16s} {attack:24s} {line(started)}", flush=True)
        crowd = [d for d in guarded.detections if any(p.startswith("user-") for p in d.principals)]
        for found in crowd[:5] if args.verbose else []:
            print(found.rule, found.score, found.bar, found.principals, found.message)
        ordinary = sum(v for k, v in guarded.asked.items() if k.startswith("user"))
        print(
            f"{name:16s} ordinary callers: {ordinary} queries, {len(crowd)} detections, "
            f"{sum(d.rule in PAGING for d in crowd)} pages; {time.process_time() - start:.0f} CPU s"
        )
    print(f"{'all':16s} {'':24s} {line(every)}")


def line(got) -> str:
    n = len(got)
    seen, page = ([g[k] for g in got if g[k] is not None] for k in ("any", "page"))
    free = sum(g["done"] is not None for g in got)
    won = sum(g["done"] is not None and (g["page"] is None or g["done"] <= g["page"]) for g in got)
    rules: dict[str, int] = {}
    for g in got:
        rules[g.get("rule", "-")] = rules.get(g.get("rule", "-"), 0) + 1
    return (
        f"{n:<3d} {len(seen) / max(1, n):4.0%} {quantiles([g['any'] for g in got], n):8s} "
        f"{len(page) / max(1, n):4.0%} {quantiles([g['page'] for g in got], n):8s} "
        f"{free / max(1, n):4.0%} {won / max(1, n):4.0%} (at most {upper(won, n):.0%})  {rules}"
    )


if __name__ == "__main__":
    main()
