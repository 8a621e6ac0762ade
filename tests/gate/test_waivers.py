from datetime import date

import pytest

from casemate.errors import UsageError
from casemate.gate.waivers import Waiver, expired, read_waivers, trusted, waived
from tests.gate.made import FILE, finding

TODAY = date(2026, 11, 20)
FP = finding().fingerprint


def waiver(what, until=date(2027, 1, 1)):
    return Waiver(what, "agreed with the owner", until)


def test_a_table_becomes_a_waiver():
    table = {"fingerprint": FP, "reason": " known ", "expires": date(2027, 1, 1)}
    assert read_waivers([table]) == (Waiver(FP, "known", date(2027, 1, 1)),)
    assert read_waivers([{**table, "expires": "2027-01-01"}])[0].expires == date(2027, 1, 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"reason": ""}, "no reason"),
        ({"reason": None}, "no reason"),
        ({"expires": None}, "no valid expiry"),
        ({"expires": "never"}, "no valid expiry"),
        ({"fingerprint": "pickle-runs"}, "fingerprint is 'pickle-runs'"),
        ({"fingerprint": "fp-1*"}, "fingerprint is"),
        ({"expire": "2027-01-01"}, "unknown key 'expire'"),
    ],
)
def test_a_waiver_without_reason_expiry_or_fingerprint_is_refused(change, says):
    table = {"fingerprint": FP, "reason": "known", "expires": date(2027, 1, 1), **change}
    with pytest.raises(UsageError) as caught:
        read_waivers([table])
    assert "number 1" in str(caught.value)
    assert says in str(caught.value)


def test_it_holds_through_its_last_day_and_not_after():
    one = [waiver(FP, until=TODAY)]
    assert waived([finding()], one, TODAY).keys() == {FP}
    tomorrow = date(2026, 11, 21)
    assert waived([finding()], one, tomorrow) == {}
    assert expired([finding()], one, tomorrow).keys() == {FP}


def test_a_trusted_name_does_not_cover_what_is_known_to_be_dangerous():
    unknown = finding("important", "acme.Layer", rule="pickle-imports-unknown")
    names = [waiver("import:acme.Layer"), waiver("import:os.system")]
    assert waived([unknown, finding("critical")], names, TODAY).keys() == {unknown.fingerprint}


def test_a_trusted_file_is_trusted_by_its_bytes():
    odd = finding("important", "acme.Layer")
    found = waived([odd, finding("critical")], [waiver(FILE.digest)], TODAY)
    assert found.keys() == {odd.fingerprint}
    assert waived([odd], [waiver("sha256:" + "b" * 64)], TODAY) == {}


def test_a_scan_is_told_names_and_digests_that_hold_today():
    given = [
        waiver("import:acme.Layer"),
        waiver("sha256:" + "b" * 64),
        waiver(FP),
        waiver("import:old.Layer", until=date(2020, 1, 1)),
    ]
    assert trusted(given, TODAY).keys() == {"acme.Layer", "sha256:" + "b" * 64}
