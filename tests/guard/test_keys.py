import stat

import pytest

from casemate.errors import UsageError
from casemate.guard import keys
from casemate.guard.digests import Digests
from casemate.guard.keys import Keys

GOOD = "0123456789abcdef" * 4


def test_the_environment_comes_first(tmp_path):
    file = tmp_path / "guard.key"
    found = keys.read({keys.VARIABLE: GOOD}, file, workspace=tmp_path / "ws")
    assert not file.exists()
    assert found.derive("x") == Keys(bytes.fromhex(GOOD)).derive("x")


def test_a_missing_file_is_made_once_and_for_its_owner_alone(tmp_path):
    file = tmp_path / "keys" / "guard.key"
    first = keys.read({}, file, workspace=tmp_path / "ws")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(bytes.fromhex(file.read_text().strip())) == 32
    assert keys.read({}, file, workspace=tmp_path / "ws").derive("x") == first.derive("x")
    other = keys.read({}, tmp_path / "other.key", workspace=tmp_path / "ws")
    assert other.derive("x") != first.derive("x")


def test_a_file_that_others_may_read_is_refused(tmp_path):
    file = tmp_path / "guard.key"
    file.write_text(GOOD)
    file.chmod(0o640)
    with pytest.raises(UsageError, match="others than its owner"):
        keys.read({}, file, workspace=tmp_path / "ws")


def test_a_key_inside_the_workspace_is_refused_through_links_too(tmp_path):
    workspace = tmp_path / "ws"
    workspace.mkdir()
    with pytest.raises(UsageError, match="inside the workspace"):
        keys.read({}, workspace / "deep" / "guard.key", workspace=workspace)
    link = tmp_path / "innocent"
    link.symlink_to(workspace)
    with pytest.raises(UsageError, match="inside the workspace"):
        keys.read({}, link / "guard.key", workspace=workspace)


@pytest.mark.parametrize("weak", ["changeme", "", "0" * 64, "ab" * 32, "x" * 40])
def test_weak_keys_are_refused(tmp_path, weak):
    file = tmp_path / "guard.key"
    file.write_text(weak)
    file.chmod(0o600)
    with pytest.raises(UsageError):
        keys.read({}, file, workspace=tmp_path / "ws")
    if weak:
        with pytest.raises(UsageError):
            keys.read({keys.VARIABLE: weak}, file, workspace=tmp_path / "ws")


def test_purposes_are_unrelated_and_nothing_prints_the_key():
    one = Keys(bytes(range(32)))
    assert len({one.derive(purpose) for purpose in ("a", "b", "digests", "")}) == 4
    assert len(one.derive("long", 64)) == 64
    assert "0001" not in repr(one)
    assert bytes(range(32)).hex() not in str(vars(one))


def test_digests_differ_by_subject_by_site_and_by_data():
    one, other = Digests(Keys(bytes(range(32)))), Digests(Keys(bytes(range(1, 33))))
    row = b"37,1,120,80"
    found = {one.of("ann", row), one.of("bob", row), other.of("ann", row), one.of("ann", b"")}
    assert len(found) == 4
    assert one.of("ann", row) == one.of("ann", memoryview(bytearray(row)))
    assert all(len(digest) == 32 and int(digest, 16) >= 0 for digest in found)


def test_many_subjects_are_bounded_and_stay_right():
    one = Digests(Keys(bytes(range(32))))
    first = one.of("u0", b"x")
    for number in range(10_000):
        one.of(f"u{number}", b"x")
    assert len(one._subjects) <= 4096
    assert one.of("u0", b"x") == first
