"""Safetensors files of the library itself are clean, to the byte."""

import torch
from safetensors.torch import save

from casemate.formats.budget import Budget
from casemate.formats.safetensors import is_safetensors, read
from casemate.formats.seen import Part, Span, Trouble
from casemate.formats.source import BytesSource
from tests.corpus.models import SAFE, entry, safetensors

DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16,
    torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.complex64,
]  # fmt: skip


def walk(data):
    return list(read(BytesSource(data), Budget(len(data))))


def test_every_type_of_the_library():
    tensors = {str(dtype): torch.zeros(3, 2).to(dtype) for dtype in DTYPES}
    tensors |= {"scalar": torch.tensor(1.0), "none": torch.zeros(0, 4)}
    data = save(tensors, metadata={"format": "pt"})
    assert is_safetensors(BytesSource(data))
    seen = walk(data)
    assert all(isinstance(each, Span) for each in seen)
    assert sum(span.end - span.start for span in seen) == len(data)


def test_holes_are_handed_on():
    data = safetensors({"b": entry(4, 8)}, b"hole" + bytes(4))
    (hole,) = [seen for seen in walk(data) if isinstance(seen, Part)]
    assert hole.source.read(0, 9) == b"hole"


def test_long_names_and_many_tensors():
    header = {
        f"layer.{index}.{'w' * 50}": entry(4 * index, 4 * index + 4) for index in range(20_000)
    }
    assert not [
        seen for seen in walk(safetensors(header, bytes(80_000))) if isinstance(seen, Trouble)
    ]


def test_deep_json_is_refused_without_recursion():
    seen = walk(safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"))
    assert [each.rule for each in seen if isinstance(each, Trouble)] == [
        "safetensors-header-invalid"
    ]


def test_text_is_not_safetensors():
    assert not is_safetensors(BytesSource(b'"aaaaa":{"dtype": 1}'))
    assert is_safetensors(BytesSource(safetensors(SAFE)))
