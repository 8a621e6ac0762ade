"""Column search against ART's ZOO on tables: success, queries, cells changed, legal rows.

    python bench/blackbox_tables.py [--rows 60] [--queries 300]

The same estimators, trained on the same rows of scikit-learn's breast-cancer table (rounded to two
digits, scaled to [0, 1], where ZOO works best), are attacked in both virtual environments. A third
of the columns cannot change and some others can only rise. ZOO cannot be told: `legal` is the share
of attacked rows that are fooled by a row the columns allow, `fooled` that by any row at all.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time

import numpy as np
from attacks_white_box import set_up
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

KINDS = {
    "forest": RandomForestClassifier(100, random_state=0),
    "boosting": GradientBoostingClassifier(random_state=0),
    "linear": LogisticRegression(C=10, max_iter=5000),
}


def table(rows: int):
    x, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    x, y = x[order], y[order]
    x = np.round((x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0)), 2)
    return (x[rows:], y[rows:]), (x[:rows], y[:rows])


def columns():
    from casemate.records.column import Column

    return tuple(
        Column(
            name=f"c{j}", low=0, high=1, mutable=j % 3 != 0,
            direction="up" if j % 3 == 1 and j % 2 else "any",
        )
        for j in range(30)
    )  # fmt: skip


def legal(x: np.ndarray, origin: np.ndarray) -> np.ndarray:
    still = (x == origin)[:, ::3].all(axis=1)
    rising = [j for j in range(30) if j % 3 == 1 and j % 2]
    inside = ((x >= 0) & (x <= 1)).all(axis=1)
    return still & inside & (x >= origin)[:, rising].all(axis=1)


def zoo(kind: str, rows: int) -> dict:
    from art.attacks.evasion import ZooAttack
    from art.estimators.classification import SklearnClassifier

    train, (x, y) = table(rows)
    fitted = KINDS[kind].fit(*train)
    right = fitted.predict(x) == y
    x, y = x[right].astype(np.float32), y[right]
    asked = [0]
    ask = fitted.predict_proba
    fitted.predict_proba = lambda some: asked.__setitem__(0, asked[0] + len(some)) or ask(some)
    start = time.process_time()
    adv = ZooAttack(
        SklearnClassifier(fitted, clip_values=(0, 1)), max_iter=60, learning_rate=0.1,
        binary_search_steps=5, nb_parallel=30, batch_size=1, use_resize=False,
        use_importance=False, variable_h=0.2, verbose=False,
    ).generate(x)  # fmt: skip
    cpu = time.process_time() - start
    fooled = ask(adv).argmax(axis=1) != y
    return {
        "n": len(y), "fooled": int(fooled.sum()), "legal": int((fooled & legal(adv, x)).sum()),
        "queries": asked[0] / len(y), "cpu": cpu,
        "cells": float(np.median((adv != x)[fooled].sum(axis=1))) if fooled.any() else None,
    }  # fmt: skip


def ours(kind: str, rows: int, queries: int, gives: str) -> dict:
    import io

    from casemate.attack.run import run
    from casemate.records.target import Target
    from casemate.targets.data import Data
    from casemate.targets.settings import Settings
    from casemate.targets.sklearn import wrap

    train, (x, y) = table(rows)
    fitted = KINDS[kind].fit(*train)
    model = wrap(
        fitted, Target(kind="model", uri="bench"),
        Settings(bounds=(0.0, 1.0), sample=x[:16], columns=columns()),
    )  # fmt: skip
    if gives == "labels":
        model.gives = frozenset({"labels"})
    data = Data(x, y, 0.0, 1.0, columns(), Target(kind="dataset", uri="bench"), None)
    held: list[bytes] = []
    trial = run(
        model, data, "evasion-tabular", budget=queries, params={"steps": queries},
        keep=lambda blob: held.append(blob) or "sha256:" + "0" * 64,
    )  # fmt: skip
    found = [o for o in trial.outcomes if o.success]
    rows_found = np.load(io.BytesIO(held[0])) if held else {"x": x[:0], "adv": x[:0]}
    n = sum(o.clean for o in trial.outcomes)
    return {
        "n": n, "fooled": len(found), "cpu": trial.cost.cpu_s, "queries": trial.cost.queries / n,
        "legal": int(legal(rows_found["adv"], rows_found["x"]).sum()),
        "cells": float(np.median([o.distance for o in found])) if found else None,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--zoo", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.zoo:
        print(json.dumps(zoo(args.zoo, args.rows)))
        return
    python = set_up()
    for kind in KINDS:
        command = [str(python), __file__, "--zoo", kind, "--rows", str(args.rows)]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = {"ART ZOO": json.loads(done.stdout.splitlines()[-1])} if done.stdout else {}
        if not lines:
            print(f"ART ZOO: {done.stderr.strip().splitlines()[-1]}")
        for gives in ("scores", "labels"):
            lines[f"casemate {gives}"] = ours(kind, args.rows, args.queries, gives)
        for name, got in lines.items():
            mine = lines["casemate scores"]
            print(
                f"{kind:9s} {name:16s} fooled {got['fooled'] / got['n']:6.1%} "
                f"legal {got['legal'] / got['n']:6.1%} cells {got['cells']} "
                f"queries {got['queries']:7.1f} CPU {got['cpu']:6.2f} s  "
                f"queries ratio {got['queries'] / mine['queries']:5.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
