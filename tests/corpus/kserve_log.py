"""KServe logger files as large as wanted: many users of one model, and whoever hides among them.

The model is real (boosted trees on a table of 12 columns), the users send rows of its
population, each with habits of its own, now and then the same row twice. On request an extractor
asks among them, or the population moves half way.
"""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta

import numpy as np

BEGAN = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)
COLUMNS = 12
EXTRACTOR = "partner-7f"
_BLOCK = 4096


class Population:
    """Rows of a table, and a model that was trained on some of them."""

    def __init__(self, seed=0):
        from sklearn.ensemble import HistGradientBoostingClassifier

        self.rng = np.random.default_rng(seed)
        self.mix = self.rng.standard_normal((COLUMNS, COLUMNS)) / np.sqrt(COLUMNS)
        self.w = self.rng.standard_normal(COLUMNS)
        x = self.draw(4000)
        y = (x @ self.w + np.sin(2 * x[:, 0]) + 0.5 * self.rng.standard_normal(4000)) > 0
        self.model = HistGradientBoostingClassifier(max_iter=60, random_state=0).fit(x, y)

    def draw(self, n, shift=0.0):
        return self.rng.standard_normal((n, COLUMNS)) @ self.mix + shift

    def answer(self, x):
        return self.model.predict_proba(x)


class Extractor:
    """Copies the model by Jacobian-like augmentation: seeds, then steps from them to all sides.

    Papernot et al. 2017, arXiv 1602.02697, without the substitute's own gradients.
    """

    def __init__(self, population, seeds=25, step=0.08, seed=1):
        self.rng = np.random.default_rng(seed)
        self.step = step * np.abs(population.draw(2000)).mean()
        self.pool = list(population.draw(seeds))
        self.next = 0

    def rows(self, n):
        made = []
        for _ in range(n):
            if self.next < len(self.pool):
                row = self.pool[self.next]
                self.next += 1
            else:
                parent = self.pool[int(self.rng.integers(len(self.pool)))]
                row = parent + self.step * self.rng.choice([-1.0, 1.0], COLUMNS)
                self.pool.append(row)
                self.next += 1
                self.pool = self.pool[-4000:]
                self.next = min(self.next, len(self.pool))
            made.append(row)
        return np.array(made)


def write(
    path, exchanges, *, extractor=0.0, begins=0.3, drift=0.0, users=400, seed=0, per_second=20.0
):
    """Write a log; return what is hidden in it.

    Args:
        path: File; compressed where its name ends in .gz.
        exchanges: Requests, each of two lines.
        extractor: Share of the requests after `begins` that are the extractor's.
        begins: When it begins, as a share of the log.
        drift: How far the population moves, in its own deviations, from the middle on.
        users: Users of the model.
        seed: Of everything.
        per_second: Requests per second.
    """
    people = Population(seed)
    thief = Extractor(people, seed=seed + 1)
    rng = np.random.default_rng(seed + 2)
    weights = rng.pareto(1.5, users) + 0.2
    weights /= weights.sum()
    habits = 0.3 * rng.standard_normal((users, COLUMNS)) @ people.mix
    first, stolen, line = None, 0, 0
    with gzip.open(path, "wb", 1) if path.suffix == ".gz" else path.open("wb") as out:
        for start in range(0, exchanges, _BLOCK):
            n = min(_BLOCK, exchanges - start)
            where = (start + np.arange(n)) / exchanges
            who = rng.choice(users, n, p=weights)
            x = people.draw(n) + habits[who]
            x[where >= 0.5] += drift
            again = np.flatnonzero(rng.random(n) < 0.02)
            again = again[again > 0]
            x[again], who[again] = x[again - 1], who[again - 1]
            thieves = (where >= begins) & (rng.random(n) < extractor)
            if thieves.any():
                x[thieves] = thief.rows(int(thieves.sum()))
            x = np.round(x, 5)
            scores = np.round(people.answer(x), 6)
            parts = []
            for i in range(n):
                number = start + i
                at = BEGAN + timedelta(seconds=number / per_second)
                name = EXTRACTOR if thieves[i] else f"user-{who[i]}"
                if thieves[i]:
                    stolen += 1
                    if first is None:
                        first = line + 1
                parts += _lines(number, at, name, x[i].tolist(), scores[i].tolist())
                line += 2
            out.write(b"".join(parts))
    return {"first": first, "queries": stolen, "lines": line}


def _lines(number, at, who, x, scores):
    metadata = json.dumps(json.dumps({"X-User": [who]}))
    late = at + timedelta(milliseconds=7)
    head = (
        '{"specversion":"1.0","id":"%032x","source":"http://localhost:9081/","type":'
        '"org.kubeflow.serving.inference.%s","time":"%s","datacontenttype":"application/json",'
        '"inferenceservicename":"credit","namespace":"default","component":"predictor",'
        '"endpoint":"default","metadata":%s,"data":%s}\n'
    )
    asked = f'{{"instances":[{x}]}}'
    given = f'{{"predictions":[{scores}]}}'
    yield (head % (number, "request", _iso(at), metadata, asked)).encode()
    yield (head % (number, "response", _iso(late), metadata, given)).encode()


def _iso(at):
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
