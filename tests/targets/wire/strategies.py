"""What hypothesis draws for the codecs: arrays of every datatype, finite and small."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from casemate.targets.wire.tensor import NUMPY, Answer, Tensor

DATATYPES = sorted(NUMPY)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
shapes = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple)


@st.composite
def arrays(draw: st.DrawFn, datatype: str, shape: Any = shapes) -> np.ndarray:
    """Draw an array that a datatype holds exactly, its extremes included."""
    size = draw(shape) if not isinstance(shape, tuple) else shape
    total = int(np.prod(size))
    if datatype == "BOOL":
        values: Any = st.booleans()
    elif datatype in ("FP16", "BF16", "FP32", "FP64"):
        width = {"FP16": 16, "FP64": 64}.get(datatype, 32)
        values = st.floats(allow_nan=False, allow_infinity=False, width=width)
    else:
        limits = np.iinfo(NUMPY[datatype])
        values = st.integers(int(limits.min), int(limits.max))
    drawn = np.array(
        draw(st.lists(values, min_size=total, max_size=total)), dtype=NUMPY[datatype]
    ).reshape(size)
    if datatype == "BF16":
        drawn = (drawn.view("<u4") & 0xFFFF0000).view("<f4")
    return drawn


@st.composite
def tensors(draw: st.DrawFn, without: tuple[str, ...] = ()) -> list[Tensor]:
    """Draw a few named tensors of any datatypes."""
    found = []
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        datatype = draw(st.sampled_from([one for one in DATATYPES if one not in without]))
        found.append(Tensor(name, draw(arrays(datatype)), datatype))
    return found


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    """Draw rows of numbers as a data file has them."""
    n, d = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    return draw(arrays("FP64", (n, d)))


def same(given: list[Tensor] | tuple[Tensor, ...], read: tuple[Tensor, ...]) -> None:
    """Assert that tensors came back as they were."""
    assert [(t.name, t.datatype, t.array.shape) for t in given] == [
        (t.name, t.datatype, t.array.shape) for t in read
    ]
    for one, other in zip(given, read, strict=True):
        assert other.array.dtype == np.dtype(NUMPY[one.datatype])
        np.testing.assert_array_equal(one.array, other.array)


def only(answer: Answer) -> np.ndarray:
    """Return the array of an answer that holds one."""
    (one,) = answer.tensors
    return one.array


def stacked(answer: Answer) -> np.ndarray:
    """Return the columns of an answer as one table."""
    return np.stack([one.array for one in answer.tensors], axis=1)
