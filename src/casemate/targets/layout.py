"""Bring the data's shape to the model's where that loses nothing, and say so.

Image folders are channels first, Keras and some ONNX files want channels last; scikit-learn wants
rows. The attack sees the data's shape throughout.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from casemate.errors import UsageError

if TYPE_CHECKING:
    import torch

    from casemate.targets.capabilities import Array

Shape = tuple[int, ...]
_CHANNELS = (1, 3, 4)


class Layout(NamedTuple):
    """How one input of the data becomes one input of the model."""

    shape: Shape | None = None
    """The model's shape, None when nothing has to be done."""
    axes: tuple[int, ...] | None = None
    """Order of the axes, the batch's included, before reshaping."""
    note: str = ""

    def array(self, x: Array) -> Array:
        """Return inputs (n, ...) of the data as the model wants them."""
        if self.axes is not None:
            x = x.transpose(self.axes)
        return x if self.shape is None else np.ascontiguousarray(x.reshape(len(x), *self.shape))

    def tensor(self, x: torch.Tensor) -> torch.Tensor:
        """Do the same to a tensor, differentiably."""
        if self.axes is not None:
            x = x.permute(self.axes)
        return x if self.shape is None else x.reshape(len(x), *self.shape)


def between(given: Shape, wanted: Shape | None) -> Layout:
    """Return how inputs of shape `given` become inputs of shape `wanted`.

    Args:
        given: Shape of one input of the data.
        wanted: Shape of one input of the model; sizes below 1 are free, None is anything.

    Raises:
        UsageError: They do not fit.
    """
    if wanted is None or _fits(given, wanted):
        return Layout()
    for axes, what in (((0, 2, 3, 1), "channels last"), ((0, 3, 1, 2), "channels first")):
        if len(given) != 3 or len(wanted) != 3:
            break
        turned = tuple(given[axis - 1] for axis in axes[1:])
        channels = turned[2] if what == "channels last" else turned[0]
        if channels in _CHANNELS and _fits(turned, wanted):
            return Layout(turned, axes, f"the model takes {what}; the data's axes are turned")
    whole = all(size > 0 for size in wanted)
    ones = _without_ones(given) == _without_ones(wanted)
    rows = min(len(given), len(wanted)) == 1 and math.prod(given) == math.prod(wanted)
    if whole and (ones or rows):
        return Layout(wanted, None, f"inputs of shape {given} are given to the model as {wanted}")
    raise UsageError(
        f"the data's inputs have the shape {given}, the model takes {_shown(wanted)}",
        hint="bring the data to the model's shape first",
    )


def _without_ones(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


def _shown(shape: Shape) -> str:
    sizes = ["any" if size < 1 else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _fits(given: Shape, shape: Shape) -> bool:
    return len(given) == len(shape) and all(
        want < 1 or have == want for have, want in zip(given, shape, strict=True)
    )


def known(shape: Any) -> Shape | None:
    """Return the shape of one input from one with a batch dimension and free sizes of any kind."""
    if shape is None or len(cast("Shape", shape)) < 2:
        return None
    return tuple(size if isinstance(size, int) and size > 0 else 0 for size in shape[1:])
