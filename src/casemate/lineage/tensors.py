"""Tensors of a weights file, read without loading the model: safetensors, npz, npy, torch archives.

A torch archive's index is a pickle. It is read by an unpickler that knows five names, each of which
it replaces by a function of this module, and refuses all others; nothing of torch is imported.
Sources: the safetensors format; torch/serialization.py and torch/_utils.py (`_rebuild_tensor_v2`).
"""

from __future__ import annotations

import collections
import io
import json
import math
import pickle
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import FormatError, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

TENSORS = 20_000
HEADER = 64 << 20
"""Bytes of an index."""
MEMBER = 4 << 30
"""Bytes of one tensor."""
_SAFE = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bf16", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "i1", "U8": "u1",
}  # fmt: skip
_STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "bf16",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1",
    "ByteStorage": "u1",
}  # fmt: skip
_DAMAGED = (
    OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError,
    MemoryError, RecursionError, NotImplementedError, RuntimeError, struct.error, zlib.error,
    zipfile.BadZipFile, pickle.UnpicklingError, SyntaxError,
)  # fmt: skip


class Tensor(NamedTuple):
    """One array of numbers and its name."""

    name: str
    values: np.ndarray[Any, Any]


def tensors_of(path: Path) -> Iterator[Tensor]:
    """Yield the numeric tensors of a file, one in memory at a time.

    Raises:
        FormatError: It is none of the formats read, or damaged.
        LimitExceeded: It holds too much.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
        if head[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
                index = next((name for name in names if name.endswith("/data.pkl")), None)
                yield from _npz(archive) if index is None else _torch(archive, index)
        elif head[:6] == b"\x93NUMPY":
            yield Tensor(path.stem, _npy(path.read_bytes()))
        elif head[8:9] == b"{":
            yield from _safetensors(path)
        else:
            raise FormatError(f"{path.name} holds no tensors in a form that is read")
    except _DAMAGED as error:
        raise FormatError(f"{path.name} cannot be read as tensors: {error}"[:300]) from error


def _safetensors(path: Path) -> Iterator[Tensor]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(HEADER, size):
            raise LimitExceeded(f"{path.name}: the header is too long")
        header = json.loads(file.read(length))
        entries = [(name, each) for name, each in header.items() if name != "__metadata__"]
        _few(len(entries))
        for name, each in entries:
            kind = _SAFE.get(each["dtype"])
            begin, end = each["data_offsets"]
            if kind is None or not 0 <= begin <= end <= size - 8 - length or end - begin > MEMBER:
                continue
            file.seek(8 + length + begin)
            yield Tensor(name, _shaped(file.read(end - begin), kind, each["shape"]))


def _npz(archive: zipfile.ZipFile) -> Iterator[Tensor]:
    members = [one for one in archive.infolist() if one.filename.endswith(".npy")]
    if not members:
        raise FormatError("the archive holds no arrays")
    _few(len(members))
    for one in members:
        raw = _member(archive, one)
        try:
            yield Tensor(one.filename.removesuffix(".npy"), _npy(raw))
        except ValueError:
            continue  # objects or text: no weights


def _npy(raw: bytes) -> np.ndarray[Any, Any]:
    import numpy as np

    found = np.load(io.BytesIO(raw), allow_pickle=False)
    if found.dtype.kind not in "fiub":
        raise ValueError(f"of type {found.dtype}")
    return np.asarray(found)


class _Stored(NamedTuple):
    key: str
    kind: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _torch(archive: zipfile.ZipFile, index: str) -> Iterator[Tensor]:
    import numpy as np

    folder = index.removesuffix("data.pkl")
    raw = _member(archive, archive.getinfo(index), HEADER)
    found = list(_named(_Index(io.BytesIO(raw)).load(), "", 0))
    _few(len(found))
    for name, stored in found:
        data = _member(archive, archive.getinfo(f"{folder}data/{stored.key}"))
        flat = _flat(data, stored.kind)
        count = math.prod(stored.shape)
        reach = stored.offset + sum(
            (size - 1) * step for size, step in zip(stored.shape, stored.stride, strict=True)
        )
        if not count or min(stored.offset, *stored.stride, 0) < 0 or reach >= len(flat):
            continue
        if count > len(flat):
            continue  # one number shown many times: no weights
        step = flat.strides[0]
        view = np.lib.stride_tricks.as_strided(
            flat[stored.offset :], stored.shape, tuple(step * one for one in stored.stride)
        )
        yield Tensor(name, np.ascontiguousarray(view))


class _Index(pickle.Unpickler):
    """Reads an archive's index; every name it knows is a harmless one of ours."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (
            ("torch._utils", "_rebuild_tensor_v2"),
            ("torch._utils", "_rebuild_tensor"),
        ):
            return _rebuild
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"it would import {module}.{name}"[:200])

    def persistent_load(self, pid: Any) -> Any:
        _, kind, key, _, _ = pid
        if not isinstance(kind, str) or not isinstance(key, str):
            raise pickle.UnpicklingError("a storage of no known type")
        return kind, key


def _rebuild(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _Stored:
    kind, key = storage
    numbers = [offset, *shape, *stride]
    if not all(type(one) is int and 0 <= one < 1 << 48 for one in numbers):
        raise pickle.UnpicklingError("a tensor of an impossible shape")
    if len(shape) != len(stride) or len(shape) > 16:
        raise pickle.UnpicklingError("a tensor of an impossible shape")
    return _Stored(key, kind, offset, tuple(shape), tuple(stride))


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _named(value: Any, name: str, depth: int) -> Iterator[tuple[str, _Stored]]:
    if isinstance(value, _Stored):
        yield name or "tensor", value
    elif depth < 12:
        if isinstance(value, dict):
            for key, each in value.items():
                yield from _named(each, f"{name}.{key}" if name else str(key), depth + 1)
        elif isinstance(value, list | tuple):
            for place, each in enumerate(value):
                yield from _named(each, f"{name}.{place}" if name else str(place), depth + 1)


def _member(archive: zipfile.ZipFile, one: zipfile.ZipInfo, most: int = MEMBER) -> bytes:
    if one.file_size > most or one.file_size > 1000 * max(one.compress_size, 1 << 16):
        raise LimitExceeded(f"{one.filename} unpacks to {one.file_size:,} bytes")
    with archive.open(one) as file:
        raw = file.read(one.file_size + 1)
    if len(raw) > one.file_size:
        raise LimitExceeded(f"{one.filename} is longer than it says")
    return raw


def _few(count: int) -> None:
    if count > TENSORS:
        raise LimitExceeded(f"more than {TENSORS:,} tensors")


def _flat(raw: bytes, kind: str) -> np.ndarray[Any, Any]:
    import numpy as np

    if kind == "bf16":
        half = np.frombuffer(raw[: len(raw) // 2 * 2], dtype="<u2").astype("<u4")
        return (half << 16).view("<f4")
    size = np.dtype(kind).itemsize
    return np.frombuffer(raw[: len(raw) // size * size], dtype=kind)


def _shaped(raw: bytes, kind: str, shape: list[int]) -> np.ndarray[Any, Any]:
    return _flat(raw, kind).reshape(shape)
