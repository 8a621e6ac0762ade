"""Tar archives in every dialect tarfile writes."""

import io
import tarfile

import pytest

from casemate.formats.budget import Budget
from casemate.formats.seen import Part, Trouble
from casemate.formats.source import BytesSource
from casemate.formats.tar import is_tar, read

LONG = "d/" * 90 + "long-name.bin"
CONTENTS = [("a.txt", b"hello"), ("b.bin", bytes(range(256)) * 5), (LONG, b"x" * 513), ("e", b"")]


def made(form):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in CONTENTS:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def walk(data):
    seen = list(read(BytesSource(data), Budget(len(data))))
    parts = [(s.name, s.source.read(0, s.source.size)) for s in seen if isinstance(s, Part)]
    return parts, [s.rule for s in seen if isinstance(s, Trouble)], seen


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_ordinary_archives(form):
    data = made(form)
    parts, troubles, _ = walk(data)
    assert is_tar(BytesSource(data))
    assert parts == [pair for pair in CONTENTS if pair[1]]
    assert troubles == []


def test_pax_size_overrides_the_header():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a")
        info.size = 0
        info.pax_headers = {"size": "5", "path": "b"}
        archive.addfile(info)
    data = out.getvalue()[: 3 * 512] + b"HELLO".ljust(512, b"\0") + bytes(1024)
    assert walk(data)[0] == [("b", b"HELLO")]


@pytest.mark.parametrize("length", [1200, 1700])
def test_cut_off_archives_are_damaged(length):
    assert walk(made(tarfile.GNU_FORMAT)[:length])[1] == ["format-malformed"]


@pytest.mark.parametrize("data", [b"", bytes(1024), b"a" * 512, b"text\n" * 200])
def test_other_bytes_are_no_archive(data):
    assert not is_tar(BytesSource(data))
