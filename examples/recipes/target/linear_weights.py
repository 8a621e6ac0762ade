"""Linear models kept as two arrays in an .npz file, `w` (features, classes) and `b` (classes)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from casemate.errors import UsageError
from casemate.targets import digest, function
from casemate.targets.uri import parse

if TYPE_CHECKING:
    from casemate.targets.capabilities import Array, Model
    from casemate.targets.open import Vet
    from casemate.targets.settings import Settings


def open(  # noqa: A001 - every target module has an `open`, named by its catalog entry
    uri: str, *, vet: Vet | None, settings: Settings, device: str = "cpu"
) -> Model:
    """Open `linear:weights.npz`.

    Raises:
        UsageError: The file does not hold the two arrays.
    """
    del vet  # nothing is unpickled
    parts = parse(uri, settings.root)
    path = parts.path(settings.root)
    try:
        held = np.load(path, allow_pickle=False)
        w, b = held["w"], held["b"]
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path.name} holds no linear model: {error}") from error

    def scores(x: Array) -> Array:
        return np.asarray(x.reshape(len(x), -1) @ w + b)

    target = parts.record(settings.root, digest.of_path(path))
    return function.wrap(scores, target=target, settings=settings, device=device)
