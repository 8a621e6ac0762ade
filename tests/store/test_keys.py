"""Private keys have one folder, outside every workspace."""

from pathlib import Path

from casemate.store.keys import key_folder


def test_the_folder_is_the_one_named_or_the_users_own():
    assert key_folder({"CASEMATE_KEYS": "/k"}) == Path("/k")
    assert key_folder({"XDG_STATE_HOME": "/s"}) == Path("/s/casemate")
    assert key_folder({}) == Path.home() / ".local" / "state" / "casemate"
