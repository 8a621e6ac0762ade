"""A model that answers arrays: ONNX Runtime, scikit-learn, boosting, a function of the user's.

`build` tries it on a sample and settles how its answers are read; `ArrayModel` then gives scores
and labels, `LabelModel` labels alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from casemate.errors import CasemateError, TargetError, UsageError
from casemate.targets import answers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from casemate.records.target import Target
    from casemate.targets.capabilities import Array, Capability, Ints
    from casemate.targets.settings import Settings

    Ask = Callable[[Array], npt.NDArray[Any]]
    """Inputs (n, ...) to raw answers: (n, columns), (n, 1), (n,)."""
    Refit = Callable[[Array, Ints], Callable[[Array], Ints]]


@dataclass(kw_only=True, eq=False)
class LabelModel:
    """Implements `Labels` over a function that answers class names or indices."""

    target: Target
    ask: Ask
    classes: int
    shape: tuple[int, ...]
    lower: float | Array
    upper: float | Array
    names: dict[object, int]
    """Class index of everything the function may answer."""
    batch: int = 512
    deterministic: bool | None = None
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    threshold: float | None = None
    gives: frozenset[Capability] = frozenset({"labels"})
    refit: Refit | None = None
    """Fits the user's estimator afresh to rows and classes and returns what labels rows."""

    def labels(self, x: Array) -> Ints:
        """Return the predicted class (n,) of inputs (n, ...)."""
        out = np.empty(len(x), np.int64)
        for i in range(0, len(x), self.batch):
            part = x[i : i + self.batch]
            out[i : i + len(part)] = index_labels(answer(self.ask, part), len(part), self.names)
        return out

    def close(self) -> None:
        """Nothing to release."""


@dataclass(kw_only=True, eq=False)
class ArrayModel:
    """Implements `Scores` and `Labels` over a function that answers scores."""

    target: Target
    ask: Ask
    reading: answers.Reading
    shape: tuple[int, ...]
    lower: float | Array
    upper: float | Array
    batch: int = 512
    deterministic: bool | None = None
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    gives: frozenset[Capability] = frozenset({"scores", "labels"})
    refit: Refit | None = None
    """Fits the user's estimator afresh to rows and classes and returns what labels rows."""

    def __post_init__(self) -> None:
        self.kind: Literal["logits", "probabilities"] = self.reading.kind
        self.classes = self.reading.classes
        self.threshold = self.reading.threshold

    def scores(self, x: Array) -> Array:
        """Return the scores (n, classes) of inputs (n, ...)."""
        parts = [
            self.reading.scores(answer(self.ask, part), len(part))
            for part in (x[i : i + self.batch] for i in range(0, len(x), self.batch))
        ]
        if not parts:
            return np.zeros((0, self.classes), np.float32)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def labels(self, x: Array) -> Ints:
        """Return the predicted class (n,) of inputs (n, ...)."""
        return self.reading.labels(self.scores(x))

    def close(self) -> None:
        """Nothing to release."""


def answer(ask: Ask, x: Array) -> npt.NDArray[Any]:
    """Ask, turning whatever the model raises into one line.

    Raises:
        TargetError: The model raised.
    """
    try:
        return np.asarray(ask(x))
    except CasemateError:
        raise
    except Exception as error:  # a user's model may raise anything
        text = str(error).strip().splitlines()
        message = text[0][:300] if text else "no message"
        raise TargetError(
            f"the model raised {type(error).__name__}: {message}",
            hint=f"it was given inputs of shape {x.shape} and type {x.dtype}",
        ) from error


def build(
    ask: Ask,
    target: Target,
    settings: Settings,
    *,
    shape: tuple[int, ...] | None = None,
    names: Sequence[object] | None = None,
    notes: tuple[str, ...] = (),
) -> ArrayModel:
    """Try a function that answers scores on a sample, settle how they are read, and wrap it.

    Args:
        ask: Inputs (n, ...) to raw answers.
        target: Its identity.
        settings: Bounds, sample, shape, scores, threshold, class names.
        shape: Shape of one input, where the model itself says so.
        names: What the model calls its output columns, where it does.
        notes: What is already to be said.

    Raises:
        TargetError: It raises, or answers something that is not a finite score per class.
        UsageError: The shape of its inputs is not known, or the settings contradict it.
    """
    sample = answers.sample(settings, shape)
    raw, again = answer(ask, sample), answer(ask, sample)
    deterministic = bool(np.array_equal(raw, again))
    if not deterministic:
        notes += ("the model answers the same question differently each time",)
    reading, guessed = answers.read(raw, len(sample), settings)
    class_names = settings.class_names
    if names is not None:
        order, class_names, note = class_order(names, settings.class_names)
        notes += (note,) if note else ()
        if len(order) != reading.classes:
            raise TargetError(f"the model has {len(order)} classes and answers {reading.classes}")
        if order != tuple(range(len(order))):
            reading = _ordered(reading, order)
    lower, upper = settings.bounds or (0.0, 1.0)
    return ArrayModel(
        target=target,
        ask=ask,
        reading=reading,
        shape=sample.shape[1:],
        lower=lower,
        upper=upper,
        batch=settings.batch,
        deterministic=deterministic,
        notes=(*notes, *guessed),
        class_names=class_names,
    )


def build_labels(
    ask: Ask,
    target: Target,
    settings: Settings,
    *,
    shape: tuple[int, ...] | None = None,
    names: Sequence[object] | None = None,
    notes: tuple[str, ...] = (),
) -> LabelModel:
    """Try a function that answers classes alone on a sample, and wrap it.

    Args:
        ask: Inputs (n, ...) to one class each: its name, or its index.
        target: Its identity.
        settings: Bounds, sample, shape, classes, class names.
        shape: Shape of one input, where the model itself says so.
        names: Every class the model may answer, where it says so.
        notes: What is already to be said.

    Raises:
        TargetError: It raises, or does not answer one class per input.
        UsageError: The shape of its inputs, or the number of classes, is not known.
    """
    sample = answers.sample(settings, shape)
    first, again = answer(ask, sample), answer(ask, sample)
    if names is None:
        count = settings.classes or len(settings.class_names or ())
        if not count:
            raise UsageError(
                "the model answers labels alone and does not say how many classes there are",
                hint="classes = N under [model]",
            )
        names = settings.class_names or tuple(range(count))
    order, class_names, note = class_order(names, settings.class_names)
    notes += (note,) if note else ()
    index = dict(zip(names, order, strict=True)) | {
        str(name): position for name, position in zip(names, order, strict=True)
    }
    index_labels(first, len(sample), index)
    lower, upper = settings.bounds or (0.0, 1.0)
    return LabelModel(
        target=target,
        ask=ask,
        classes=max(order) + 1,
        shape=sample.shape[1:],
        lower=lower,
        upper=upper,
        names=index,
        batch=settings.batch,
        deterministic=bool(np.array_equal(first, again)),
        notes=(*notes, "the model answers labels alone: only decision-based attacks apply"),
        class_names=class_names,
    )


def class_order(
    names: Sequence[object], data: tuple[str, ...] | None
) -> tuple[tuple[int, ...], tuple[str, ...] | None, str]:
    """Return the label that each class of the model has in the data, all names, and a note.

    Where the data has names, classes are matched by name and those the data lacks come last; a
    model that knows its classes by number only is taken to number them in the order of their
    sorted names. Where the data's labels are numbers, a class called by a number is that number.

    Raises:
        UsageError: Both have names, and none in common.
    """
    plain = [name.item() if isinstance(name, np.generic) else name for name in names]
    numbers = [int(n) for n in plain if isinstance(n, int | float) and n == int(n) and n >= 0]
    numbered = len(numbers) == len(plain)
    if data is None:
        if numbered and max(numbers, default=0) < 10 * len(plain) + 1000:
            return tuple(numbers), None, ""
        return tuple(range(len(plain))), tuple(_text(name) for name in plain), ""
    texts = [_text(name) for name in plain]
    if not set(data) <= set(texts) and numbers == list(range(len(plain))):
        if len(data) > len(plain):
            raise UsageError(f"the data has {len(data)} classes, the model {len(plain)}")
        every = (*data, *texts[len(data) :])
        note = f"the model numbers its classes; 0 is taken to be '{data[0]}', and so on"
        return tuple(numbers), every, note
    if not set(data) & set(texts):
        raise UsageError(
            f"the model's classes are {', '.join(texts[:8])}; the data's are {', '.join(data[:8])}",
            hint="are these the right data, and the right label column?",
        )
    every = tuple(dict.fromkeys([*data, *texts]))
    return tuple(every.index(text) for text in texts), every, ""


def index_labels(raw: npt.NDArray[Any], n: int, names: dict[object, int]) -> Ints:
    """Return the class index (n,) of raw labels, by name.

    Raises:
        TargetError: Not one label per input, or a label that is none of the classes.
    """
    raw = np.asarray(raw)
    if raw.ndim == 2 and raw.shape[1] == 1:
        raw = raw[:, 0]
    if raw.shape != (n,):
        raise TargetError(
            f"the model answered shape {raw.shape} to {n} inputs",
            hint="one class per input is expected",
        )
    distinct, inverse = np.unique(raw, return_inverse=True)
    positions = []
    for value in distinct.tolist():
        position = names.get(value, names.get(_text(value)))
        if position is None:
            raise TargetError(
                f"the model answered the class '{value}', which is not one of "
                f"{', '.join(dict.fromkeys(str(name) for name in names))}"
            )
        positions.append(position)
    return np.asarray(np.array(positions, np.int64)[inverse])


def _ordered(reading: answers.Reading, order: tuple[int, ...]) -> answers.Reading:
    return reading._replace(order=order, classes=max(order) + 1)


def _text(name: object) -> str:
    return str(int(name)) if isinstance(name, float) and name == int(name) else str(name)
