"""An Event as one flat row: the form it has in the journal, in Parquet and in SQL.

The row is the fields of Event in their order with those of Measures in the place of `measures`.
Its MessagePack is what the journal keeps and what the log's hashes are taken over, so that the
proof of an event does not depend on how a segment is compressed.
"""

from __future__ import annotations

import hashlib
import types
import typing
from itertools import repeat
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec.structs import astuple

from casemate.errors import StoreError
from casemate.records.event import Event, Measures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Row = tuple[Any, ...]

_EVENT = Event.__struct_fields__
_MEASURES = Measures.__struct_fields__
_AT = _EVENT.index("measures")
_END = _AT + len(_MEASURES)
_HINTS = {**typing.get_type_hints(Event), **typing.get_type_hints(Measures)}
COLUMNS: tuple[str, ...] = (*_EVENT[:_AT], *_MEASURES, *_EVENT[_AT + 1 :])
"""Names of the columns, in the order of a row."""
WRITER = COLUMNS.index("writer")
SEQUENCE = COLUMNS.index("sequence")
AT = COLUMNS.index("at")
KIND = COLUMNS.index("kind")
ROWS = COLUMNS.index("rows")
NOTE = COLUMNS.index("note")
UNSIGNED = frozenset({"marks", "cluster"})
"""Columns of unsigned 64-bit numbers."""
_DEFAULTS = {
    field.name: field.default
    for cls in (Event, Measures)
    for field in msgspec.structs.fields(cls)
    if field.name != "measures"
}


def _plain(value: Any) -> Any:
    """Turn a numpy scalar into a number."""
    return methodcaller("item")(value)


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_decoder: msgspec.msgpack.Decoder[Row] = msgspec.msgpack.Decoder(
    tuple.__class_getitem__(tuple(_HINTS[name] for name in COLUMNS))
)
_loose: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(list[Any])


def row(event: Event) -> Row:
    """Return the event as a flat row."""
    body = astuple(event)
    return body[:_AT] + astuple(body[_AT]) + body[_AT + 1 :]


def event(row: Row) -> Event:
    """Return the event of a flat row."""
    return Event(
        measures=Measures(**dict(zip(_MEASURES, row[_AT:_END], strict=True))),
        **dict(zip(_EVENT[:_AT], row, strict=False)),
        **dict(zip(_EVENT[_AT + 1 :], row[_END:], strict=True)),
    )


def following(row: Row) -> int:
    """Return the sequence that follows a row: a gap stands in the place of `rows` events."""
    return int(row[SEQUENCE]) + (max(1, row[ROWS]) if row[KIND] == "gap" else 1)


def pack(event: Event) -> bytes:
    """Return the MessagePack of an event's row.

    Raises:
        TypeError: A value that no column takes.
        OverflowError: A number beyond 64 bits.
        UnicodeEncodeError: Text that is not Unicode.
    """
    body = astuple(event)
    return _encoder.encode(body[:_AT] + astuple(body[_AT]) + body[_AT + 1 :])


def pack_row(row: Row) -> bytes:
    """Return the canonical MessagePack of a row that was unpacked or read from a segment."""
    return _encoder.encode(row)


def unpack(payload: bytes | memoryview, names: Sequence[str] = COLUMNS) -> Row:
    """Return the row of a payload, its types checked.

    Args:
        payload: MessagePack array.
        names: The columns it was written with, where they are not today's.

    Raises:
        StoreError: Not a row of these columns.
    """
    try:
        if names is COLUMNS or tuple(names) == COLUMNS:
            return _decoder.decode(payload)
        given = dict(zip(names, _loose.decode(payload), strict=True))
        values = [given.get(name, _DEFAULTS[name]) for name in COLUMNS]
        return _decoder.decode(_encoder.encode(values))
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise StoreError(f"not a row of events: {error}") from error


def schema() -> Any:
    """Return the Arrow schema of the columns."""
    import pyarrow as pa

    return pa.schema([pa.field(name, _arrow(pa, name, _HINTS[name])) for name in COLUMNS])


def table(rows: Sequence[Row]) -> Any:
    """Return rows as an Arrow table."""
    import pyarrow as pa

    fields = schema()
    if not rows:
        return fields.empty_table()
    arrays = []
    for values, field in zip(zip(*rows, strict=True), fields, strict=True):
        # Most columns say the same in every row; to see that is cheaper than to convert them.
        # Not zeros, whose signs compare equal, nor NaN, which equals nothing.
        first = values[0]
        if first != 0.0 and values.count(first) == len(values):
            arrays.append(pa.repeat(pa.scalar(first, field.type), len(values)))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=fields)


def rows(batch: Any, names: Sequence[str] = COLUMNS) -> Iterator[Row]:
    """Yield the rows of an Arrow record batch; columns it does not have are at their default."""
    there = set(batch.schema.names)
    columns = [
        _values(batch.column(name), _DEFAULTS.get(name))
        if name in there
        else repeat(_DEFAULTS[name], batch.num_rows)
        for name in names
    ]
    return zip(*columns, strict=True)


def form(names: Sequence[str] = COLUMNS) -> str:
    """Return 16 hex digits that stand for the columns of a row and their order."""
    return hashlib.sha256(",".join(names).encode()).hexdigest()[:16]


def _values(column: Any, default: Any) -> Iterable[Any]:
    if column.null_count == len(column):
        return repeat(None if default is msgspec.NODEFAULT else default, len(column))
    values: list[Any] = column.to_pylist()
    if str(column.type).startswith("list"):
        return map(tuple, values)
    if column.null_count and default not in (None, msgspec.NODEFAULT):
        # A query over segments of several forms fills what one of them lacks with nulls.
        return [default if value is None else value for value in values]
    return values


def _arrow(pa: Any, name: str, hint: Any) -> Any:
    kinds = {int: pa.uint64() if name in UNSIGNED else pa.int64(), float: pa.float64()}
    kinds |= {str: pa.string(), bool: pa.bool_()}
    origin = typing.get_origin(hint)
    if origin is tuple:
        return pa.list_(kinds[typing.get_args(hint)[0]])
    if origin is Literal:
        return pa.string()
    if origin is types.UnionType:
        return kinds[next(part for part in typing.get_args(hint) if part is not type(None))]
    return kinds[hint]
