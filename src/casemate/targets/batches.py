"""Feed a model that takes batches of one size only, one of those at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import torch

    from casemate.targets.capabilities import Array


def tensors_of(forward: Callable[[Any], Any], size: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return `forward` over any number of rows, given `size` at once; the last row fills up."""
    import torch

    def run(x: torch.Tensor) -> torch.Tensor:
        parts = []
        for part in x.split(size):  # type: ignore[no-untyped-call]  # torch leaves it untyped
            short = size - len(part)
            full = torch.cat([part, part[-1:].expand(short, *part.shape[1:])]) if short else part
            out = forward(full)
            out = out[0] if isinstance(out, tuple | list) else out
            parts.append(out[: len(part)] if short else out)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    return run


def arrays_of(
    ask: Callable[[Array], npt.NDArray[Any]], size: int
) -> Callable[[Array], npt.NDArray[Any]]:
    """Return `ask` over any number of rows, given `size` at once; the last row fills up."""

    def run(x: Array) -> npt.NDArray[Any]:
        parts = []
        for i in range(0, len(x), size):
            part = x[i : i + size]
            short = size - len(part)
            full = np.concatenate([part, np.repeat(part[-1:], short, axis=0)]) if short else part
            parts.append(np.asarray(ask(full))[: len(part)])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return run
