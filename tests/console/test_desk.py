"""What the pages share, where some of it is missing."""

import msgspec

from casemate.console import desk
from casemate.console.people import Person
from casemate.workflows.config import Config, Loaded
from tests.console.scene import client


def test_events_are_those_of_the_guard(night):
    assert desk.open_traffic(night.loaded, night.workspace).newest() is not None
    elsewhere = str(night.root / "elsewhere")
    guard = msgspec.structs.replace(night.loaded.config.guard, telemetry=elsewhere)
    named = Loaded(config=Config(guard=guard), root=night.root)
    assert desk.open_traffic(named, night.workspace).newest() is None


def test_without_events_the_pages_say_so_and_the_rest_is_there(night, monkeypatch):
    monkeypatch.setattr(desk, "Traffic", None)
    monkeypatch.setattr(desk, "open_traffic", lambda *_: None)
    with client(night) as asking:
        asking.post("/sign-in", data={"key": asking.built.link.fresh()})
        assert asking.get("/now").status_code == 200
        assert asking.get(f"/cases/{night.case}").status_code == 200
        found = asking.get("/pulse")
        assert found.status_code == 400
        assert "casemate[case]" in found.text


def test_what_somebody_did_is_noted_with_who_they_are(night):
    with client(night) as asking:
        asking.built.desk.note(Person("ann", "viewer", "token"), "::1", "looked", "x")
        (entry,) = asking.built.desk.trail.read().entries
        assert (entry.who, entry.role, entry.way, entry.address) == (
            "ann",
            "viewer",
            "token",
            "::1",
        )
