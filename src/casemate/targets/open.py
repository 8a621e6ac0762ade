"""`open_target`: the door to every model, by the scheme of its URI.

The catalog says which module opens which scheme; only that module, and with it its framework, is
imported.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from casemate.catalog import loader
from casemate.errors import CatalogError, MissingExtra
from casemate.records.make import make
from casemate.records.target import Target
from casemate.targets.settings import Settings
from casemate.targets.uri import parse, schemes

if TYPE_CHECKING:
    from casemate.targets.capabilities import Model

Vet = Callable[[Path], Path]
"""Given a file, returns the path of a snapshot that passed the scanner, or raises UsageError."""

_FRAMEWORKS = {
    "torch": frozenset({"torch"}),
    "onnx": frozenset({"onnx", "onnxruntime", "onnx2torch"}),
    "sklearn": frozenset({"sklearn", "joblib"}),
    "keras": frozenset({"keras", "h5py"}),
    "http": frozenset({"httpx"}),
    "grpc": frozenset({"grpc", "google"}),
}


def open_target(
    uri: str,
    *,
    vet: Vet | None = None,
    settings: Settings | None = None,
    device: str = "cpu",
) -> Model:
    """Open the model at `uri` and try it on a few inputs.

    Args:
        uri: `scheme:place[:factory]`, or a bare path that is recognised by suffix and content; the
            opened model's `target.uri` says which it became.
        vet: Called with each file that loading would unpickle. Without it such files are refused.
        settings: Bounds, threshold and the like; `casemate.targets.data.describe` makes them.
        device: `cpu`, `cuda`, `auto` and so on, for targets that are torch underneath.

    Raises:
        UsageError: No such kind, file or factory; or a file that must be vetted.
        MissingExtra: The framework is not installed.
        TargetError: The model raises, or answers something that is not a score per class.
    """
    settings = settings or Settings()
    parts = parse(uri, settings.root)
    kind = schemes()[parts.scheme]
    try:
        opener = loader.load(kind)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        for extra, packages in _FRAMEWORKS.items():
            if package in packages:
                raise MissingExtra(kind.extra or extra, for_=f"{parts.scheme}:") from error
        if package == "numpy" and kind.extra:
            raise MissingExtra(kind.extra, for_=f"{parts.scheme}:") from error
        raise CatalogError(f"{kind.id}.toml", "entry", f"cannot be imported: {error}") from error
    return cast("Model", opener(str(parts), vet=vet, settings=settings, device=device))


def wrap(made: object, *, settings: Settings | None = None, device: str = "cpu") -> Model:
    """Make a model that is already in memory a target: for use from Python.

    Args:
        made: A torch or Keras model, an estimator with predict, or a function from an array of
            inputs to scores or classes.
        settings: As for `open_target`.
        device: As for `open_target`.

    Raises:
        UsageError: It is none of these.
        TargetError: It raises, or answers something that is not a score per class.
    """
    from casemate.targets import function

    kind = made if hasattr(made, "__name__") else type(made)
    name = f"{getattr(kind, '__module__', '?')}.{getattr(kind, '__name__', '?')}"
    target = make(Target, kind="model", uri=f"python:{name}")
    return function.wrap(made, target=target, settings=settings or Settings(), device=device)
