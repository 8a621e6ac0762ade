"""Which of an endpoint's outputs is the one to attack, and how to take it from each answer.

Servers answer scores, labels by number, labels by name, or several of these side by side; some
give one number per class under the class's name. Decided once, on the first answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from casemate.errors import TargetError, UsageError
from casemate.targets.answers import flatten

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.targets.capabilities import Ints
    from casemate.targets.settings import Settings
    from casemate.targets.wire.tensor import Answer, Tensor

_SCORES = re.compile(r"(?i)prob|score|logit|softmax|confiden")


class Pick(NamedTuple):
    """What is taken from every answer."""

    how: Literal["scores", "labels", "names"]
    """Scores per class; class numbers; class names."""
    names: tuple[str, ...]
    """The output, or one output per class."""
    order: tuple[int, ...] | None = None
    """Class of each output column, where the outputs are named after the classes."""
    notes: tuple[str, ...] = ()


def pick(answer: Answer, n: int, settings: Settings, output: str | int | None = None) -> Pick:
    """Decide by the answer to n inputs what to take from every answer.

    Args:
        answer: The first answer.
        n: Number of inputs it answers.
        settings: `scores` stated means scores; `class_names` for outputs named after classes.
        output: Name or position of the output wanted.

    Raises:
        TargetError: It is none of scores, numbers of classes and names of classes.
        UsageError: There is no such output, or names of classes are needed and not known.
    """
    named = [one.name for one in answer.tensors] + [one.name for one in answer.texts]
    if not named:
        raise TargetError("the endpoint answered without any output")
    wanted = _resolve(output, named)
    tensors = [one for one in answer.tensors if wanted is None or one.name == wanted]
    texts = [one for one in answer.texts if wanted is None or one.name == wanted]
    rows = [one for one in tensors if len(np.atleast_1d(one.array)) == n]
    tables = [one for one in rows if _columns(one, n) > 1]
    if tables:
        best = next((one for one in tables if _SCORES.search(one.name)), tables[0])
        return Pick("scores", (best.name,), notes=_chosen(best.name, named, wanted))
    single = [one for one in rows if _columns(one, n) == 1]
    classes = _per_class(single, n, settings)
    if classes is not None:
        return classes
    if single and settings.scores is not None:
        best = next((one for one in single if _SCORES.search(one.name)), single[0])
        return Pick("scores", (best.name,), notes=_chosen(best.name, named, wanted))
    for one in sorted(single, key=lambda one: not _SCORES.search(one.name)):
        if _fractions(one.array):
            return Pick("scores", (one.name,), notes=_chosen(one.name, named, wanted))
    if single:
        return Pick("labels", (single[0].name,), notes=_chosen(single[0].name, named, wanted))
    if texts and len(texts[0].values) == n:
        if settings.class_names is None:
            raise UsageError(
                f"the endpoint answers with class names such as {texts[0].values[0][:40]!r}",
                hint="give data whose labels are those names",
            )
        return Pick("names", (texts[0].name,))
    raise TargetError(
        f"the endpoint answered {_described(answer)} to {n} inputs",
        hint="a classifier answers (n, classes), (n, 1) or (n,); of several outputs, name one",
    )


def take(answer: Answer, found: Pick, n: int) -> npt.NDArray[Any]:
    """Return the raw scores (n, columns) that an answer to n inputs holds.

    Raises:
        TargetError: The output is missing, or has another number of rows.
    """
    columns = []
    for name in found.names:
        array = next((one.array for one in answer.tensors if one.name == name), None)
        if array is None:
            raise TargetError(f"the endpoint's answer has no output '{name[:40]}'")
        if array.ndim == 0 or len(array) != n:
            rows = len(array) if array.ndim else 1
            raise TargetError(f"the endpoint answered {rows} rows to {n} inputs")
        columns.append(flatten(array, n))
    return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)


def labels_of(answer: Answer, found: Pick, n: int, names: tuple[str, ...] | None) -> Ints:
    """Return the labels (n,) that an answer to n inputs holds, as positions of the classes.

    Raises:
        TargetError: Another number of rows, a name that is no class, or numbers that are no labels.
    """
    if found.how == "names":
        values = next((one.values for one in answer.texts if one.name == found.names[0]), ())
        if len(values) != n:
            raise TargetError(f"the endpoint answered {len(values)} rows to {n} inputs")
        return _positions(values, names or ())
    raw = take(answer, found, n)
    if raw.shape != (n, 1) or not np.isfinite(raw).all() or _fractions(raw):
        raise TargetError(
            "the endpoint answered something else where it answered labels before",
            hint='if these are scores, say so: scores = "probabilities" or "logits"',
        )
    whole: Ints = np.rint(raw[:, 0]).astype(np.int64)
    if names and all(name.lstrip("-").isdecimal() for name in names):
        return _positions([str(label) for label in whole.tolist()], names)
    return whole


def _positions(values: Any, names: tuple[str, ...]) -> Ints:
    place = {name: position for position, name in enumerate(names)}
    try:
        return np.array([place[value] for value in values], np.int64)
    except KeyError as error:
        raise TargetError(
            f"the endpoint answered the class {str(error.args[0])[:40]!r}",
            hint=f"the data's classes are {', '.join(names[:8])}",
        ) from error


def _per_class(single: list[Tensor], n: int, settings: Settings) -> Pick | None:
    """Recognise one number per class, each under the class's name or number."""
    if len(single) < 2:
        return None
    given = tuple(one.name for one in single)
    known = settings.class_names or tuple(str(i) for i in range(len(single)))
    if set(given) == set(known):
        order = tuple(known.index(name) for name in given)
        return Pick("scores", given, None if order == tuple(range(len(order))) else order)
    columns = np.stack([one.array.reshape(n).astype(np.float64) for one in single], axis=1)
    if (columns >= 0).all() and np.allclose(columns.sum(axis=1), 1, atol=2e-3):
        note = f"the classes are taken in the endpoint's order: {', '.join(given)[:120]}"
        return Pick("scores", given, notes=(note,))
    return None


def _resolve(output: str | int | None, named: list[str]) -> str | None:
    if output is None:
        return None
    if isinstance(output, str) and output in named:
        return output
    text = str(output)
    if text.isdecimal() and int(text) < len(named):
        return named[int(text)]
    raise UsageError(
        f"the endpoint has no output '{text[:40]}'", hint=f"it answers {', '.join(named)[:200]}"
    )


def _columns(one: Tensor, n: int) -> int:
    flat = flatten(one.array, n)
    return flat.shape[1] if flat.ndim == 2 else 0


def _fractions(array: npt.NDArray[Any]) -> bool:
    return bool(array.dtype.kind == "f" and (array != np.rint(array)).any())


def _chosen(name: str, named: list[str], wanted: str | None) -> tuple[str, ...]:
    if wanted is not None or len(named) == 1:
        return ()
    return (f"of the outputs {', '.join(named)[:120]}, '{name[:40]}' is attacked",)


def _described(answer: Answer) -> str:
    arrays = [f"{one.name[:20]} {list(one.array.shape)}" for one in answer.tensors[:4]]
    texts = [f"{one.name[:20]} ({len(one.values)} strings)" for one in answer.texts[:4]]
    return ", ".join(arrays + texts)
