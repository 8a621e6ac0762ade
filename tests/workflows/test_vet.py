"""The scanner as a door: what it lets through is the snapshot it scanned."""

import pickle

import pytest

from casemate.errors import UsageError
from casemate.workflows.vet import Vet


class Runs:
    def __reduce__(self):
        return exec, ("raise SystemExit('this was run')",)


def test_a_clean_file_is_passed_as_a_snapshot_that_later_changes_do_not_reach(tmp_path):
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps({"a": [1, 2.5, "x"]}))
    vet = Vet()
    snapshot = vet(path)
    path.write_bytes(pickle.dumps(Runs()))
    assert snapshot != path
    assert pickle.loads(snapshot.read_bytes()) == {"a": [1, 2.5, "x"]}
    vet.close()
    assert not snapshot.exists()


@pytest.mark.parametrize(
    "body", [pickle.dumps(Runs()), pickle.dumps({"a": 1})[:-3], b"\x00\x01 nothing known"]
)
def test_what_is_hostile_or_unknown_is_refused(tmp_path, body):
    path = tmp_path / "m.pkl"
    path.write_bytes(body)
    with pytest.raises(UsageError, match="not opened"):
        Vet()(path)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        Vet()(tmp_path / "none.pkl")
