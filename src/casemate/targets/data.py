"""The data a model is attacked with: read, checked, in model units, with limits and a digest.

`open_data` is the one door. Arrays come from `.npz`, images from a folder with one subfolder per
class, tables from CSV or Parquet, anything else from a function of the user's in a Python file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from casemate.errors import UsageError
from casemate.records.make import make
from casemate.records.target import Target
from casemate.targets import digest
from casemate.targets.labels import number_labels
from casemate.targets.settings import Settings
from casemate.targets.uri import parse_code, relative

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from casemate.records.column import Column
    from casemate.targets.capabilities import Array, Ints
    from casemate.targets.encoding import Encoding

    Bounds = tuple[float | Array, float | Array]

_TABLES = frozenset({".csv", ".tsv", ".parquet", ".pq"})
_SAMPLE = 16
"""Inputs a model is tried on when it is opened; spread, as data may be sorted by class."""


class Data(NamedTuple):
    """Inputs and true classes, in the units of the model."""

    x: Array
    """Inputs (n, ...), float32; float64 for tables."""
    y: Ints
    """Classes (n,)."""
    lower: float | Array
    upper: float | Array
    columns: tuple[Column, ...]
    """One per feature of a table, none for images and vectors."""
    target: Target
    classes: tuple[str, ...] | None
    """Names of the classes by label; None when the labels were numbers all along."""
    encodings: tuple[Encoding, ...] = ()
    """How each column of a table became a number."""
    notes: tuple[str, ...] = ()
    """What was left out or decided on the way, for the report."""


class Raw(NamedTuple):
    """What a reader hands over: nothing checked yet."""

    x: npt.NDArray[Any]
    y: npt.NDArray[Any]
    names: tuple[str, ...] = ()
    encodings: tuple[Encoding, ...] = ()
    notes: tuple[str, ...] = ()


def open_data(
    uri: str,
    *,
    label: str | None = None,
    columns: Sequence[Column] = (),
    bounds: tuple[float, float] | None = None,
    limit: int | None = None,
    root: Path = Path(),
) -> Data:
    """Read the data at `uri`, check it and bring it to model units.

    Args:
        uri: A `.npz` with x and y, a folder of images, a CSV or Parquet file, or `file.py:function`
            (or `package.module:function`) whose call without arguments returns (x, y).
        label: Name of the label column of a table.
        columns: Constraints of a table's features; learned from the table where there are none.
        bounds: Smallest and largest legal value; uint8 data is divided by 255 first.
        limit: Keep the first so many inputs.
        root: Folder that a relative path starts from.

    Raises:
        UsageError: Missing, empty, truncated, not numbers, NaN, of unequal lengths, outside its
            bounds, or with labels that are none.
    """
    from casemate.targets.table import learn_columns

    raw, identity = _read(uri, label, root)
    x, y = raw.x, raw.y
    if limit is not None and limit < 1:
        raise UsageError(f"a limit of {limit} inputs leaves nothing to attack")
    _check_lengths(x, y, uri)
    labels, classes = number_labels(y, uri)
    table = bool(raw.encodings)
    numbers = x if table else in_model_units(x, uri)
    _refuse_nan(numbers, uri, raw.names)
    if table or columns:
        found = learn_columns(numbers, raw.names, raw.encodings)
        chosen = _arrange(columns, found, uri)
        limits = _column_limits(chosen, bounds, numbers.dtype)
    else:
        chosen, limits = (), _limits(numbers, bounds, uri)
    return Data(
        x=np.ascontiguousarray(numbers[:limit]),
        y=labels[:limit],
        lower=limits[0],
        upper=limits[1],
        columns=chosen,
        target=make(Target, kind="dataset", uri=relative(uri, root), digest=identity),
        classes=classes,
        encodings=raw.encodings,
        notes=raw.notes,
    )


def describe(data: Data, settings: Settings | None = None) -> Settings:
    """Return settings for `open_target` that know the data: shape, limits, names and a sample."""
    known = settings or Settings()
    return known._replace(
        bounds=(data.lower, data.upper),
        shape=known.shape or data.x.shape[1:],
        sample=data.x[np.linspace(0, len(data.x) - 1, min(_SAMPLE, len(data.x))).astype(int)],
        columns=data.columns,
        encodings=data.encodings,
        class_names=data.classes,
    )


def in_model_units(x: npt.NDArray[Any], where: str) -> Array:
    """Return x as float: uint8 divided by 255, booleans as 0 and 1, float64 images as float32.

    Raises:
        UsageError: Not numbers.
    """
    if x.dtype == np.uint8:
        return x.astype(np.float32) / np.float32(255)
    if x.dtype.kind not in "fiub":
        raise UsageError(
            f"{where}: x holds {x.dtype}, not numbers",
            hint="strings and mixed columns belong in a CSV or Parquet file",
        )
    return np.asarray(x, np.float32)


def _read(uri: str, label: str | None, root: Path) -> tuple[Raw, str]:
    code = parse_code(uri, root)
    if code is not None:
        from casemate.targets.pairs import call_for_data

        return call_for_data(code, root)
    path = root / Path(uri).expanduser()
    if not path.exists():
        raise UsageError(f"{uri} does not exist", hint=f"looked in {path.parent.absolute()}")
    suffix = path.suffix.lower()
    if path.is_dir():
        from casemate.targets.images import read_folder

        return read_folder(path), digest.of_path(path)
    if not path.stat().st_size:
        raise UsageError(f"{uri} is empty")
    if suffix in _TABLES:
        from casemate.targets.table import read_table

        return read_table(path, label), digest.of_path(path)
    if suffix == ".npz":
        from casemate.targets.npz import read_npz

        return read_npz(path), digest.of_path(path)
    raise UsageError(
        f"{uri} is not data that casemate reads",
        hint=".npz with x and y, a folder of images, .csv, .parquet, or file.py:function",
    )


def _check_lengths(x: npt.NDArray[Any], y: npt.NDArray[Any], where: str) -> None:
    if x.ndim < 2:
        raise UsageError(
            f"{where}: x has shape {x.shape}; (inputs, ...) is expected",
            hint="a single input needs a leading 1",
        )
    if len(x) != len(y):
        raise UsageError(f"{where}: {len(x)} inputs but {len(y)} labels")
    if not x.size:
        raise UsageError(f"{where} holds no inputs")


def _refuse_nan(x: Array, where: str, names: tuple[str, ...]) -> None:
    good = np.isfinite(x)
    if good.all():
        return
    rows = np.flatnonzero(~good.reshape(len(x), -1).all(axis=1))
    cell = np.argwhere(~good[rows[0]])[0]
    at = names[cell[0]] if names else tuple(int(i) for i in cell)
    raise UsageError(
        f"{where}: {len(rows)} of {len(x)} inputs have NaN or infinite values, "
        f"the first at row {rows[0]}, {at}",
        hint="fill or drop them first",
    )


def _limits(x: Array, bounds: tuple[float, float] | None, where: str) -> Bounds:
    low, high = float(x.min()), float(x.max())
    if bounds is None:
        if low < 0 or high > 1:
            raise UsageError(
                f"{where}: values lie in [{low:g}, {high:g}] and no bounds are given",
                hint=f"give the legal range: bounds = [{low:g}, {high:g}] under [model]",
            )
        return 0.0, 1.0
    lower, upper = float(bounds[0]), float(bounds[1])
    slack = 1e-6 * max(abs(lower), abs(upper), 1.0)
    if low < lower - slack or high > upper + slack:
        outside = int(((x < lower - slack) | (x > upper + slack)).reshape(len(x), -1).any(1).sum())
        raise UsageError(
            f"{where}: {outside} of {len(x)} inputs lie outside the bounds [{lower:g}, {upper:g}]; "
            f"the data spans [{low:g}, {high:g}]",
            hint="correct the bounds; uint8 data is divided by 255 before they apply",
        )
    return lower, upper


def _arrange(given: Sequence[Column], found: tuple[Column, ...], where: str) -> tuple[Column, ...]:
    """Return one column per feature in order: as the user edited it, else as learned."""
    names = {column.name for column in found}
    for column in given:
        if column.name not in names:
            import difflib

            near = difflib.get_close_matches(column.name, names, 1)
            raise UsageError(
                f"{where} has no column '{column.name}'",
                hint=f"did you mean '{near[0]}'?" if near else f"it has {', '.join(sorted(names))}",
            )
    edited = {column.name: column for column in given}
    return tuple(edited.get(column.name, column) for column in found)


def _column_limits(
    columns: tuple[Column, ...], bounds: tuple[float, float] | None, dtype: np.dtype[Any]
) -> Bounds:
    low, high = bounds or (-np.inf, np.inf)
    lower = [low if column.low is None else column.low for column in columns]
    upper = [high if column.high is None else column.high for column in columns]
    return np.array(lower, dtype), np.array(upper, dtype)
