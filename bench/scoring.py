"""CVSS scores beside the `cvss` library, on random vectors: how many differ, and what each costs.

python bench/scoring.py [--vectors 100000] [--seed 4]
"""

from __future__ import annotations

import argparse
import random
import time
from typing import TYPE_CHECKING

from cvss import CVSS3, CVSS4

from casemate.vuln import cvss3, cvss4, vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def draw(rng: random.Random, prefix: str, metrics: Mapping[str, tuple[str, ...]]) -> str:
    """Return a random vector: every metric that must be there, and some that may."""
    share = rng.random()
    values = {
        name: rng.choice(allowed)
        for name, allowed in metrics.items()
        if "X" not in allowed or rng.random() < share
    }
    return vectors.written(values, prefix, metrics)


def timed(function: Callable[[str], object], given: list[str]) -> tuple[list[object], float]:
    start = time.process_time()
    found = [function(one) for one in given]
    return found, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=4)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    schemes = (
        ("CVSS 4.0", cvss4.PREFIX, cvss4.METRICS, cvss4.score, lambda v: CVSS4(v).base_score),
        (
            "CVSS 3.1",
            cvss3.PREFIX,
            cvss3.METRICS,
            lambda v: tuple(cvss3.scores(v)),
            lambda v: tuple(float(one) for one in CVSS3(v).scores()),
        ),
    )
    print("scheme    vectors  differ  casemate CPU s  cvss CPU s  ratio")
    for name, prefix, metrics, ours, theirs in schemes:
        given = [draw(rng, prefix, metrics) for _ in range(args.vectors)]
        mine, spent = timed(ours, given)
        peer, other = timed(theirs, given)
        differ = [(v, a, b) for v, a, b in zip(given, mine, peer, strict=True) if a != b]
        print(
            f"{name}  {len(given):>7}  {len(differ):>6}  {spent:>14.2f}  {other:>10.2f}"
            f"  {other / spent:>5.1f}"
        )
        for vector, a, b in differ[:5]:
            print(f"  {vector}: casemate {a}, cvss {b}")


if __name__ == "__main__":
    main()
