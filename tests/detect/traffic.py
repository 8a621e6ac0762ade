"""Events with measures, made from small exact worlds: what rules see without a guard."""

from __future__ import annotations

import numpy as np

from casemate.records.event import Event, Measures

SECOND = 1_000_000
START = 1_760_000_000 * SECOND


class World:
    """A linear two-class model, a list of past inputs and the measures an exact judge would take.

    Two inputs are near when their relative distance is below `near`.
    """

    def __init__(self, dimension=40, seed=0, near=0.25, writer="w-00000000000000aa"):
        self.rng = np.random.default_rng(seed)
        self.w = self.rng.standard_normal(dimension)
        self.w /= np.linalg.norm(self.w)
        self.dimension, self.near, self.writer = dimension, near, writer
        self.past = np.empty((8192, dimension))
        self.ids, self.clusters, self.labels, self.sizes = [], [], [], {}
        self.steps = {}
        self.sequence, self.at = 0, START

    def natural(self):
        return self.rng.standard_normal(self.dimension) * 3

    def score(self, x):
        return 1 / (1 + np.exp(-(self.w @ x)))

    def ask(self, x, principal, *, after=1.0, labels_only=False, broken=0, **fields):
        """Send one input; return its event."""
        ident = f"{self.writer}:{self.sequence}"
        self.at += int(after * SECOND)
        p = self.score(x)
        label, margin = int(p >= 0.5), float(abs(2 * p - 1))
        measures = {"near": 0.0, "norm": float(np.abs(x).mean()), "label": label, "broken": broken}
        if not labels_only:
            measures |= {"margin": margin, "confidence": float(max(p, 1 - p))}
        n = len(self.ids)
        cluster = n + 1
        if n:
            away = np.linalg.norm(self.past[:n] - x, axis=1) / np.linalg.norm(x)
            i = int(away.argmin())
            if away.min() < self.near:
                cluster = self.clusters[i]
                measures |= {
                    "near": 1 - float(away.min()), "near_to": self.ids[i],
                    "delta": float(away.min()), "flipped": self.labels[i] != label,
                }  # fmt: skip
        trail = self.steps.setdefault(cluster, [])
        if len(trail) > 1:
            now, then = x - trail[-1], trail[-1] - trail[-2]
            size = np.linalg.norm(now) * np.linalg.norm(then)
            measures["turn"] = float(now @ then / size) if size else None
        trail.append(x)
        self.sizes[cluster] = self.sizes.get(cluster, 0) + 1
        measures |= {"cluster": cluster, "size": self.sizes[cluster]}
        self.past[n] = x
        self.ids.append(ident)
        self.clusters.append(cluster)
        self.labels.append(label)
        event = Event(
            writer=self.writer, sequence=self.sequence, at=self.at, principal=principal, model="m",
            measures=Measures(**measures), **fields,
        )  # fmt: skip
        self.sequence += 1
        return event

    def crowd(self, n, users=50, **options):
        """Ordinary callers."""
        return [self.ask(self.natural(), f"user-{i % users}", **options) for i in range(n)]

    def descent(self, n, principal="eve", size=0.25, **options):
        """SimBA: one coordinate up or down, kept when the label grows weaker."""
        x = self.natural()
        base = int(self.score(x) >= 0.5)
        events, best = [], self._of(x, base)
        events.append(self.ask(x, principal, **options))
        while len(events) < n:
            j = self.rng.integers(self.dimension)
            for sign in (1, -1):
                tried = x.copy()
                tried[j] += sign * size
                events.append(self.ask(tried, principal, **options))
                if (value := self._of(tried, base)) < best:
                    x, best = tried, value
                    break
        return events[:n]

    def _of(self, x, label):
        p = self.score(x)
        return p if label else 1 - p

    def search(self, n, principal="eve", **options):
        """HopSkipJump: halve the step onto the border, then probe on a sphere."""
        x = self.natural()
        other = x - 2.2 * (self.w @ x) * self.w
        events = [self.ask(x, principal, **options), self.ask(other, principal, **options)]
        low, high = 0.0, 1.0
        for _ in range(8):
            middle = (low + high) / 2
            here = x + middle * (other - x)
            events.append(self.ask(here, principal, **options))
            turned = (self.score(here) >= 0.5) != (self.score(x) >= 0.5)
            low, high = (low, middle) if turned else (middle, high)
        border = x + high * (other - x)
        while len(events) < n:
            noise = self.rng.standard_normal(self.dimension)
            probe = border + 0.4 * noise / np.linalg.norm(noise)
            events.append(self.ask(probe, principal, **options))
        return events[:n]

    def explanation(self, n, principal="dora", **options):
        """LIME: parts of one input switched off at random."""
        x = self.natural()
        events = [self.ask(x, principal, **options)]
        while len(events) < n:
            mask = self.rng.random(self.dimension) < 0.03
            events.append(self.ask(np.where(mask, 0, x), principal, **options))
        return events

    def film(self, n, principal="carl", **options):
        """Frames that follow each other."""
        x, speed = self.natural(), self.rng.standard_normal(self.dimension) * 0.15
        events = []
        for _ in range(n):
            events.append(self.ask(x, principal, **options))
            speed = 0.95 * speed + self.rng.standard_normal(self.dimension) * 0.04
            x = x + speed
        return events
