"""Likeness: how like two tables, two sets of weights or two models' answers are, as figures.

Each figure is a plain measure; what it means for descent is matching's to say. Weights are compared
by samples at fixed places of tensors of one shape, so that thousands of models cost little.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.lineage.tensors import tensors_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np

    from casemate.lineage.columns import Marks
    from casemate.lineage.tensors import Tensor

SAMPLE = 2_048
"""Numbers of each tensor that are compared; their cosine is off by 0.02 or so."""
SMALLEST = 32
"""Numbers below which a tensor says nothing."""
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.|model\.|state_dict\.|base_model\.model\.)+")


class Tables(NamedTuple):
    """How like two tables are."""

    shared: int
    """Distinct rows both have."""
    contained: float
    """As a share of the smaller one's."""
    order: float
    """Bits of the most telling column that stands in both in the same order."""
    ranks: float
    """Likewise, by the order of its numbers alone."""
    values: float
    """Largest share of a column's values that a column of the other has too, 0 to 1."""


class Sketch(NamedTuple):
    """Weights, as much of them as is compared."""

    parts: dict[tuple[str, tuple[int, ...]], Part]
    """By name without wrappers, and shape."""
    numbers: int
    """Of all tensors that count."""


class Part(NamedTuple):
    """One tensor."""

    digest: bytes
    """Of all its numbers as single precision."""
    size: int
    sample: np.ndarray[Any, Any]
    """Centred and of length 1: (at most SAMPLE,)."""


class Weights(NamedTuple):
    """How like two sets of weights are."""

    covered: float
    """Share of the smaller one's numbers that stand in tensors both have."""
    same: float
    """Share of those that stand in equal tensors."""
    cosine: float
    """Of the others' samples, the mean by size; 1 where there are none."""
    least: float
    """The smallest cosine of a tensor that counts."""


class Answers(NamedTuple):
    """What a model answered to the same questions as others."""

    probe: str
    """Digest of the questions: only answers to the same are compared."""
    scores: np.ndarray[Any, Any]
    """(n, classes), or (n,) for labels alone."""


def tables(one: Marks, other: Marks) -> Tables:
    """Return how like two tables are."""
    few, many = sorted((one, other), key=lambda marks: len(marks.rows))
    inside = set(many.rows)
    shared = sum(row in inside for row in few.rows)
    order = {column.order: column.bits for column in one.columns}
    ranks = {column.ranks: column.bits for column in one.columns if column.ranks}
    values = max(
        (
            len(a.values & b.values) / min(len(a.values), len(b.values))
            for a in one.columns
            for b in other.columns
            if a.values and b.values
        ),
        default=0.0,
    )
    return Tables(
        shared,
        shared / len(few.rows) if few.rows else 0.0,
        max((min(c.bits, order[c.order]) for c in other.columns if c.order in order), default=0.0),
        max((min(c.bits, ranks[c.ranks]) for c in other.columns if c.ranks in ranks), default=0.0),
        values,
    )


def sketch_of(path: Path) -> Sketch:
    """Return the sketch of a weights file; raises as `tensors_of`."""
    return sketch(tensors_of(path))


def sketch(tensors: Iterable[Tensor]) -> Sketch:
    """Return the sketch of tensors: of those of numbers with two dimensions, or long ones."""
    import numpy as np

    parts: dict[tuple[str, tuple[int, ...]], Part] = {}
    numbers = 0
    for name, values in tensors:
        if values.dtype.kind != "f" or values.size < SMALLEST:
            continue
        flat = np.ascontiguousarray(values, "<f4").reshape(-1)
        if not np.isfinite(flat).all():
            continue
        step = max(1, flat.size // SAMPLE)
        # One place in each stretch, always the same for a shape.
        rng = np.random.default_rng(flat.size)
        places = np.arange(min(flat.size, SAMPLE)) * step
        sample = flat[np.minimum(places + rng.integers(0, step, len(places)), flat.size - 1)]
        sample = sample.astype("f8") - sample.mean(dtype="f8")
        length = float(np.linalg.norm(sample))
        if length < 1e-9 * math.sqrt(len(sample)):
            continue  # all numbers are one, as a fresh layer's
        digest = hashlib.sha256(flat.data).digest()
        key = _WRAPPERS.sub("", name), tuple(values.shape)
        parts[key] = Part(digest, flat.size, (sample / length).astype("f4"))
        numbers += flat.size
    return Sketch(parts, numbers)


def weights(one: Sketch, other: Sketch) -> Weights:
    """Return how like two sets of weights are: by name and shape, else by shape in their order."""
    pairs = [(part, other.parts[key]) for key, part in one.parts.items() if key in other.parts]
    if not pairs:
        by_shape: dict[tuple[int, ...], list[Part]] = {}
        for (_, shape), part in other.parts.items():
            by_shape.setdefault(shape, []).append(part)
        for (_, shape), part in one.parts.items():
            if by_shape.get(shape):
                pairs.append((part, by_shape[shape].pop(0)))
    least = min(one.numbers, other.numbers)
    if not pairs or not least:
        return Weights(0.0, 0.0, 0.0, 0.0)
    held = sum(a.size for a, _ in pairs)
    same = sum(a.size for a, b in pairs if a.digest == b.digest)
    rest = [(a.size, float(a.sample @ b.sample)) for a, b in pairs if a.digest != b.digest]
    total = sum(size for size, _ in rest)
    mean = sum(size * cosine for size, cosine in rest) / total if total else 1.0
    return Weights(
        min(1.0, held / least),
        same / held,
        mean,
        min((cosine for _, cosine in rest), default=1.0),
    )


def answers(one: Answers, other: Answers, common: np.ndarray[Any, Any]) -> tuple[float, int, float]:
    """Return how alike two models answer.

    Args:
        one: Answers of a model, to `n` questions.
        other: Of another, to the same.
        common: (n,) the label most models give to each.

    Returns:
        Of the questions to which one of them answers otherwise than most do, the share answered
        alike; how many those are; the largest difference of scores, 1 where there are none.
    """
    import numpy as np

    labels = [a.scores.argmax(axis=1) if a.scores.ndim == 2 else a.scores for a in (one, other)]
    telling = (labels[0] != common) | (labels[1] != common)
    count = int(telling.sum())
    alike = float((labels[0] == labels[1])[telling].mean()) if count else 0.0
    gap = 1.0
    if one.scores.ndim == other.scores.ndim == 2 and one.scores.shape == other.scores.shape:
        gap = float(np.abs(one.scores - other.scores).max())
    return alike, count, gap
