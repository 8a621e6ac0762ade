"""Samples of the rules about what could not be read, or is not what it is called."""

import json

from tests.corpus.archives import tarred
from tests.corpus.inert import HARMLESS, PROTOCOL_0
from tests.corpus.models import SAFE, safetensors
from tests.corpus.protobuf import model
from tests.corpus.samples import Sample
from tests.corpus.zips import Member, zipped

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(40))


def long_header():
    return safetensors(b'{"a":"' + b"x" * (9 << 20) + b'"}')


SAMPLES = [
    Sample("format-unknown", lambda: b"\x01\xfe" + bytes(range(256)), lambda: PNG),
    Sample(
        "format-unknown",
        lambda: b"text and then" + bytes(range(256)),
        lambda: "text, naïve".encode("latin-1"),
        note="text",
    ),
    Sample(
        "format-not-read", lambda: b"7z\xbc\xaf\x27\x1c" + bytes(60), lambda: HARMLESS, note="7z"
    ),
    Sample(
        "format-not-read",
        lambda: b"GGUF\x03\x00\x00\x00" + bytes(60),
        lambda: json.dumps({"GGUF": 1}).encode(),
        note="gguf",
    ),
    Sample(
        "format-malformed",
        lambda: zipped(Member("a.pkl", HARMLESS))[:-30],
        lambda: zipped(Member("a.pkl", HARMLESS)),
        note="zip",
    ),
    Sample(
        "format-malformed",
        lambda: tarred(("a", bytes(9000)))[:4000],
        lambda: tarred(("a", bytes(9000))),
        note="tar",
    ),
    Sample("format-malformed", lambda: model() + b"\x3a\x7fabc", model, note="onnx"),
    Sample("format-disguised", lambda: HARMLESS, lambda: b"weights: 1\n", name="sample.txt"),
    Sample(
        "format-disguised", lambda: PROTOCOL_0, lambda: safetensors(SAFE), name="sample.safetensors"
    ),
    Sample("scan-incomplete", long_header, lambda: safetensors(SAFE), note="header"),
    Sample(
        "format-not-as-named",
        lambda: b"7z\xbc\xaf\x27\x1c" + bytes(60),
        lambda: HARMLESS,
        name="sample.pth",
    ),
]
