import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import UsageError
from casemate.gate.baseline import accept, keep, read, rows_held, write
from tests.gate.made import finding, trial

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def accepted(findings=(), trials=(), **more):
    given_ = {"run": "run-1", "by": "Ada", "reason": "first", "at": AT, "casemate": "0.1.0", **more}
    return accept(findings, trials, **given_)


def test_what_is_written_is_read_back(tmp_path):
    baseline = accepted([finding(), finding("moderate", "x")], [trial([True, False])])
    path = tmp_path / "casemate-baseline.json"
    write(path, baseline)
    assert read(path) == baseline
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_trial_that_did_not_end_is_no_baseline():
    kept = accepted(trials=[trial([True], state="interrupted"), trial([True], eps=0.2)]).measures
    assert [k.eps for k in kept] == [0.2]


@pytest.mark.parametrize("blank", ["reason", "by"])
def test_nobody_accepts_anything_without_name_and_reason(blank):
    with pytest.raises(UsageError, match=blank if blank == "reason" else "name"):
        accepted(**{blank: " "})


@given(st.dictionaries(st.integers(0, 200), st.booleans(), min_size=1))
def test_rows_survive_any_pattern(held):
    (kept,) = keep(trial(held.values(), rows=list(held)))
    assert rows_held(kept) == held


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: b.pop("reason"), "missing required field `reason`"),
        (lambda b: b.update(schema="baseline/9"), "baseline/9"),
        (lambda b: b.update(extra=1), "extra"),
        (lambda b: b["measures"][0].update(held="101"), "names 2 rows, has 3"),
        (lambda b: b["measures"][0].update(held="1x"), "rows"),
        (lambda b: b["measures"][0].update(rows="0-999999999"), "not a range"),
        (lambda b: b["measures"][0].update(rows="1-x"), "rows"),
        (lambda b: b["measures"][0].update(value=7.0), "accuracy 7.0"),
    ],
)
def test_a_file_that_was_edited_wrongly_is_refused_with_a_way_out(tmp_path, change, says):
    path = tmp_path / "b.json"
    write(path, accepted(trials=[trial([True, False])]))
    body = json.loads(path.read_bytes())
    change(body)
    path.write_text(json.dumps(body))
    with pytest.raises(UsageError) as caught:
        read(path)
    assert says in str(caught.value)
    assert "casemate gate accept" in caught.value.hint


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_bytes_that_are_no_baseline_are_refused(tmp_path, raw):
    path = tmp_path / "b.json"
    path.write_bytes(raw)
    with pytest.raises(UsageError, match="is not a baseline"):
        read(path)


def test_an_absent_file_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match="there is no baseline"):
        read(tmp_path / "none.json")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="cannot write the baseline"):
        write(tmp_path / "none" / "b.json", accepted())
