"""Every layout torch has written, made by torch itself."""

import io

import pytest
import torch

from casemate.formats.budget import Budget
from casemate.formats.recognise import recognise
from casemate.formats.seen import Part, Stream, Trouble
from casemate.formats.source import BytesSource
from casemate.formats.torch import read_legacy, read_zip
from tests.corpus.models import FORWARD, archive, script


def walk(reader, data):
    return list(reader(BytesSource(data), Budget(len(data))))


def saved(what, **how):
    out = io.BytesIO()
    torch.save(what, out, **how)
    return out.getvalue()


def test_storages_are_opaque_and_the_pickle_is_not():
    data = saved({"a": torch.zeros(4), "b": torch.ones(2)})
    parts = {seen.name: seen.opaque for seen in walk(read_zip, data) if isinstance(seen, Part)}
    assert {name for name, opaque in parts.items() if opaque} == {
        "archive/data/0",
        "archive/data/1",
    }
    assert parts["archive/data.pkl"] is False


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_legacy_layout_is_five_pickles_and_storages(protocol):
    data = saved(
        {"a": torch.zeros(4)}, _use_new_zipfile_serialization=False, pickle_protocol=protocol
    )
    seen = walk(read_legacy, data)
    assert sum(isinstance(each, Stream) for each in seen) == 5
    rest = seen[-1]
    assert isinstance(rest, Part)
    assert rest.opaque
    assert rest.end == len(data)


def test_script_and_export_are_recognised(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    out = io.BytesIO()
    torch.jit.save(torch.jit.script(net), out)
    assert [entry.id for entry in recognise(BytesSource(out.getvalue()))] == ["torch-zip"]
    assert not [seen for seen in walk(read_zip, out.getvalue()) if isinstance(seen, Trouble)]
    out = io.BytesIO()
    torch.export.save(torch.export.export(net, (torch.zeros(1, 2),)), out)
    assert [entry.id for entry in recognise(BytesSource(out.getvalue()))] == ["torch-zip"]


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ('torch.save(x, "a")', "torch-script-touches-files"),
        ('torch . save (x, "a")', "torch-script-touches-files"),
        ('annotate("torch.save(")', None),
        ("x  # torch.save(x)", None),
        ("ops.prim.data(x)", None),
        ("ops.strange.op(x)", "torch-script-custom-operator"),
    ],
)
def test_operators_in_program_text(code, rule):
    rules = [s.rule for s in walk(read_zip, script(FORWARD.format(code))) if isinstance(s, Trouble)]
    assert rules == ([rule] if rule else [])


def test_a_plain_archive_has_no_trouble():
    assert not [seen for seen in walk(read_zip, archive()) if isinstance(seen, Trouble)]
