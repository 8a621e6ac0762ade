"""Events as a SIEM indexes them."""

import json

from casemate.export.siem import FIELDS, flat
from casemate.records.event import Event, Measures


def test_flat_records_hold_strings_and_numbers_alone():
    event = Event(
        writer="w-0123456789abcdef",
        sequence=7,
        at=1_790_000_000_000_000,
        principal="user\n1",
        model="digits",
        measures=Measures(near=0.9, delta=0.0, cluster=2**64 - 1, flipped=True, label=3),
    )
    made = flat(event)
    assert tuple(made) == FIELDS
    assert json.loads(json.dumps(made)) == made
    assert made["ml.query.near_duplicate"] == made["ml.query.repeat"] == "yes"
    assert made["ml.query.cluster"] == "ffffffffffffffff"
    assert made["timestamp"] == "2026-09-21T14:13:20.000Z"
