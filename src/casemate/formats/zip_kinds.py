"""Kinds of zip archive that are told by the members they have; their members are read as usual."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.formats.zip_directory import is_zip, names

if TYPE_CHECKING:
    from casemate.formats.source import Source


_KERAS_WEIGHTS = ("model.weights.h5", "model.weights.npz", "metadata.json")
"""The last is not read by Keras, but written, also where the weights were cut off."""


def _has(source: Source, *wanted: str) -> bool:
    return is_zip(source) and set(wanted) <= set(names(source))


def is_keras(source: Source) -> bool:
    """Recognise a Keras 3 archive by what Keras cannot load it without."""
    return any(_has(source, "config.json", weights) for weights in _KERAS_WEIGHTS)


def is_skops(source: Source) -> bool:
    """Recognise a skops archive."""
    return _has(source, "schema.json")


def is_model_archive(source: Source) -> bool:
    """Recognise a TorchServe model archive."""
    return _has(source, "MAR-INF/MANIFEST.json")
