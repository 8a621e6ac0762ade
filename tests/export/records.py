"""Events of every kind and decision, and hostile ones, for the exporters of records."""

from hypothesis import strategies as st

from casemate.records.event import Event, Measures
from casemate.records.make import make

KINDS = ("inference", "refused", "failed", "bypassed", "gap", "started", "stopped")
DECISIONS = (
    "pass", "coarsen", "delay", "refuse", "route", "review", "step-up", "cluster-answer", "decoy",
)  # fmt: skip
AT = 1_795_230_725_123_456  # 2026-11-21 03:12:05.123456 UTC


def event(**fields) -> Event:
    given = {
        "writer": "w-0123456789abcdef",
        "sequence": 41,
        "at": AT,
        "principal": "eve",
        "session": "s-1",
        "model": "fraud",
        "version": "3",
        "route": "/v2/models/fraud/infer",
        "protocol": "oip",
        "request": "41",
        "status": 200,
        "took": 12_345,
        "bytes_in": 7000,
        "bytes_out": 120,
        "input_digest": "0" * 32,
        "measures": Measures(
            marks=(2**64 - 1, 17),
            near=0.97,
            near_to="w-0123456789abcdef:40",
            near_same=True,
            cluster=2**64 - 2,
            delta=0.001,
            label=1,
            label_name="fraud",
            confidence=0.51,
            margin=0.02,
            flipped=True,
            signs=("near-duplicate",),
        ),
        "components": ("scorer",),
    }
    return make(Event, **{**given, **fields})


def everything():
    """Yield an event of each kind and decision, carried out or not, full and bare."""
    for kind in KINDS:
        yield event(kind=kind, lost=3, until=AT + 5, note="why", order="ord-1")
        yield make(Event, writer="w-0", sequence=0, at=AT, kind=kind)
    for decision in DECISIONS:
        for enforced in (True, False):
            yield event(decision=decision, enforced=enforced, order="ord-1", status=503)


texts = st.one_of(st.text(max_size=60), st.sampled_from(["", "\n", "\x00", "\u202e", "A" * 5000]))
figures = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
hostile = st.builds(
    event,
    kind=st.sampled_from(KINDS),
    principal=texts,
    session=st.one_of(st.none(), texts),
    model=texts,
    version=st.one_of(st.none(), texts),
    route=texts,
    protocol=texts,
    request=texts,
    status=st.integers(0, 999),
    took=st.integers(0, 10**12),
    bytes_in=st.integers(0, 2**60),
    note=st.one_of(st.none(), texts),
    order=st.one_of(st.none(), texts),
    lost=st.integers(0, 2**60),
    measures=st.builds(
        Measures,
        near=figures,
        margin=figures,
        norm=figures,
        label_name=st.one_of(st.none(), texts),
        signs=st.lists(texts, max_size=3).map(tuple),
        marks=st.lists(st.integers(0, 2**64 - 1), max_size=4).map(tuple),
    ),
)
