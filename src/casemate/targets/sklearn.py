"""scikit-learn estimators and pipelines, and whatever has their methods.

Scores come from predict_proba or decision_function, labels from predict where there is neither. A
pipeline trained on a DataFrame is asked with one, with the strings that the codes stand for.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.errors import MissingExtra, TargetError, UsageError
from casemate.targets import arrays, digest, factory
from casemate.targets.encoding import Encoding, decode, decode_all
from casemate.targets.layout import Layout, between
from casemate.targets.uri import Uri, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from casemate.records.target import Target
    from casemate.targets.capabilities import Array, Ints
    from casemate.targets.open import Vet
    from casemate.targets.settings import Settings

    Rows = Callable[[Array], Any]
    """Inputs of the attack to what the estimator takes."""


def open(  # noqa: A001 - every target module has an `open`, named by its catalog entry
    uri: str, *, vet: Vet | None, settings: Settings, device: str = "cpu"
) -> arrays.ArrayModel | arrays.LabelModel:
    """Open `sklearn:file.joblib`, `sklearn:file.pkl` or `sklearn:file.py:factory`.

    Raises:
        UsageError: The file would be unpickled and `vet` is None or refuses it; or what it holds
            is no fitted classifier.
        TargetError: The factory or the model raises.
    """
    del device  # runs where it runs
    parts = parse(uri, settings.root)
    notes: tuple[str, ...] = ()
    if parts.factory is None and not parts.place.endswith(".py"):
        path = parts.path(settings.root)
        witness = digest.Witness(vet) if vet else None
        model, notes = load(path, witness)
        identity = witness.identity if witness else None
    else:
        model, identity = make_by_factory(parts, settings.root)
    target = parts.record(settings.root, identity)
    return wrap(model, target, settings, notes)


def make_by_factory(parts: Uri, root: Path) -> tuple[Any, str | None]:
    """Return what the user's factory makes, and a digest of its code and of what it made."""
    made, code = factory.take(parts, root)
    if not hasattr(made, "predict") or isinstance(made, type):
        made = factory.call(made, f"{parts.factory}()") if callable(made) else made
    return made, digest.of_object(made, start=code)


def load(path: Path, vet: Vet | None) -> tuple[Any, tuple[str, ...]]:
    """Unpickle the snapshot that `vet` returns for `path`; also return what loading warned of.

    Raises:
        UsageError: `vet` is None or refuses the file.
        TargetError: The file is damaged, or needs code that is not here.
    """
    if vet is None:
        raise UsageError(
            f"{path.name} is a pickle: loading it can run any code",
            hint="let the scanner vet it, or use sklearn:file.py:FUNCTION",
        )
    try:
        import joblib
    except ImportError as error:
        raise MissingExtra("sklearn", for_=path.name) from error
    snapshot = vet(path)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model = factory.call(lambda: joblib.load(snapshot), f"loading {path.name}")
    said = {str(w.message).strip().splitlines()[0] for w in seen if w.category is not UserWarning}
    versions = sorted(text[:200] for text in said if "version" in text)
    return model, tuple(versions[:1])


def wrap(
    model: Any, target: Target, settings: Settings, notes: tuple[str, ...] = ()
) -> arrays.ArrayModel | arrays.LabelModel:
    """Make a fitted classifier a target.

    Raises:
        UsageError: Not a fitted classifier, or it wants columns the data does not have.
        TargetError: It raises or answers something else than a score per class.
    """
    found = _asked(model, target, settings, notes)
    found.refit = _refit(model, settings)
    return found


def _refit(model: Any, settings: Settings) -> Callable[[Array, Ints], Callable[[Array], Ints]]:
    """Return what fits a fresh copy of the estimator to rows and classes, and labels with it."""
    rows, layout, _ = _rows(model, settings)
    names = np.asarray(getattr(model, "classes_", np.arange(0)))

    def arrange(x: Array) -> Any:
        return rows(x if layout is None else layout.array(x))

    def refit(x: Array, y: Ints) -> Callable[[Array], Ints]:
        from sklearn.base import clone

        fresh = clone(model)
        fresh.fit(arrange(x), names[y] if len(names) else y)

        def label(some: Array) -> Ints:
            said = np.asarray(_quiet(fresh.predict, arrange(some)))
            return np.asarray(np.searchsorted(names, said) if len(names) else said, np.int64)

        return label

    return refit


def _asked(
    model: Any, target: Target, settings: Settings, notes: tuple[str, ...]
) -> arrays.ArrayModel | arrays.LabelModel:
    """Return the target with the method of the estimator that answers as its predict does."""
    _check(model, target.uri)
    names = getattr(model, "classes_", None)
    if isinstance(names, list):
        raise UsageError(f"{target.uri} predicts several outputs at once; casemate attacks one")
    rows, layout, more = _rows(model, settings)
    notes += more
    shape = _width(model)

    def plain(method: str) -> arrays.Ask:
        function = getattr(model, method)
        if layout is None:
            return lambda x: np.asarray(_quiet(function, rows(x)))
        return lambda x: np.asarray(_quiet(function, rows(layout.array(x))))

    def labels_alone(*more: str) -> arrays.LabelModel:
        return arrays.build_labels(
            plain("predict"),
            target,
            settings,
            shape=shape,
            names=_listed(names),
            notes=(*notes, *more),
        )

    methods = [m for m in ("predict_proba", "decision_function") if hasattr(model, m)]
    if not methods:
        return labels_alone()
    if names is None and methods[-1] == "decision_function":
        names, methods = np.array([-1, 1]), ["decision_function"]  # an outlier detector
    own = _own_threshold(model) if settings.threshold is None else None
    if own is not None:
        methods = methods[:1]
        notes += (f"the model's own threshold {own:g} is used",)
    built = []
    for method in methods:
        wanted = settings._replace(scores=_kind(method), threshold=own or settings.threshold)
        try:
            built.append(
                arrays.build(
                    plain(method), target, wanted, shape=shape, names=_listed(names), notes=notes
                )
            )
        except TargetError:
            if method != "decision_function":
                raise  # one column per pair of classes is no score per class
    if not hasattr(model, "predict") or settings.threshold is not None or settings.sample is None:
        return built[0] if built else labels_alone()
    said = labels_alone()
    x = settings.sample
    agreeing = [one for one in built if np.array_equal(one.labels(x), said.labels(x))]
    if agreeing:
        return agreeing[0]
    if built and built[0].kind == "probabilities" and _mostly_agree(built[0], said, x):
        built[0].notes += ("the model's predict does not always answer its largest score",)
        return built[0]
    said.notes += ("the model's scores are not used: its predict answers other classes",)
    return said


def _mostly_agree(model: arrays.ArrayModel, said: arrays.LabelModel, x: Array) -> bool:
    return bool((model.labels(x) == said.labels(x)).mean() >= 0.8)


def _own_threshold(model: Any) -> float | None:
    """Return the probability at which a classifier with a tuned or fixed threshold says yes."""
    threshold = getattr(model, "best_threshold_", None)
    if threshold is None and type(model).__name__ == "FixedThresholdClassifier":
        threshold = model.threshold
    if not isinstance(threshold, int | float) or not hasattr(model, "predict_proba"):
        return None
    return float(threshold) if 0 < threshold < 1 else None


def _kind(method: str) -> Any:
    return "probabilities" if method == "predict_proba" else "logits"


def _check(model: Any, where: str) -> None:
    if isinstance(model, dict | list | tuple):
        inside = ", ".join(str(key) for key in model) if isinstance(model, dict) else "parts"
        raise UsageError(
            f"{where} holds a {type(model).__name__} ({inside[:120]}), not a model",
            hint="write a function that returns the model in it: sklearn:file.py:FUNCTION",
        )
    if not hasattr(model, "predict") and not hasattr(model, "decision_function"):
        raise UsageError(f"{where} holds {type(model).__name__}, which has no predict")
    regressor = getattr(model, "_estimator_type", None) == "regressor"
    try:
        from sklearn.base import is_regressor

        regressor = regressor or bool(is_regressor(model))
    except (ImportError, AttributeError):
        pass
    if regressor:
        raise UsageError(
            f"{where} is a regressor; casemate attacks classifiers",
            hint="wrap it in a function that answers a class: python:file.py:FUNCTION",
        )


def _rows(model: Any, settings: Settings) -> tuple[Rows, Layout | None, tuple[str, ...]]:
    """Return how inputs become what the estimator takes, and how they become rows before that."""
    encodings = settings.encodings or tuple(
        Encoding(column.name, "float") for column in settings.columns
    )
    wanted = getattr(model, "feature_names_in_", None)
    if wanted is not None and encodings:
        return _frame(list(wanted), encodings)
    width = _width(model)
    layout = None
    if settings.sample is not None and width is not None:
        layout = between(settings.sample.shape[1:], width)
    notes = (layout.note,) if layout is not None and layout.note else ()
    if wanted is not None:
        names = tuple(Encoding(str(name), "float") for name in wanted)
        rows, _, more = _frame([str(name) for name in wanted], names)
        return rows, layout, notes + more
    if encodings:
        return lambda x: decode_all(x, encodings), layout, notes
    return lambda x: x, layout, notes


def _frame(
    wanted: list[str], encodings: Sequence[Encoding]
) -> tuple[Rows, Layout | None, tuple[str, ...]]:
    position = {encoding.name: i for i, encoding in enumerate(encodings)}
    missing = [name for name in wanted if name not in position]
    if missing:
        raise UsageError(
            f"the model wants the column '{missing[0]}', which the data does not have",
            hint=f"the data has {', '.join(list(position)[:12])}",
        )
    extra = [name for name in position if name not in wanted]
    notes = (f"columns the model does not look at: {', '.join(extra[:8])}",) if extra else ()
    chosen = [position[name] for name in wanted]
    try:
        import pandas as pd
    except ImportError:
        if any(encodings[i].dtype in ("string", "boolean") for i in chosen):
            raise UsageError(
                "the model was trained on a DataFrame with columns of strings",
                hint="pip install pandas",
            ) from None
        return lambda x: x[:, chosen], None, notes
    if all(encodings[i].dtype == "float" for i in chosen):
        whole = chosen == list(range(len(encodings)))
        return lambda x: pd.DataFrame(x if whole else x[:, chosen], columns=wanted), None, notes

    def rows(x: Array) -> Any:
        return pd.DataFrame(
            {name: decode(x[:, i], encodings[i]) for name, i in zip(wanted, chosen, strict=True)}
        )

    return rows, None, notes


def _width(model: Any) -> tuple[int, ...] | None:
    count = getattr(model, "n_features_in_", None)
    return (int(count),) if isinstance(count, int | np.integer) else None


def _listed(names: npt.NDArray[Any] | None) -> list[object] | None:
    return None if names is None else list(np.asarray(names).tolist())


def _quiet(function: Callable[[Any], Any], rows: Any) -> Any:
    """Call without the warning that an array has no feature names; what matters is in the notes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*feature names.*", category=UserWarning)
        return function(rows)
