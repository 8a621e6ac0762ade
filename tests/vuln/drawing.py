"""Random vectors of a scheme: every metric that must be there, and some that may."""

import random

from casemate.vuln import vectors


def drawn(prefix, metrics, n, seed):
    rng = random.Random(seed)
    for _ in range(n):
        share = rng.random()
        values = {
            name: rng.choice(allowed)
            for name, allowed in metrics.items()
            if "X" not in allowed or rng.random() < share
        }
        yield vectors.written(values, prefix, metrics)
