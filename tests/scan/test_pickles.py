"""The pickle rules: what they fire on, what they leave alone, and what may not change a verdict."""

import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import logging
import pathlib
import pickle
import random
import re
import subprocess
import sys
import types
import zoneinfo

import pytest

from casemate.catalog.entries import Rule
from casemate.catalog.loader import entries
from casemate.formats.pickle import trace
from casemate.formats.source import BytesSource
from casemate.records.make import make
from casemate.records.severity import Severity
from casemate.records.target import Target
from casemate.scan.pickles import judge
from tests.corpus import pickles as corpus

TARGET = make(Target, kind="artifact", uri="model.pkl")


def findings(data, **more):
    return judge(trace(BytesSource(data)), target=TARGET, **more)


def rules(data):
    return {found.rule for found in findings(data)}


@pytest.mark.parametrize("sample", corpus.SAMPLES, ids=lambda sample: sample.rule)
def test_each_rule_fires_on_its_bad_sample_only(sample):
    assert sample.rule in rules(sample.bad)
    assert rules(sample.good) == set()


def test_every_pickle_rule_has_a_sample():
    known = {ident for ident in entries("rules", Rule) if ident.startswith("pickle-")}
    assert known == {sample.rule for sample in corpus.SAMPLES}


@pytest.mark.parametrize("bypass", corpus.STREAMS, ids=lambda each: f"{each.ref}: {each.what}")
def test_published_stream_tricks_are_seen_through(bypass):
    found = findings(bypass.data)
    assert bypass.rule in {each.rule for each in found}
    assert found[0].severity.at_least(Severity.IMPORTANT) or bypass.rule.endswith("unknown")


@pytest.mark.parametrize("gadget", corpus.GADGETS, ids=lambda gadget: f"{gadget[0]}: {gadget[2]}")
def test_published_gadgets_are_critical_in_every_spelling(gadget):
    _, module, name = gadget
    text = corpus.text_call(module, name, "x y")
    for data in (
        text,
        corpus.call(module, name, "x y"),
        b"(S'x y'\ni%b\n%b\n." % (module.encode(), name.encode()),
    ):
        assert findings(data)[0].severity is Severity.CRITICAL


def test_a_call_before_the_break_is_reported_and_the_trace_is_incomplete():
    for end in (b"", b"\xff", b"0000.", b"h\x63"):
        found = trace(BytesSource(corpus.call("os", "system", "true", end=b"R") + end))
        assert not found.complete or found.troubles
        assert judge(found, target=TARGET)[0].rule == "pickle-runs-shell"


class Colour(enum.Enum):
    RED = 1


ORDINARY = {
    **corpus.BENIGN,
    "datetime": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "decimal": decimal.Decimal("1.50"),
    "fraction": fractions.Fraction(1, 3),
    "path": pathlib.PurePosixPath("/a/b"),
    "regex": re.compile("a.b", re.IGNORECASE),
    "zone": zoneinfo.ZoneInfo("UTC"),
    "namespace": types.SimpleNamespace(a=1),
    "random": random.Random(1),
    "logger": logging.getLogger("a"),
    "address": ipaddress.ip_network("10.0.0.0/8"),
    "exception": ValueError("eval(1)"),
    "none type": type(None),
    "iterator": iter([1, 2]),
    "generic": list[int],
    "big number": 10**60,
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("what", ORDINARY)
def test_ordinary_objects_are_clean(what, protocol):
    data = pickle.dumps(ORDINARY[what], protocol)
    found = trace(BytesSource(data))
    assert found.complete
    assert found.end == len(data)
    assert judge(found, target=TARGET) == []


def test_a_class_of_ones_own_is_not_clean_and_does_not_fail():
    (found,) = findings(pickle.dumps(Colour.RED, 4))
    assert found.severity is Severity.MODERATE


def test_trust_covers_unknown_names_and_nothing_else():
    name = "acme.tools.run"
    assert findings(corpus.call("acme.tools", "run", "x"), trusted={name: "ours, reviewed"}) == []
    assert findings(corpus.call("os", "system", "x"), trusted={"os.system": "no"})


def test_a_finding_shows_what_would_run():
    data = b"\x80\x04" + corpus.named("subprocess", "run") + b"]" + corpus.short("id") + b"a}\x86R."
    (found,) = (each for each in findings(data) if each.rule == "pickle-runs-shell")
    assert "subprocess.run(['id'], {})" in found.evidence[0].excerpt
    assert found.location.offset == data.index(b"R.")
    assert found.evidence[0].at is None


def test_fingerprints_do_not_depend_on_place():
    one = corpus.call("os", "system", "x")
    other = b"\x80\x04N0" + one[2:]
    assert findings(one)[0].fingerprint == findings(other)[0].fingerprint


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("collections", "os.system"),
        ("collections", "abc.sys.modules"),
        ("uuid", "os.system"),
        ("numpy", "f2py.crackfortran.getlincoef"),
        ("numpy.f2py.crackfortran", "getlincoef"),
        ("datetime", "sys.exit"),
        ("collections", "OrderedDict.__init__.__globals__"),
        ("sklearn.base", "os.system"),
        ("torch._utils", "importlib.import_module"),
        ("joblib.numpy_pickle", "os.system"),
        ("zoneinfo", "ZoneInfo.os"),
    ],
)
def test_dotted_names_do_not_escape_from_what_is_allowed(module, name):
    found = findings(corpus.call(module, name, "x y"))
    assert found
    assert found[0].severity.at_least(Severity.IMPORTANT)


_ALONE = """
import sys
for name in ("numpy", "torch", "sklearn", "scipy", "pandas"):
    sys.modules[name] = None
from casemate.formats.pickle import trace
from casemate.formats.source import BytesSource
from casemate.records.make import make
from casemate.records.target import Target
from casemate.scan.pickles import judge
target = make(Target, kind="artifact", uri="model.pkl")
for line in sys.stdin.read().split():
    for found in judge(trace(BytesSource(bytes.fromhex(line))), target=target):
        print(found.rule, found.severity.value, found.subject, found.fingerprint)
    print("-")
"""


def _streams():
    streams = [sample.bad for sample in corpus.SAMPLES] + [each.data for each in corpus.STREAMS]
    streams += [corpus.call(module, name, "x") for _, module, name in corpus.GADGETS]
    streams += [corpus.call("sklearn.linear_model._ridge", "Ridge"), corpus.call("numpy", "load")]
    return streams + [pickle.dumps(thing, 4) for thing in corpus.BENIGN.values()]


def test_the_verdict_depends_on_nothing_but_the_file():
    """Same findings with no framework to import, and in any order; nothing is kept."""
    streams = _streams()
    here = {data: [found.fingerprint for found in findings(data)] for data in streams}
    shuffled = streams[:]
    random.Random(0).shuffle(shuffled)
    assert all([f.fingerprint for f in findings(data)] == here[data] for data in shuffled)
    run = subprocess.run(
        [sys.executable, "-I", "-c", _ALONE],
        input="\n".join(data.hex() for data in streams),
        capture_output=True,
        text=True,
        check=True,
    )
    alone = [
        [line.rsplit(" ", 1)[1] for line in part.strip().splitlines()]
        for part in run.stdout.split("-\n")[:-1]
    ]
    assert alone == [here[data] for data in streams]
