"""Formats are told by content, and by content only."""

import gzip
import io
import pickle

import joblib
import numpy as np
import pytest
import torch

from casemate.errors import CatalogError
from casemate.formats.recognise import _magic, recognise
from casemate.formats.source import BytesSource
from tests.corpus.inert import HARMLESS, PROTOCOL_0, PROTOCOL_4
from tests.corpus.models import SAFE, archive, npy, real_onnx, safetensors
from tests.corpus.zips import Member, zipped


def dumped(write, *args, **how):
    out = io.BytesIO()
    write(*args, out, **how)
    return out.getvalue()


OLD = {"_use_new_zipfile_serialization": False}
SAMPLES = {
    "pickle": [HARMLESS, PROTOCOL_0, PROTOCOL_4, *(pickle.dumps([1, "a"], p) for p in range(6))],
    "torch-zip": [archive(), dumped(torch.save, {"a": torch.zeros(2)})],
    "torch-legacy": [
        dumped(torch.save, {"a": torch.zeros(2)}, pickle_protocol=protocol, **OLD)
        for protocol in (2, 3, 4, 5)
    ],
    "zip": [zipped(), zipped(Member("a", b"x")), b"MZ prefix" + zipped(Member("a", b"x"))],
    "numpy": [npy("{}")],
    "safetensors": [safetensors(SAFE), safetensors({}, b""), safetensors(SAFE, length=1 << 60)],
    "onnx": [real_onnx()],
    "joblib-zfile": [b"ZF0x28".ljust(21) + b"x\x9c"],
    "text": [b"hello\n", "größe".encode(), "größe".encode("latin-1") * 2 + b" and more", b"{}",
             "\ufeffwide".encode("utf-16-le"), b"cat\ndog\n", b"import os\n", b"1,2\n", b"N.B."],
    "empty": [b""],
    "zeros": [bytes(5000)],
    "image": [b"\x89PNG\r\n\x1a\n" + bytes(20), b"\xff\xd8\xff\xe0" + bytes(20), b"RIFF1234WEBP"],
    "idx": [b"\0\0\x08\x01\0\0\0\x03abc"],
    "hdf5": [b"\x89HDF\r\n\x1a\n" + bytes(90), bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(90)],
    "gguf": [b"GGUF\x03\0\0\0" + bytes(20)],
    "native-code": [b"\x7fELF\x02\x01\x01" + bytes(60)],
    "python-bytecode": [b"\xa7\r\r\n" + bytes(12) + b"\xe3" + bytes(40)],
}  # fmt: skip
CASES = [(ident, data) for ident, samples in SAMPLES.items() for data in samples]


@pytest.mark.parametrize(("ident", "data"), CASES)
def test_told_by_content(ident, data):
    found = [entry.id for entry in recognise(BytesSource(data, "misleading.png"))]
    assert found == [ident] or (data.startswith(b"MZ") and "zip" in found)


def test_joblib_is_what_its_compressor_is():
    for compress, ident in (("zlib", "zlib"), ("gzip", "gzip"), ("bz2", "bzip2"), ("lzma", "lzma"),
                            ("xz", "xz"), ("lz4", "lz4")):  # fmt: skip
        data = dumped(joblib.dump, np.arange(9.0), compress=(compress, 3))
        assert [entry.id for entry in recognise(BytesSource(data))] == [ident]


@pytest.mark.parametrize("data", [b"\x01\x02\x03", b"\xfe" * 50, b"text\0binary"])
def test_the_rest_is_unknown(data):
    assert recognise(BytesSource(data)) == ()


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (HARMLESS, []),
        (PROTOCOL_4, ["pickle"]),
        (PROTOCOL_0, ["pickle"]),
        (zipped(Member("a", b"x")), ["zip"]),
        (gzip.compress(b"x", mtime=0), []),
        (b"PK\x03\x04" + bytes(60), []),
        (bytes(100), []),
    ],
)
def test_opaque_bytes_need_stronger_signs(data, want):
    assert [entry.id for entry in recognise(BytesSource(data), opaque=True)] == want


@pytest.mark.parametrize("text", ["zz", "5000:00", "", "x:00"])
def test_wrong_magic_in_an_entry_is_a_catalog_error(text):
    with pytest.raises(CatalogError):
        _magic("made-up", text)
