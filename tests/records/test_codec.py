"""Records survive the way to bytes and back, by the tag the bytes carry."""

from datetime import UTC, datetime

import msgspec
import pytest

from casemate.errors import StoreError
from casemate.records.codec import RECORDS, decode, encode
from casemate.records.evidence import Evidence
from casemate.records.finding import Finding
from casemate.records.location import Location
from casemate.records.make import make
from casemate.records.severity import Confidence, Severity
from casemate.records.target import Target


def test_a_finding_with_everything_in_it_comes_back_equal():
    place = make(Location, path="m.pt", member="data.pkl", offset=17)
    seen = make(Evidence, by="pickle-runs-shell", how="walk", at=datetime.now(UTC), location=place)
    finding = make(
        Finding,
        rule="pickle-runs-shell",
        target=make(Target, kind="artifact", uri="m.pt", digest="sha256:" + "0" * 64),
        severity=Severity.CRITICAL,
        confidence=Confidence.CERTAIN,
        message="runs a shell",
        remedy="do not load it",
        fingerprint="fp-" + "0" * 32,
        subject="os.system",
        location=place,
        evidence=(seen,),
    )
    assert decode(encode(finding)) == finding


@pytest.mark.parametrize("body", [b"", b"{}", b'{"schema":"finding/9"}', b"[1]", b"\xff"])
def test_what_is_no_record_is_refused(body):
    with pytest.raises(StoreError):
        decode(body)


def test_every_record_has_a_versioned_tag_of_its_own():
    tags = [record.__struct_config__.tag for record in RECORDS]
    assert len(set(tags)) == len(tags)
    assert all(isinstance(tag, str) and tag.partition("/")[2].isdigit() for tag in tags)
    assert all(issubclass(record, msgspec.Struct) for record in RECORDS)
