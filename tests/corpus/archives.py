"""Samples of the rules about archives and compressed streams."""

import bz2
import gzip
import io
import tarfile
import zlib

from tests.corpus.inert import HARMLESS, PROTOCOL_4
from tests.corpus.samples import Sample
from tests.corpus.zips import Member, zipped

PLAIN = zipped(Member("a.pkl", HARMLESS))
LINK = 0o120777


def tarred(*members):
    """Return a tar of (name, data or TarInfo changes)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, given in members:
            info = tarfile.TarInfo(name)
            data = given if isinstance(given, bytes) else b""
            info.size = len(data)
            for key, value in ({} if isinstance(given, bytes) else given).items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def nested(depth, inner=HARMLESS):
    for _ in range(depth):
        inner = gzip.compress(inner, mtime=0)
    return inner


def two_directories():
    """Python finds one directory by counting back, others the one the record points to."""
    first = zipped(Member("clean.pkl", HARMLESS))
    body, directory = first[: first.find(b"PK\x01\x02")], first[first.find(b"PK\x01\x02") : -22]
    other = zipped(Member("other.pkl", HARMLESS))
    other_body = other[: other.find(b"PK\x01\x02")]
    other_directory = bytearray(other[other.find(b"PK\x01\x02") : -22])
    other_directory[42:46] = len(body).to_bytes(4, "little")
    end = bytearray(first[-22:])
    both = body + other_body
    end[16:20] = len(both).to_bytes(4, "little")
    return both + bytes(other_directory) + directory + bytes(end)


def overlapping():
    first = Member("a.pkl", HARMLESS)
    return zipped(first, Member("b.pkl", HARMLESS, listed=False), first._replace(
        name="a.pkl2", central={"at": 4, "name": b"c.pkl"}, local={"name": b"c.pkl"}
    ))  # fmt: skip


def quines():
    """Two entries over one header."""
    data = HARMLESS * 3
    return zipped(Member("a.pkl", data), Member("a.pkl", data, central={"at": 0}))


SAMPLES = [
    Sample(
        "archive-bomb",
        lambda: gzip.compress(bytes(40 << 20), 9),
        lambda: gzip.compress(bytes(1 << 20)),
        note="gzip",
    ),
    Sample(
        "archive-bomb",
        lambda: bz2.compress(bytes(40 << 20)),
        lambda: bz2.compress(HARMLESS),
        note="bzip2",
    ),
    Sample(
        "archive-bomb",
        lambda: zipped(Member("a", bytes(40 << 20), deflate=True)),
        lambda: PLAIN,
        note="zip",
    ),
    Sample(
        "archive-bomb",
        lambda: zlib.compress(bytes(40 << 20), 9),
        lambda: zlib.compress(HARMLESS),
        note="zlib",
    ),
    Sample("archive-too-deep", lambda: nested(10), lambda: nested(5)),
    Sample(
        "archive-path-traversal",
        lambda: zipped(Member("../../a.py", b"")),
        lambda: zipped(Member("a/../b.py", b"")),
    ),
    Sample(
        "archive-path-traversal",
        lambda: zipped(Member("C:\\a.py", b"")),
        lambda: zipped(Member("c/a.py", b"")),
        note="drive",
    ),
    Sample(
        "archive-path-traversal",
        lambda: tarred(("/etc/a", b"x")),
        lambda: tarred(("./etc/a", b"x")),
        note="tar",
    ),
    Sample(
        "archive-link-escapes",
        lambda: zipped(Member("l", b"/etc", mode=LINK)),
        lambda: zipped(Member("l", b"a.pkl", mode=LINK)),
    ),
    Sample(
        "archive-link-escapes",
        lambda: tarred(("d/l", {"type": tarfile.SYMTYPE, "linkname": "../../x"})),
        lambda: tarred(("d/l", {"type": tarfile.SYMTYPE, "linkname": "../x"})),
        note="tar",
    ),
    Sample(
        "archive-device-member",
        lambda: tarred(("p", {"type": tarfile.FIFOTYPE})),
        lambda: tarred(("p", b"x")),
    ),
    Sample(
        "archive-duplicate-member",
        lambda: zipped(Member("a.pkl", HARMLESS), Member("a.pkl", PROTOCOL_4)),
        lambda: zipped(Member("a.pkl", HARMLESS), Member("b.pkl", HARMLESS)),
    ),
    Sample(
        "archive-duplicate-member",
        lambda: tarred(("a", b"x"), ("a", b"y")),
        lambda: tarred(("a", b"x"), ("b", b"y")),
        note="tar",
    ),
    Sample(
        "archive-encrypted",
        lambda: zipped(
            Member(
                "a.pkl", b"\x93" * 40, local={"flags": 1, "crc": 7}, central={"flags": 1, "crc": 7}
            )
        ),
        lambda: PLAIN,
    ),
    Sample(
        "archive-unreadable-member",
        lambda: zipped(Member("a.pkl", b"x" * 40, local={"method": 9}, central={"method": 9})),
        lambda: PLAIN,
    ),
    Sample(
        "archive-hidden-data",
        lambda: b"\x07" * 30 + PLAIN,
        lambda: b"#!/usr/bin/env python\n" + PLAIN,
        note="before",
    ),
    Sample(
        "archive-hidden-data",
        lambda: PLAIN + b"\x07" * 30,
        lambda: PLAIN + bytes(30),
        note="behind",
    ),
    Sample(
        "archive-hidden-data",
        lambda: zipped(Member("a", b"x"), between=b"\x07" * 30),
        lambda: zipped(Member("a", b"x"), comment=b"made by hand"),
        note="between",
    ),
    Sample(
        "archive-hidden-data",
        lambda: gzip.compress(HARMLESS) + b"\x07" * 30,
        lambda: gzip.compress(HARMLESS) * 2,
        note="gzip",
    ),
    Sample(
        "archive-hidden-data",
        lambda: tarred(("a", b"x")) + b"\x07" * 600,
        lambda: tarred(("a", b"x")),
        note="tar",
    ),
    Sample(
        "zip-readers-disagree",
        lambda: zipped(Member("a.pkl", HARMLESS, local={"name": b"a.txt"})),
        lambda: PLAIN,
        note="name",
    ),
    Sample(
        "zip-readers-disagree",
        lambda: zipped(Member("a.pkl", HARMLESS, central={"flags": 1})),
        lambda: PLAIN,
        note="encryption flag",
    ),
    Sample(
        "zip-readers-disagree",
        lambda: zipped(Member("a.pkl", HARMLESS, central={"flags": 0x20}, local={"flags": 0x20})),
        lambda: PLAIN,
        note="patch flag",
    ),
    Sample(
        "zip-readers-disagree",
        lambda: zipped(Member("a.pkl", HARMLESS, local={"size": 9, "compressed": 9})),
        lambda: PLAIN,
        note="size",
    ),
    Sample("zip-readers-disagree", two_directories, lambda: PLAIN, note="two directories"),
    Sample(
        "zip-readers-disagree",
        lambda: zipped(Member("a.pkl", HARMLESS), count=0),
        lambda: PLAIN,
        note="count",
    ),
    Sample(
        "zip-hidden-member",
        lambda: zipped(Member("a.pkl", HARMLESS), Member("b.pkl", PROTOCOL_4, listed=False)),
        lambda: PLAIN,
    ),
    Sample(
        "zip-overlapping-members",
        quines,
        lambda: zipped(Member("a.pkl", HARMLESS), Member("b.pkl", HARMLESS)),
    ),
    Sample(
        "zip-wrong-checksum",
        lambda: zipped(Member("a.pkl", HARMLESS, local={"crc": 5}, central={"crc": 5})),
        lambda: PLAIN,
    ),
    Sample(
        "zip-wrong-size",
        lambda: zipped(
            Member("a.pkl", HARMLESS, deflate=True, local={"size": 9}, central={"size": 9})
        ),
        lambda: zipped(Member("a.pkl", HARMLESS, deflate=True)),
    ),
    Sample(
        "zip-spanned",
        lambda: b"PK\x07\x08" + zipped(Member("a.pkl", HARMLESS)),
        lambda: PLAIN,
        note="marker",
    ),
    Sample(
        "zip-spanned",
        lambda: zipped(Member("a.pkl", HARMLESS), end={"disk": 3}),
        lambda: PLAIN,
        note="disk",
    ),
]
