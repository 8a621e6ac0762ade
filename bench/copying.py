"""Thieves run through judge and watch: after how many queries are they seen, how good is the copy.

    python bench/copying.py [--worlds report] [--queries 2000] [--sessions 3]

A thief copies the served model as one principal between ordinary callers (three of their queries
for each of the thief's). `needs` is the number of queries after which the best of two students (a
linear model, a forest) agrees with the model on 90 % of inputs it has not seen; `seen` the number
at the first detection of an extraction that names the thief; `share` is the one over the other.

`equation`: rows at random within the bounds. `jacobian`: 40 inputs of the right kind, doubled round
after round by small steps (Papernot et al. 2017). `knockoff`: natural inputs of another data set
(Orekondy et al. 2019). `own`: inputs like those of all other callers, which only their number can
give away (Karchmer 2023); no detector is promised to see it.
"""

from __future__ import annotations

import argparse

import numpy as np
from guarded_loop import Guarded, more, world
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

WORLDS = {
    "tune": ["mnist-cnn", "cancer-linear"],
    "report": ["fashion-cnn", "cancer-boosting", "digits-forest"],
}
OTHER = {"mnist-cnn": "fashion-cnn", "fashion-cnn": "mnist-cnn"}
CHECK = [50, 100, 200, 400, 800, 1600, 3200, 6400]


def fidelity(place, x, labels, held) -> float:
    if len(set(labels)) < 2:
        return 0.0
    flat = x.reshape(len(x), -1)
    truth = np.asarray(place.scores(held)).argmax(axis=1)
    return max(
        float((kind.fit(flat, labels).predict(held.reshape(len(held), -1)) == truth).mean())
        for kind in (
            LogisticRegression(max_iter=200),
            RandomForestClassifier(60, random_state=0),
        )
    )


def equation(place, n, rng, ask):
    for _ in range(n):
        span = np.asarray(place.high) - np.asarray(place.low)
        ask((place.low + rng.random(place.x.shape[1:]) * span)[None])


def own(place, n, rng, ask):
    some = natural(place, n, rng)
    for i in range(n):
        ask(some[i : i + 1])


def natural(place, n, rng):
    if place.kind == "image":
        return place.x[rng.integers(len(place.x), size=n)]
    return more(place.x, n, rng)


def knockoff(place, n, rng, ask):
    other = world(OTHER[place.name]).x if place.name in OTHER else None
    if other is None:  # another table: each column shuffled by itself
        other = np.stack([rng.choice(column, 4000) for column in place.x.T], axis=1)
    for i in range(n):
        ask(other[i % len(other)][None].astype(place.x.dtype))


def jacobian(place, n, rng, ask):
    x = natural(place, 40, rng)
    labels = [ask(row[None]) for row in x]
    size = 0.1 * (np.asarray(place.high) - np.asarray(place.low))
    asked = len(x)
    while asked < n:
        student = LogisticRegression(max_iter=100)
        flat = x.reshape(len(x), -1)
        if len(set(labels)) > 1:
            weights = student.fit(flat, labels).coef_
        else:
            weights = rng.standard_normal((1, flat.shape[1]))
        for i in range(len(x)):
            if asked >= n:
                return
            way = np.sign(weights[labels[i] % len(weights)]).reshape(x[i].shape)
            new = np.clip(x[i] + size * way * rng.choice([-1, 1]), place.low, place.high)
            new = new.astype(place.x.dtype)
            labels.append(ask(new[None]))
            x = np.concatenate([x, new[None]])
            asked += 1


THIEVES = [equation, jacobian, knockoff, own]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", default="report", help="tune, report or names")
    parser.add_argument("--sessions", type=int, default=3)
    parser.add_argument("--queries", type=int, default=2000)
    args = parser.parse_args()
    print(
        f"{'world':16s} {'thief':9s}  seen (first rule)                     needs   share  fidelity"
    )
    for name in WORLDS.get(args.worlds) or args.worlds.split(","):
        place = world(name)
        for thief in THIEVES:
            for number in range(args.sessions):
                rng = np.random.default_rng(100 + number)
                print(f"{name:16s} {thief.__name__:9s}  {one(place, thief, args.queries, rng)}",
                      flush=True)  # fmt: skip


def one(place, thief, queries, rng) -> str:
    guarded = Guarded(place)
    fresh = natural(place, 1500 + 3 * queries, rng)
    users = iter(range(len(fresh)))

    def crowd(n):
        for _ in range(n):
            i = next(users)
            guarded.ask(fresh[i : i + 1], f"user-{rng.integers(60)}", after=0.5)

    crowd(1500)
    held = natural(place, 600, np.random.default_rng(1))
    asked, x, labels = [0], [], []
    seen: list = []

    def ask(row):
        crowd(3)
        scores = guarded.ask(row, "thief")
        asked[0] += 1
        x.append(row)
        labels.append(int(scores.argmax()))
        if not seen:
            seen.extend(
                (asked[0], d.rule) for d in guarded.detections
                if d.principals == ("thief",) and d.rule.startswith("extraction")
            )  # fmt: skip
        return labels[-1]

    thief(place, queries, rng, ask)
    guarded.watch.tick(guarded.at)
    every, needs, best = np.concatenate(x), None, 0.0
    for n in [c for c in CHECK if c <= len(labels)]:
        got = fidelity(place, every[:n], labels[:n], held)
        best = max(best, got)
        if got >= 0.9 and needs is None:
            needs = n
    first = f"{seen[0][0]} ({seen[0][1]})" if seen else "not"
    share = f"{seen[0][0] / needs:6.0%}" if seen and needs else "     -"
    others = sum(d.principals != ("thief",) for d in guarded.detections)
    return f"{first:37s} {needs or f'> {queries}':>7} {share} {best:8.0%}  others named: {others}"


if __name__ == "__main__":
    main()
