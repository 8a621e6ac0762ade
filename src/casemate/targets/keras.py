"""Keras 3 models on its torch backend, which is where their gradients come from.

Files are opened in Keras' safe mode, and only after their configuration has been read and found to
name nothing but layers of Keras itself: safe mode has been got round before (CVE-2025-1550,
CVE-2025-8747), and for the older HDF5 format it did not hold at all (CVE-2025-9905).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from casemate.errors import MissingExtra, UsageError
from casemate.targets import arrays, digest, factory, tensors
from casemate.targets import torch as modules
from casemate.targets.layout import Layout, between, known
from casemate.targets.uri import parse

if TYPE_CHECKING:
    from casemate.records.target import Target
    from casemate.targets.open import Vet
    from casemate.targets.settings import Settings

_RUN_CODE = frozenset(
    {"Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"}
)
"""Layers, and the bare form of a function, whose configuration holds or loads code."""
_FUNCTIONS = re.compile(r"keras\.(src\.)?(activations|ops)(\.|$)")
"""Modules of Keras whose functions a layer may name; others fetch, read or evaluate."""
_OWN = ("keras", "builtins")
_MOST = 64 << 20
"""Bytes of a configuration; real ones have some hundred kilobytes."""


def open(  # noqa: A001 - every target module has an `open`, named by its catalog entry
    uri: str, *, vet: Vet | None, settings: Settings, device: str = "cpu"
) -> tensors.TensorModel | arrays.ArrayModel:
    """Open `keras:model.keras`, `keras:model.h5` or `keras:file.py:factory`.

    Raises:
        UsageError: Damaged, or its configuration names code that is not Keras' own.
        TargetError: The factory or the model raises.
    """
    del vet  # nothing is unpickled
    parts = parse(uri, settings.root)
    keras = _import(device)
    if parts.factory is None and not parts.place.endswith(".py"):
        with tempfile.TemporaryDirectory(prefix="casemate-keras-") as folder:
            # What is loaded is what was looked at, whatever becomes of the file meanwhile.
            path = Path(folder) / Path(parts.place).name
            _copy(parts.path(settings.root), path)
            refuse_code(path)
            model, identity = _load(keras, path), digest.of_path(path)
    else:
        made, code = factory.take(parts, settings.root)
        model = made
        if not isinstance(made, keras.Model):
            model = factory.call(made, f"{parts.factory}()") if callable(made) else made
        if not isinstance(model, keras.Model):
            raise UsageError(
                f"{parts.factory} gave {type(model).__name__}, not a Keras model",
                hint="the factory takes no arguments and returns the model with its weights",
            )
        identity = digest.of_arrays(model.get_weights(), start=code)
    target = parts.record(settings.root, identity)
    return wrap(model, target, settings, device)


def wrap(
    model: Any, target: Target, settings: Settings, device: str = "cpu"
) -> tensors.TensorModel | arrays.ArrayModel:
    """Make a live Keras model a target; without gradients when Keras runs on another backend."""
    keras = _import(device)
    shape = _shape(model)
    layout = Layout() if settings.sample is None else between(settings.sample.shape[1:], shape)
    notes: tuple[str, ...] = (layout.note,) if layout.note else ()
    if keras.backend.backend() != "torch":
        other = keras.backend.backend()
        notes += (f"no gradients: Keras was imported with its {other} backend before casemate",)
        return arrays.build(
            lambda x: keras.ops.convert_to_numpy(model(layout.array(x), training=False)),
            target,
            settings,
            shape=shape,
            notes=notes,
        )
    chosen = modules.place(device)
    wanted = [(v.value, v.value.requires_grad) for v in model.trainable_variables]
    for value, _ in wanted:
        value.requires_grad_(False)
    if isinstance(model, torch.nn.Module):
        model.to(chosen)

    def undo() -> None:
        for value, needed in wanted:
            value.requires_grad_(needed)

    def forward(x: torch.Tensor) -> Any:
        with keras.device(str(chosen)):
            return model(layout.tensor(x), training=False)

    return tensors.build(
        forward,
        target,
        settings,
        device=chosen,
        dtype=torch.float32,
        shape=shape,
        notes=notes,
        undo=undo,
    )


def refuse_code(path: Path) -> None:
    """Read the configuration in a `.keras` or HDF5 file and refuse what is not Keras' own.

    Raises:
        UsageError: Damaged, without configuration, or naming Lambda layers or foreign classes.
    """
    zipped = zipfile.is_zipfile(path)
    if zipped != (path.suffix.lower() == ".keras"):
        # Keras goes by the name: what the other reader finds is not what would be loaded.
        raise _damaged(path)
    config = _config_of_zip(path) if zipped else _config_of_hdf5(path)
    for where, named in _objects(config):
        module, name = str(named.get("module") or "keras"), str(named["class_name"])
        registered = str(named.get("registered_name") or name)
        foreign = module.partition(".")[0] not in _OWN or ">" in registered
        foreign |= name == "function" and not _FUNCTIONS.match(module)
        if name in _RUN_CODE or foreign:
            what = f"a {name} layer" if name in _RUN_CODE else f"{module}.{name}"
            raise UsageError(
                f"{path.name} holds {what} at {where}, which runs code that is not Keras' own",
                hint="write a function that builds the model and loads its weights: "
                "keras:file.py:FUNCTION",
            )


def _objects(config: Any, where: str = "the model") -> list[tuple[str, dict[str, Any]]]:
    """Return every serialised object in a configuration, however deep."""
    found, left = [], [(where, config)]
    while left:
        where, part = left.pop()
        if isinstance(part, dict):
            if isinstance(part.get("class_name"), str):
                found.append((where, part))
                inner = part.get("config")
                name = inner.get("name") if isinstance(inner, dict) else None
                where = f"'{name or part['class_name']}'"
            left += [(where, value) for value in part.values()]
        elif isinstance(part, list):
            left += [(where, value) for value in part]
    return found


def _config_of_zip(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo("config.json")
            if info.file_size > _MOST:
                raise UsageError(f"{path.name} has a configuration of {info.file_size} bytes")
            return json.loads(archive.read(info))
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, OSError) as error:
        raise _damaged(path) from error
    except RuntimeError as error:  # encrypted, an unknown compression, or nested too deeply
        raise _damaged(path) from error


def _config_of_hdf5(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra("keras", for_=path.name) from error
    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
    except OSError as error:
        raise _damaged(path) from error
    if text is None:
        raise UsageError(
            f"{path.name} holds weights alone, not a model",
            hint="write a function that builds the model and loads them: keras:file.py:FUNCTION",
        )
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error


def _copy(path: Path, to: Path) -> None:
    try:
        shutil.copyfile(path, to)
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror}") from error


def _load(keras: Any, path: Path) -> Any:
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras passes on whatever its layers, zip and HDF5 raise
        text = (str(error).strip().splitlines() or ["no reason"])[0][:200]
        raise UsageError(
            f"Keras does not load {path.name}: {text}",
            hint="is it complete, and saved by this version of Keras?",
        ) from error


def _import(device: str) -> Any:
    """Import Keras on its torch backend unless it runs on another one already."""
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
        os.environ.setdefault("KERAS_TORCH_DEVICE", str(modules.place(device)))
    try:
        import keras
    except ImportError as error:
        raise MissingExtra("keras", for_="keras:") from error
    return keras


def _shape(model: Any) -> tuple[int, ...] | None:
    shape = getattr(model, "input_shape", None)
    if isinstance(shape, list | dict):
        raise UsageError(f"the model takes {len(shape)} inputs; casemate attacks models of one")
    return known(shape)


def _damaged(path: Path) -> UsageError:
    return UsageError(
        f"{path.name} is truncated or not a model that Keras saved",
        hint="save it again with model.save('model.keras')",
    )
