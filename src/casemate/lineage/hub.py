"""Model cards -> lineage: folders as the Hugging Face hub lays them out, read where they lie.

A card's `base_model` and `datasets`, an adapter's base, the name a configuration was loaded from.
Nothing is fetched and no weights are loaded; they are hashed.
Source: huggingface.co/docs/hub/model-cards and /model-release-checklist (base_model_relation).
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casemate.errors import FormatError, UsageError
from casemate.formats.yaml import plain
from casemate.formats.yaml import read as read_yaml
from casemate.lineage.hashing import Hasher
from casemate.lineage.telling import LONGEST, Telling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.lineage.found import Lineage

SIZE = 4 << 20
"""Bytes of a card or a configuration."""
MODELS = 10_000
DEPTH = 8
LOADED = 0.8
"""Confidence that a model came from what its configuration was loaded from."""
_CARD = re.compile(r"\A﻿?---[ \t]*\r?\n(.*?\n)---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_WEIGHTS = (
    ".safetensors", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".h5", ".keras", ".msgpack", ".ckpt",
)  # fmt: skip
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


def read(place: str, *, hashed: bool = True) -> Lineage:
    """Return the lineage that the models below a folder state.

    Args:
        place: A model's folder, a folder of them, or the hub's cache.
        hashed: Whether to read weights for their digests.

    Raises:
        UsageError: There is no such folder, or no model in it.
    """
    root = Path(place)
    if root.is_file():
        root = root.parent
    if not root.is_dir():
        raise UsageError(f"there is no folder {place}", hint="name the folder of a model")
    telling = Telling(f"model card below {root.resolve().name}")
    hasher = Hasher([root]) if hashed else None
    models = list(_models(root, 0))[: MODELS + 1]
    if not models:
        raise UsageError(
            f"{place} holds no model", hint="name a folder with README.md, config.json and weights"
        )
    if len(models) > MODELS:
        telling.notes.append(f"only the first {MODELS:,} models were read")
    for folder in models[:MODELS]:
        _model(telling, folder, hasher)
    return telling.lineage()


def _model(telling: Telling, folder: Path, hasher: Hasher | None) -> None:
    card, config, adapter = (
        _card(telling, folder),
        *(_json(telling, folder / name) for name in ("config.json", "adapter_config.json")),
    )
    name = _name_of(folder)
    weights = sorted(path for path in folder.iterdir() if path.name.endswith(_WEIGHTS))
    seen = hasher.file(weights[0]) if hasher is not None and len(weights) == 1 else None
    relation = card.get("base_model_relation")
    facts: dict[str, Any] = {
        "licence": _text(card.get("license")),
        "architecture": _text(next(iter(_texts(config.get("architectures"))), None)),
        "files": len(weights),
        "base_model_relation": _text(relation),
    }
    ident = telling.node(
        f"hf:{name}", "model", name, digest=None if seen is None else seen.digest, facts=facts
    )
    if len(weights) > 1 and hasher is not None:
        for path in weights:
            part = hasher.file(path)
            if part is not None:
                one = telling.node(
                    f"hf:{name}/{path.name}", "file", path.name, digest=part.digest,
                    facts={"bytes": part.size},
                )  # fmt: skip
                telling.edge(one, ident, "part-of")
    told = [*_texts(card.get("base_model")), *_texts(adapter.get("base_model_name_or_path"))]
    for base in dict.fromkeys(told):
        source = telling.node(f"hf:{base}", "model", base)
        telling.edge(source, ident, "derived-from")
    loaded = _text(config.get("_name_or_path"))
    if loaded and loaded not in told and _NAME.fullmatch(loaded) and f"hf:{loaded}" != ident:
        source = telling.node(f"hf:{loaded}", "model", loaded)
        why = f"config.json was loaded from {loaded}; no card says that the weights were too"
        telling.edge(source, ident, "derived-from", confidence=LOADED, why=why)
    sets = _texts(card.get("datasets"))
    if sets:
        run = telling.node(f"hf:{name}#training", "run", f"training of {name}")
        telling.edge(run, ident, "made")
        for each in sets:
            dataset = telling.node(f"hf:datasets/{each}", "dataset", each)
            telling.edge(dataset, run, "read-by")
    elif not told:
        telling.notes.append(f"{name} says neither what it was trained on nor what it came from")


def _card(telling: Telling, folder: Path) -> dict[str, Any]:
    path = folder / "README.md"
    try:
        if not path.is_file() or path.stat().st_size > SIZE:
            return {}
        match = _CARD.match(path.read_bytes().decode("utf-8", "replace"))
        found = plain(read_yaml(match[1])) if match else {}
    except (OSError, FormatError) as error:
        telling.notes.append(f"the card of {_name_of(folder)} cannot be read: {error}")
        return {}
    return found if isinstance(found, dict) else {}


def _json(telling: Telling, path: Path) -> dict[str, Any]:
    try:
        if not path.is_file() or path.stat().st_size > SIZE:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        telling.notes.append(
            f"{_name_of(path.parent)}/{path.name} cannot be read: {error}"[:LONGEST]
        )
        return {}
    return found if isinstance(found, dict) else {}


def _name_of(folder: Path) -> str:
    """Return the hub's name of a model: from the cache's folders, else the folder's own."""
    for part in (folder, *folder.parents):
        if part.name.startswith("models--"):
            return part.name.removeprefix("models--").replace("--", "/")
    return folder.resolve().name


def _models(folder: Path, depth: int) -> Iterator[Path]:
    try:
        inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    names = {entry.name for entry in inside if entry.is_file()}
    if names & {"config.json", "adapter_config.json"} or (
        "README.md" in names and any(name.endswith(_WEIGHTS) for name in names)
    ):
        yield folder
    for entry in inside:
        if entry.is_dir(follow_symlinks=False) and depth < DEPTH and entry.name != ".git":
            yield from _models(Path(entry.path), depth + 1)


def _text(value: object) -> str:
    return value[:LONGEST] if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    several = value if isinstance(value, list) else [value]
    return [_text(each) for each in several if _text(each)][:100]
