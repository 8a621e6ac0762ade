"""A zip writer that writes whatever it is told, for archives no ordinary tool would make."""

import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Member(NamedTuple):
    """One member; `local` and `central` override what each header says."""

    name: str
    data: bytes
    deflate: bool = False
    local: Mapping[str, Any] = MappingProxyType({})
    central: Mapping[str, Any] = MappingProxyType({})
    listed: bool = True
    mode: int = 0


def zipped(*members, before=b"", between=b"", behind=b"", comment=b"", end=None, count=None):
    """Return an archive; offsets are counted from the start of the archive, without `before`."""
    out = bytearray()
    entries = []
    for member in members:
        packed = member.data
        if member.deflate:
            deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = deflater.compress(member.data) + deflater.flush()
        truth = {
            "name": member.name.encode(),
            "method": 8 if member.deflate else 0,
            "flags": 0,
            "crc": zlib.crc32(member.data),
            "compressed": len(packed),
            "size": len(member.data),
        }
        local, central = truth | member.local, truth | member.central
        if member.listed:
            entries.append((central, member.central.get("at", len(out)), member.mode))
        out += struct.pack(
            "<4s5H3I2H",
            b"PK\x03\x04",
            20,
            local["flags"],
            local["method"],
            0,
            0x21,
            local["crc"],
            local["compressed"],
            local["size"],
            len(local["name"]),
            0,
        )
        out += local["name"] + packed + between
    start = len(out)
    for central, at, mode in entries:
        out += struct.pack(
            "<4s6H3I5H2I",
            b"PK\x01\x02",
            0x0314,
            20,
            central["flags"],
            central["method"],
            0,
            0x21,
            central["crc"],
            central["compressed"],
            central["size"],
            len(central["name"]),
            0,
            0,
            0,
            0,
            mode << 16,
            at,
        )
        out += central["name"]
    truth = {"disk": 0, "start": 0, "here": len(entries), "total": len(entries)}
    truth |= {"size": len(out) - start, "offset": start}
    if count is not None:
        truth |= {"here": count, "total": count}
    out += struct.pack("<4s4H2IH", b"PK\x05\x06", *(truth | (end or {})).values(), len(comment))
    return before + bytes(out) + comment + behind
