"""Callers with other aims, run through judge and watch: how many are taken for attacks.

    python bench/false_alarms.py [--worlds report] [--runs 20] [--queries 200] [--natural 20000]

One run is one caller doing one thing for `--queries` queries, between ordinary callers. `probe` is
the share of runs that a detection names without paging anybody, `page` that of runs for which
somebody would have been woken up; both with their exact one-sided 95 % upper bound. The border
probes (counterfactual explanations) are the cell that nothing can decide: up to their use they are
the queries of an attack. The numbers in casemate.detect were chosen on the worlds `tune`.
"""

from __future__ import annotations

import argparse
import contextlib

import numpy as np
from guarded_loop import Guarded, world

from casemate.catalog import loader
from casemate.catalog.entries import Detector
from casemate.detect.odds import upper

PAGING = {i for i, e in loader.entries("detections", Detector).items() if e.pages}
WORLDS = {
    "tune": ["mnist-cnn", "cancer-linear", "digits-forest"],
    "report": ["fashion-cnn", "cancer-boosting", "diabetes-network"],
}


class Caller:
    """One caller: what it has, whom it asks, where its randomness comes from."""

    def __init__(self, guarded, name, rng, queries, between):
        self.guarded, self.name, self.rng, self.left = guarded, name, rng, queries
        self.place, self.between = guarded.world, between
        self.span = np.asarray(self.place.high) - np.asarray(self.place.low)

    def pick(self):
        return np.array(self.place.x[int(self.rng.integers(len(self.place.x)))])

    def ask(self, x, name=None):
        if self.left <= 0:
            raise StopIteration
        self.left -= 1
        self.guarded.crowd(self.between, self.rng)
        x = np.clip(x, self.place.low, self.place.high).astype(self.place.x.dtype)
        return self.guarded.ask(x[None], name or self.name)[0]


def retries(c):
    """Each input two to five times."""
    while True:
        x = c.pick()
        for _ in range(int(c.rng.integers(2, 6))):
            c.ask(x)


def film(c):
    """Frames: one input turns slowly into another, with the noise of a sensor."""
    x = c.pick()
    while True:
        y = c.pick()
        for share in np.linspace(0, 1, 40):
            noise = c.rng.standard_normal(x.shape) * 0.01 * c.span
            c.ask((1 - share) * x + share * y + noise)
        x = y


def camera(c):
    """A still camera: the same scene with noise, and light that comes and goes."""
    x = c.pick()
    light = 1.0
    while True:
        light = np.clip(light + c.rng.normal() * 0.01, 0.5, 1.2)
        c.ask(x * light + c.rng.standard_normal(x.shape) * 0.02 * c.span)


def _parts(c, x, cells=7):
    """Number the parts of an input: squares of an image, single columns of a table."""
    if c.place.kind != "image":
        return np.arange(x.size).reshape(x.shape), x.size
    height, width = x.shape[-2:]
    rows, columns = np.arange(height) * cells // height, np.arange(width) * cells // width
    return np.broadcast_to(rows[:, None] * cells + columns[None], x.shape), cells * cells


def lime(c):
    """Parts switched off at random, half of them each time."""
    while True:
        x = c.pick()
        parts, n = _parts(c, x)
        gone = c.place.x.mean(axis=0) if c.place.kind != "image" else np.zeros_like(x)
        c.ask(x)
        for _ in range(100):
            off = c.rng.random(n) < 0.5
            c.ask(np.where(off[parts], gone, x))


def lime_table(c):
    """LIME for tables: noise of the columns' own size around one row."""
    spread = c.place.x.std(axis=0)
    while True:
        x = c.pick()
        c.ask(x)
        for _ in range(100):
            c.ask(x + c.rng.standard_normal(x.shape) * spread)


def kernel_shap(c):
    """Coalitions: small and large ones first, each with its complement."""
    while True:
        x = c.pick()
        other = c.pick()
        parts, n = _parts(c, x)
        c.ask(x)
        c.ask(other)
        for size in range(1, max(2, n // 2)):
            for _ in range(max(2, 40 // size)):
                on = np.zeros(n, bool)
                on[c.rng.permutation(n)[:size]] = True
                c.ask(np.where(on[parts], x, other))
                c.ask(np.where(on[parts], other, x))


def path_shap(c):
    """Permutations: parts are put in one after the other, then taken out again."""
    while True:
        x, other = c.pick(), c.pick()
        parts, n = _parts(c, x)
        for _ in range(3):
            order = c.rng.permutation(n)
            for way in (order, order[::-1]):
                on = np.zeros(n, bool)
                for j in way:
                    on[j] = True
                    c.ask(np.where(on[parts], x, other))


def occlusion(c):
    """A patch moves over the input, line by line."""
    while True:
        x = c.pick()
        parts, n = _parts(c, x, 10)
        c.ask(x)
        for j in range(n):
            c.ask(np.where((parts == j) | (parts == j + 1), 0, x))


def augmentation(c):
    """Test-time augmentation: each input with eight small changes."""
    while True:
        x = c.pick()
        c.ask(x)
        for k in range(8):
            if c.place.kind == "image":
                moved = np.roll(
                    x, (int(c.rng.integers(-2, 3)), int(c.rng.integers(-2, 3))), (-2, -1)
                )
                c.ask(moved * c.rng.uniform(0.8, 1.1))
            else:
                c.ask(x + c.rng.standard_normal(x.shape) * 0.01 * (k + 1) * c.span)


def what_if(c):
    """Somebody trying values in a form: one column at a time, up and down."""
    while True:
        x = c.pick()
        c.ask(x)
        for _ in range(int(c.rng.integers(3, 12))):
            y = x.copy().reshape(-1)
            y[int(c.rng.integers(y.size))] += c.rng.normal() * 0.2
            c.ask(y.reshape(x.shape))


def boost(c):
    """An optimiser that makes the model surer of what it says (random search)."""
    while True:
        x = c.pick()
        p = c.ask(x)
        label = int(p.argmax())
        for _ in range(80):
            y = x + c.rng.standard_normal(x.shape) * 0.03 * c.span
            q = c.ask(y)
            if q[label] > p[label]:
                x, p = y, q


def restore(c):
    """An optimiser that repairs a damaged input: the label it should have grows surer."""
    while True:
        i = int(c.rng.integers(len(c.place.x)))
        clean, label = np.array(c.place.x[i]), int(c.place.y[i])
        x = clean + c.rng.standard_normal(clean.shape) * 0.2 * c.span
        p = c.ask(x)
        for _ in range(80):
            y = x + (clean - x) * (c.rng.random(x.shape) < 0.03)
            y = y + c.rng.standard_normal(x.shape) * 0.005 * c.span
            q = c.ask(y)
            if q[label] >= p[label]:
                x, p = y, q


def popular(c):
    """One input goes round: many people send it, each a little changed on the way."""
    x = c.pick()
    k = 0
    while True:
        k += 1
        c.ask(x * c.rng.uniform(0.95, 1.0) + c.rng.standard_normal(x.shape) * 0.01 * c.span,
              f"{c.name}-{k}")  # fmt: skip


def border_probe(c):
    """Counterfactual explanations: the smallest change along a line that turns the label."""
    while True:
        x, y = c.pick(), c.pick()
        first, second = int(c.ask(x).argmax()), int(c.ask(y).argmax())
        if first == second:
            continue
        low, high = 0.0, 1.0
        for _ in range(12):
            middle = (low + high) / 2
            turned = int(c.ask(x + middle * (y - x)).argmax()) != first
            low, high = (low, middle) if turned else (middle, high)


CLIENTS = [
    retries, film, camera, lime, lime_table, kernel_shap, path_shap, occlusion, augmentation,
    what_if, boost, restore, popular, border_probe,
]  # fmt: skip
ONLY = {"lime_table": "table", "what_if": "table", "occlusion": "image", "camera": "image"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", default="report", help="tune, report or names")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--natural", type=int, default=20_000)
    parser.add_argument("--client", action="append")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    print(f"{'world':17s} {'caller':14s} {'runs':>5s}  probe (at most)  page (at most)  by")
    total: dict[str, list[int]] = {}
    for name in WORLDS.get(args.worlds) or args.worlds.split(","):
        place = world(name)
        rng = np.random.default_rng(11)
        guarded = Guarded(place)
        guarded.crowd(args.natural, rng)
        found = guarded.detections
        n = args.natural
        pages = sum(d.rule in PAGING for d in found)
        print(f"{name:17s} {'natural':14s} {n:5d} queries: {len(found)} detections, {pages} pages, "
              f"at most {1e6 * upper(pages, n):.0f} in a million")  # fmt: skip
        for client in CLIENTS:
            if (args.client and client.__name__ not in args.client) or ONLY.get(
                client.__name__, place.kind
            ) != place.kind:
                continue
            rules: dict[str, int] = {}
            probes = paged = 0
            for run in range(args.runs):
                caller = Caller(guarded, f"{client.__name__}-{run}", rng, args.queries, 1)
                mark = len(guarded.detections)
                with contextlib.suppress(StopIteration):
                    client(caller)
                new = [
                    d for d in guarded.detections[mark:]
                    if any(p.startswith(caller.name) for p in d.principals)
                ]  # fmt: skip
                probes += bool(new)
                paged += any(d.rule in PAGING for d in new)
                for d in new:
                    rules[d.rule] = rules.get(d.rule, 0) + 1
                    if args.verbose and d.rule in PAGING:
                        print("   ", d.rule, d.score, d.bar, d.queries, d.message)
            sums = total.setdefault(client.__name__, [0, 0, 0])
            for i, value in enumerate((args.runs, probes, paged)):
                sums[i] += value
            print(row(name, client.__name__, args.runs, probes, paged, rules), flush=True)
    for client, (runs, probes, paged) in total.items():
        print(row("all", client, runs, probes, paged, {}))


def row(name, client, runs, probes, paged, rules) -> str:
    return (
        f"{name:17s} {client:14s} {runs:5d}  {probes / runs:5.0%} ({upper(probes, runs):4.0%})     "
        f"{paged / runs:5.0%} ({upper(paged, runs):4.0%})    {rules or ''}"
    )


if __name__ == "__main__":
    main()
