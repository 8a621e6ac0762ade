"""Boosted trees in their libraries' own files: XGBoost JSON and UBJ, LightGBM text.

Margins are asked for, not probabilities, so that scores keep their precision where the model is
sure. Models pickled or made by a factory go through scikit-learn's interface, which both have.
"""

from __future__ import annotations

import importlib
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.errors import UsageError
from casemate.targets import arrays, digest, rehearsal, sklearn
from casemate.targets.layout import Layout, between
from casemate.targets.uri import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from casemate.records.target import Target
    from casemate.targets.capabilities import Array
    from casemate.targets.open import Vet
    from casemate.targets.settings import Settings

    Model = arrays.ArrayModel | arrays.LabelModel
    Margins = Callable[[Array], npt.NDArray[Any]]

_XGBOOST = frozenset(
    {"binary:logistic", "binary:logitraw", "binary:hinge", "multi:softmax", "multi:softprob"}
)
_LIGHTGBM = frozenset({"binary", "multiclass", "multiclassova", "cross_entropy"})


def open_xgboost(uri: str, *, vet: Vet | None, settings: Settings, device: str = "cpu") -> Model:
    """Open `xgboost:model.json`, `xgboost:model.ubj` or `xgboost:file.py:factory`.

    Raises:
        UsageError: XGBoost is missing, the file is damaged or no classifier, or the data has
            other columns.
        TargetError: The model raises.
    """
    del vet, device  # the files hold no code; trees run on the processor
    xgb = _library("xgboost")
    parts = parse(uri, settings.root)
    identity: str | None
    if parts.factory is None:
        path = parts.path(settings.root)
        identity = digest.of_path(path)
        text = path.read_bytes()[:1] == b"{" and path.suffix.lower() == ".json"
        if not text and not rehearsal.survives("xgboost", path, identity):
            raise _damaged(path, "XGBoost")
        booster = xgb.Booster()
        try:
            booster.load_model(path)
        except (xgb.core.XGBoostError, ValueError) as error:
            raise _damaged(path, "XGBoost") from error
    else:
        booster, identity = sklearn.make_by_factory(parts, settings.root)
    target = parts.record(settings.root, identity)
    if not isinstance(booster, xgb.Booster):
        return sklearn.wrap(booster, target, settings)
    if settings.threads:
        booster.set_param({"nthread": settings.threads})
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    _refuse_other(objective, _XGBOOST, target.uri)

    def margins(rows: Array) -> npt.NDArray[Any]:
        answer = booster.inplace_predict(rows, predict_type="margin", validate_features=False)
        return np.asarray(answer)

    try:
        names = booster.feature_names or ()
    except UnicodeDecodeError as error:
        raise UsageError(f"{target.uri} has feature names that are no text") from error
    return _wrap(margins, names, int(booster.num_features()), target, settings)


def open_lightgbm(uri: str, *, vet: Vet | None, settings: Settings, device: str = "cpu") -> Model:
    """Open `lightgbm:model.txt` or `lightgbm:file.py:factory`.

    Raises:
        UsageError: LightGBM is missing, the file is damaged or no classifier, or the data has
            other columns.
        TargetError: The model raises.
    """
    del vet, device  # the files hold no code; trees run on the processor
    lgb = _library("lightgbm")
    parts = parse(uri, settings.root)
    identity: str | None
    if parts.factory is None:
        path = parts.path(settings.root)
        identity = digest.of_path(path)
        text = path.read_bytes()
        if not _whole(text):
            raise _damaged(path, "LightGBM")
        stated = re.search(rb"^objective=(\w+)", text, re.MULTILINE)
        _refuse_other(stated[1].decode() if stated else "none", _LIGHTGBM, str(parts))
        if not rehearsal.survives("lightgbm", path, identity):
            raise _damaged(path, "LightGBM")
        booster = lgb.Booster(model_file=str(path))
    else:
        booster, identity = sklearn.make_by_factory(parts, settings.root)
    target = parts.record(settings.root, identity)
    if not isinstance(booster, lgb.Booster):
        return sklearn.wrap(booster, target, settings)
    if parts.factory is not None:
        objective = str(booster.dump_model(num_iteration=1).get("objective", "none"))
        _refuse_other(objective.partition(" ")[0], _LIGHTGBM, target.uri)
    threads = {"num_threads": settings.threads} if settings.threads else {}

    def margins(rows: Array) -> npt.NDArray[Any]:
        return np.asarray(booster.predict(rows, raw_score=True, **threads))

    return _wrap(margins, booster.feature_name(), int(booster.num_feature()), target, settings)


def _wrap(
    margins: Margins, names: Sequence[str], width: int, target: Target, settings: Settings
) -> arrays.ArrayModel:
    order = _order(names, settings)
    layout = Layout()
    if order is None and settings.sample is not None:
        layout = between(settings.sample.shape[1:], (width,))

    def ask(x: Array) -> npt.NDArray[Any]:
        return margins(np.ascontiguousarray(layout.array(x) if order is None else x[:, order]))

    return arrays.build(
        ask,
        target,
        settings._replace(scores="logits"),
        shape=(width,),
        notes=(layout.note,) if layout.note else (),
    )


def _order(names: Sequence[str], settings: Settings) -> list[int] | None:
    """Return the data's column for each of the model's, None where one of them has no names."""
    have = [column.name for column in settings.columns] or [e.name for e in settings.encodings]
    named = [name for name in names if not name.startswith("Column_")]
    if not have or not named:
        return None
    position = {name: i for i, name in enumerate(have)}
    position |= {
        name.replace(" ", "_"): i for name, i in position.items()
    }  # as LightGBM saves them
    missing = [name for name in names if name not in position]
    if missing:
        raise UsageError(
            f"the model wants the column '{missing[0]}', which the data does not have",
            hint=f"the data has {', '.join(have[:12])}",
        )
    return [position[name] for name in names]


def _whole(text: bytes) -> bool:
    """Whether a LightGBM file is complete; its reader crashes the process on some that are not."""
    text = text.replace(b"\r\n", b"\n")
    head, _, trees = text.partition(b"\n\n")
    sizes = re.search(rb"^tree_sizes=([\d ]*)$", head, re.MULTILINE)
    end = trees.find(b"end of trees")
    return (
        head.startswith(b"tree\n")
        and end >= 0
        and b"\nend of parameters" in trees[end:]
        and sizes is not None
        and trees[:end].count(b"Tree=") == len(sizes[1].split())
        and sum(int(size) for size in sizes[1].split()) == end
    )


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"{name} is not installed", hint=f"pip install {name}") from error


def _refuse_other(objective: str, known: frozenset[str], where: str) -> None:
    if objective not in known:
        raise UsageError(
            f"{where} was trained for '{objective}', which is no classification",
            hint="casemate attacks classifiers",
        )


def _damaged(path: Path, library: str) -> UsageError:
    return UsageError(
        f"{path.name} is truncated or not a model that {library} saved",
        hint="save it again with save_model",
    )
