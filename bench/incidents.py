"""Incidents with a known culprit, triaged from the store alone: type, principals, false incidents.

    python bench/incidents.py [--worlds report] [--seeds 1] [--keep FOLDER] [--only evasion]

Each incident is a telemetry of its own: 1,500 requests of ordinary callers, then what happens among
as many more, through the real guard (three of them in every third one) into a real store; in every
fourth the attacker has four accounts. Evasion and stealing are the attacks of the catalog;
membership inference, inversion and reprogramming are written from their papers; clients with other
aims are those of false_alarms.py. Triage is told neither when nor who.

`top-1` and `top-3`: the true type is the first guess, or among the first three. `F1`: of the
principals named against the true ones, mean over incidents. `false incident`: an
assessment of attack for what is none. The constants of casemate.case.triage were chosen on the
worlds `tune` with seeds 1 and 2, and on nothing else.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import incident_traffic as traffic
import numpy as np
from detection import NEVER, attacks, right

from casemate.catalog import loader
from casemate.catalog.entries import Attack

WORLDS = {
    "tune": ["mnist-cnn", "cancer-linear", "digits-forest"],
    "report": ["fashion-cnn", "cancer-boosting", "diabetes-network"],
}
THEFTS = [
    "extraction-equations",
    "extraction-jacobian",
    "extraction-knockoff",
    "extraction-surrogate",
]
CLIENTS = [
    "retries", "film", "camera", "lime", "lime_table", "kernel_shap", "path_shap", "occlusion",
    "augmentation", "what_if", "boost", "restore", "popular",
]  # fmt: skip
WARM = 1500


def scenarios(kind):
    """Yield (what, truth, function, argument) for a kind of world."""
    for ident in attacks(kind):
        yield "evasion", "adversarial-perturbation", traffic.evasion, ident
    for ident in THEFTS:
        yield "stealing", "model-stealing", traffic.stealing, ident
    for way in ("noise", "flips"):
        yield "membership", "membership-inference", traffic.membership, way
    for way in ("nes", "cells"):
        yield "inversion", "model-inversion", traffic.inversion, way
    yield "reprogramming", "neural-net-reprogramming", traffic.reprogramming, "patch"
    for way in ("darker", "noisy"):
        yield "drift", "drift", traffic.drifting, way
    for way in ("down", "slow", "hole"):
        yield "outage", "outage", traffic.outage, way
    yield "calm", "benign", traffic.calm, "calm"
    import false_alarms

    for name in CLIENTS:
        if false_alarms.ONLY.get(name, kind) == kind:
            yield "client", "benign", traffic.optimiser, name
            if name in ("lime", "kernel_shap", "boost"):
                yield "declared", "benign", traffic.optimiser, name


def made(folder, name, number, what, truth, function, argument, seed):
    """Play one incident into a folder; return what is true of it."""
    place = traffic.place_of(name)
    names = [f"mallory-{i}" for i in range(4 if number % 4 == 3 else 1)]
    if what in ("drift", "outage", "calm"):
        names = []
    if what in ("client", "declared"):
        names = ["client"]
    service = traffic.Service(
        folder, place, seed=seed * 1000 + number, guards=3 if number % 3 == 2 else 1,
        declared=names if what == "declared" else (),
    )  # fmt: skip
    if what == "evasion":
        entry = loader.entry("attacks", argument, Attack)
        service.gives = frozenset(entry.needs) | {"labels"}
    queries = {"evasion": 300, "stealing": 600, "membership": 400, "inversion": 400}.get(what, 300)
    service.crowd(WARM)
    began = service.at
    rows = right(place, 60)
    asked = function(service, argument, names, queries, seed, int(rows[number % len(rows)]))
    ended = service.at
    service.crowd(200)
    service.close()
    return {
        "world": name, "what": what, "argument": argument, "truth": truth, "names": names,
        "asked": asked, "began": began, "ended": ended, "seed": seed,
    }  # fmt: skip


def f1(named, truth):
    """Agreement of two sets of principals."""
    named, truth = set(named), set(truth)
    return 2 * len(named & truth) / max(1, len(named) + len(truth))


def triaged(folder):
    from casemate.case.triage.report import triage
    from casemate.store.telemetry.opening import open_query

    return triage(open_query(folder))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--worlds", default="report", help="tune, report or names")
    parser.add_argument("--seeds", default="11", help="numbers with commas")
    parser.add_argument("--only", help="one of: evasion, stealing, membership, client, ...")
    parser.add_argument("--keep", type=Path, help="play into this folder, and use what is there")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    root = args.keep or Path(tempfile.mkdtemp())
    rows = []
    try:
        for name in WORLDS.get(args.worlds) or args.worlds.split(","):
            for seed in map(int, args.seeds.split(",")):
                kind = traffic.place_of(name).kind
                for number, this in enumerate(scenarios(kind)):
                    if args.only in (None, this[0]):
                        rows.append(one(root, name, number, this, seed, args.verbose))
    finally:
        if args.keep is None:
            shutil.rmtree(root)
    report([row for row in rows if row is not None])


def one(root, name, number, this, seed, verbose):
    folder = root / f"{name}-{seed}-{number:03d}"
    sheet = folder.with_suffix(".json")
    if not sheet.exists():
        shutil.rmtree(folder, ignore_errors=True)
        sheet.write_text(json.dumps(made(folder, name, number, *this, seed)))
    truth = json.loads(sheet.read_text())
    if truth["what"] == "evasion" and truth["asked"] <= NEVER + 5:
        return None
    began = time.process_time()
    found = triaged(folder)
    guesses = [guess.threat for guess in found.guesses]
    row = {
        **truth, "guesses": guesses[:4], "assessment": found.assessment,
        "spent": time.process_time() - began,
        "f1": f1([s.principal for s in found.suspects], truth["names"])
        if truth["names"] and truth["what"] not in ("client", "declared") else None,
    }  # fmt: skip
    wrong = guesses[:1] != [truth["truth"]]
    if verbose or wrong:
        shares = " ".join(f"{g.threat}={g.share:.2f}" for g in found.guesses[:3])
        f = "" if row["f1"] is None else f" F1 {row['f1']:.2f}"
        word = "WRONG" if wrong else "right"
        what = f"{truth['what']}/{truth['argument']} ({truth['asked']} queries)"
        print(f"{word} {folder.name} {what}: {found.assessment}, {shares}{f}", flush=True)
        if verbose:
            print("     ", "\n      ".join(found.reasons[:4]))
    return row


def report(rows):
    print(f"\n{'what':14s} {'n':>4s}  top-1  top-3   F1    false incidents  by argument, top-1")
    kinds = list(dict.fromkeys(row["what"] for row in rows))
    for what in [*kinds, "attacks", "all"]:
        some = [
            r for r in rows
            if r["what"] == what or what == "all" or (what == "attacks" and r["f1"] is not None)
        ]  # fmt: skip
        if not some:
            continue
        n = len(some)
        top = [sum(r["truth"] in r["guesses"][:k] for r in some) / n for k in (1, 3)]
        scores = [r["f1"] for r in some if r["f1"] is not None]
        f = f"{np.mean(scores):.2f}" if scores else "  - "
        calm = [r for r in some if r["truth"] in ("drift", "outage", "benign")]
        false = sum(r["assessment"] == "attack" for r in calm)
        by = {}
        for r in some:
            hits = by.setdefault(r["argument"], [0, 0])
            hits[0] += r["guesses"][:1] == [r["truth"]]
            hits[1] += 1
        parts = " ".join(f"{k.partition('-')[2] or k} {a}/{b}" for k, (a, b) in by.items())
        parts = parts if what in kinds else ""
        print(f"{what:14s} {n:4d}  {top[0]:5.2f}  {top[1]:5.2f}  {f}   "
              f"{f'{false} of {len(calm)}' if calm else '-':15s}  {parts}")  # fmt: skip
    print(f"\n{np.mean([r['spent'] for r in rows]):.2f} CPU s for a triage on average")


if __name__ == "__main__":
    main()
