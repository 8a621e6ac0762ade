"""Forms of files in which values can be found and replaced, and the walk over each.

One walk serves to learn the values of fields and to replace them: what it visits says what becomes
of each value. A file whose form is not known cannot be told to hold nothing.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, Literal, Protocol

from casemate.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from casemate.case.bundle.piece import Piece

Form = Literal["custody", "json", "jsonl", "csv", "parquet", "text", "opaque"]
CUT = "withheld"
_HEAD = 1 << 16
_LARGEST = 256 << 20
"""Bytes of a file that must be read whole."""
_DEEPEST = 200


class UnreadableError(Exception):
    """A file is not of the form it seemed to be of."""


class Visitor(Protocol):
    """What becomes of the values that are met."""

    changed: bool
    """Whether anything was replaced; set by the visitor."""

    def names(self, field: str) -> bool:
        """Return whether all values under a field of this name are meant."""

    def value(self, field: str, value: Any) -> Any:
        """Return what stands in the place of a value that is meant."""

    def text(self, text: str) -> str:
        """Return what stands in the place of other text."""

    def keeps(self, field: str) -> bool:
        """Return whether values under a field of this name are left as they are."""

    def key(self, key: str) -> str:
        """Return what stands in the place of a name of a field."""


def form_of(piece: Piece) -> Form:
    """Return the form of a piece, by its content first and its name second."""
    if piece.kind == "custody":
        return "custody"
    with opened(piece) as file:
        head = file.read(_HEAD)
    if head[:4] == b"PAR1":
        return "parquet"
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(head) < _HEAD or error.start < len(head) - 4:
            return "opaque"
        text = head[: error.start].decode("utf-8-sig")
    if "\0" in text:
        return "opaque"
    start = text.lstrip()[:1]
    name = piece.name.lower()
    if start in ("{", "["):
        return "jsonl" if _is_lines(text, whole=len(head) < _HEAD) else "json"
    return "csv" if name.endswith((".csv", ".tsv")) else "text"


def rewrite(piece: Piece, form: Form, visitor: Visitor, out: BinaryIO) -> None:
    """Write a piece as the visitor wants it.

    Raises:
        UnreadableError: It is not of that form after all.
        OSError: It cannot be read or written.
    """
    walks = {
        "csv": _csv, "custody": _custody, "json": _json, "jsonl": _jsonl, "parquet": _parquet,
        "text": _text,
    }  # fmt: skip
    try:
        with opened(piece) as file:
            walks[form](file, visitor, out)
    except (UnicodeDecodeError, ValueError, RecursionError, csv.Error) as error:
        raise UnreadableError(str(error)) from error


def opened(piece: Piece) -> BinaryIO:
    """Open a piece for reading."""
    return io.BytesIO(piece.data or b"") if piece.file is None else piece.file.open("rb")


def visit(value: Any, visitor: Visitor, field: str = "", *, meant: bool = False) -> Any:
    """Return a JSON value as the visitor wants it.

    Args:
        value: As it was read.
        visitor: Decides.
        field: Name of the field it stands under, lists left out.
        meant: Whether the field, or one around it, is one whose values are meant.
    """
    return _visit(value, visitor, field, meant, 0)


def _visit(value: Any, visitor: Visitor, field: str, meant: bool, deep: int) -> Any:
    if deep > _DEEPEST:
        raise UnreadableError("nested too deeply")
    if isinstance(value, dict):
        return {
            visitor.key(key): _visit(
                one,
                visitor,
                field if meant else key,
                meant or visitor.names(key),
                deep + 1,
            )
            for key, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [_visit(one, visitor, field, meant, deep + 1) for one in value]
    if value is None or isinstance(value, bool) or (not meant and visitor.keeps(field)):
        return value
    if meant:
        return visitor.value(field, value)
    return visitor.text(value) if isinstance(value, str) else value


def _is_lines(text: str, *, whole: bool) -> bool:
    """Return whether text is one JSON value a line, at least two of them."""
    lines = text.splitlines()
    complete = [one for one in (lines if whole else lines[:-1]) if one.strip()]
    if len(complete) < 2:
        return False
    try:
        for one in complete[:2]:
            json.loads(one)
    except (ValueError, RecursionError):
        return False
    return True


def _json(file: BinaryIO, visitor: Visitor, out: BinaryIO) -> None:
    data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise UnreadableError("too large to be read whole")
    value = visit(json.loads(data), visitor)
    out.write(json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "replace") + b"\n")


def _jsonl(file: BinaryIO, visitor: Visitor, out: BinaryIO) -> None:
    for line in file:
        if line.strip():
            value = visit(json.loads(line), visitor)
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            out.write(text.encode("utf-8", "replace"))
        out.write(b"\n")


def _custody(file: BinaryIO, visitor: Visitor, out: BinaryIO) -> None:
    """Write a custody log; from the first line that changes on, no digest of a line is shown.

    A digest without salt would let anyone try names until one fits.
    """
    cut = changed = False
    for line in file:
        visitor.changed = False
        value = visit(json.loads(line), visitor)
        if cut:
            value["previous"] = CUT
        if visitor.changed or cut:
            cut = changed = True
            shown = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
            out.write(shown.encode("utf-8", "replace") + b"\n")
        else:
            out.write(line)
    visitor.changed = changed


def _text(file: BinaryIO, visitor: Visitor, out: BinaryIO) -> None:
    out.writelines(visitor.text(line.decode("utf-8")).encode() for line in file)


def _csv(file: BinaryIO, visitor: Visitor, out: BinaryIO) -> None:
    lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    first = lines.readline()
    delimiter = max(",;\t|", key=first.count)
    (names,) = csv.reader([first], delimiter=delimiter, strict=True)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(visitor.key(name) for name in names)
    meant = [visitor.names(name.strip()) for name in names]
    for row in csv.reader(lines, delimiter=delimiter, strict=True):
        if any(meant[len(row) :]) or len(row) > len(names):
            raise UnreadableError("a line has not the columns of the first")
        cells = zip(names, meant, row, strict=False)
        writer.writerow(
            visitor.value(name, cell) if is_meant and cell else visitor.text(cell)
            for name, is_meant, cell in cells
        )
        out.write(text.getvalue().encode())
        text.seek(0)
        text.truncate()
    lines.detach()
    out.write(text.getvalue().encode())


def _parquet(file: BinaryIO, visitor: Visitor, out: BinaryIO) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise MissingExtra("case", for_="redaction of Parquet") from error
    try:
        with pq.ParquetFile(file) as source:
            fields = [pa.field(visitor.key(one.name), _type(pa, one, visitor))
                      for one in source.schema_arrow]  # fmt: skip
            schema = pa.schema(fields)
            with pq.ParquetWriter(out, schema, compression="zstd") as target:
                for batch in source.iter_batches():
                    arrays = [
                        _column(pa, batch.column(place), batch.schema[place], field.type, visitor)
                        for place, field in enumerate(schema)
                    ]
                    target.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    except pa.ArrowException as error:
        raise UnreadableError(str(error)) from error


def _type(pa: Any, field: Any, visitor: Visitor) -> Any:
    kind = field.type
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        raise UnreadableError(f"column {field.name} holds bytes")
    if visitor.names(field.name) or types.is_nested(kind):
        return pa.string()  # what is nested is written as JSON
    return kind


def _column(pa: Any, column: Any, field: Any, kind: Any, visitor: Visitor) -> Any:
    meant = visitor.names(field.name)
    values = list(_values(column, field, meant, visitor)) if meant or kind == pa.string() else None
    if values is None and not pa.types.is_large_string(kind):
        return column if column.type == kind else column.cast(kind)
    if values is None:
        values = list(_values(column, field, meant, visitor))
    return pa.array(values, kind)


def _values(column: Any, field: Any, meant: bool, visitor: Visitor) -> Iterator[str | None]:
    for one in column.to_pylist():
        if isinstance(one, list | dict | tuple):
            value = visit(one, visitor, field.name, meant=meant)
            yield json.dumps(value, ensure_ascii=False, default=str)
        elif one is None:
            yield None
        else:
            text = one if isinstance(one, str) else str(one)
            yield str(visitor.value(field.name, text)) if meant else visitor.text(text)
