from __future__ import annotations

import numpy as np
import pytest
import torch

from casemate.errors import UsageError
from casemate.targets.layout import Layout, between, known


@pytest.mark.parametrize(
    ("given", "wanted", "shape"),
    [
        ((3, 8, 9), (3, 8, 9), None),
        ((3, 8, 9), (0, 0, 0), None),
        ((3, 8, 9), None, None),
        ((3, 8, 9), (8, 9, 3), (8, 9, 3)),
        ((8, 9, 3), (3, 8, 9), (3, 8, 9)),
        ((3, 8, 9), (0, 0, 3), (8, 9, 3)),
        ((1, 8, 8), (8, 8), (8, 8)),
        ((8, 8), (1, 8, 8), (1, 8, 8)),
        ((1, 8, 8), (64,), (64,)),
        ((64,), (1, 8, 8), (1, 8, 8)),
    ],
)
def test_what_loses_nothing_is_done(
    given: tuple[int, ...], wanted: tuple[int, ...] | None, shape: tuple[int, ...] | None
) -> None:
    layout = between(given, wanted)
    assert layout.shape == shape
    assert bool(layout.note) == (shape is not None)
    x = np.random.default_rng(0).random((2, *given)).astype(np.float32)
    array, tensor = layout.array(x), layout.tensor(torch.tensor(x))
    assert array.shape == (2, *(shape or given))
    assert np.array_equal(array, tensor.numpy())
    assert sorted(array.ravel()) == sorted(x.ravel())


def test_turning_axes_is_not_reshaping() -> None:
    x = np.arange(24.0).reshape(1, 3, 2, 4)
    assert np.array_equal(between((3, 2, 4), (2, 4, 3)).array(x)[0, :, :, 1], x[0, 1])


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((3, 8, 8), (1, 8, 8)),
        ((12,), (13,)),
        ((5, 8, 9), (8, 9, 5)),
        ((2, 8), (8, 2)),
        ((4,), (2, 0)),
    ],
)
def test_what_does_not_fit_is_refused(given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="the data's inputs have the shape"):
        between(given, wanted)


def test_shapes_of_any_library() -> None:
    assert known(None) is None
    assert known(["N"]) is None
    assert known(["N", 3, "h", None]) == (3, 0, 0)
    assert known((None, 8)) == (8,)
    assert Layout().array(np.ones((1, 2))).shape == (1, 2)
