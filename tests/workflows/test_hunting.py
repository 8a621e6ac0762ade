"""Hunts over events on record: the word, who, since when, and what the exit code says."""

import itertools

import pytest

from casemate.errors import UsageError
from casemate.records.event import Event
from casemate.records.severity import Severity
from casemate.store.telemetry.opening import new_writer, open_sink
from casemate.store.workspace import Workspace
from casemate.workflows import hunting
from casemate.workflows.config import Config, Loaded
from tests.detect.traffic import START, World


@pytest.fixture
def place(tmp_path):
    with Workspace.open(tmp_path / "store", create=True) as workspace:
        yield workspace


def keep(workspace, made):
    writer = new_writer()
    sink = open_sink(workspace.folder / "telemetry", writer)
    kept = []
    for n, event in enumerate(made):
        fields = {name: getattr(event, name) for name in event.__struct_fields__}
        fields |= {"writer": writer, "sequence": n, "source": f"a.jsonl:{n + 1}"}
        kept.append(Event(**fields))
    sink.append(kept)
    sink.close()
    return kept


def crowd(world, n, people=40):
    return [world.ask(world.natural(), f"user-{i % people}") for i in range(n)]


def searching(world, n, who="mallory"):
    """Steps down from one input towards the other label, as score-based attacks go."""
    x = world.natural()
    made = []
    for _ in range(n):
        step = world.rng.standard_normal(world.dimension) * 0.12
        if world.score(x + step) < world.score(x):
            x = x + step
        made.append(world.ask(x + 0.3 * step, who))
    return made


def hunt(workspace, **more):
    loaded = Loaded(config=Config(), root=workspace.folder.parent)
    return hunting.hunt(loaded, workspace, **more)


def test_quiet_traffic_is_no_attack(place):
    keep(place, crowd(World(), 400))
    found = hunt(place)
    assert (found.word, found.events, found.exit_code) == ("no attack", 400, 0)
    assert found.detections == ()


def test_too_little_cannot_be_told(place):
    keep(place, crowd(World(), 5))
    found = hunt(place)
    assert (found.word, found.exit_code) == ("cannot tell", 3)
    assert "only 5 inputs" in found.reasons[0]


def test_an_attack_is_named_with_its_first_query_and_kept(place):
    world = World()
    quiet = crowd(world, 300)
    keep(place, quiet + searching(world, 300))
    seen = []
    found = hunt(place, bar=Severity.LOW, progress=lambda *said: seen.append(said))
    assert found.detections
    assert {one.principals for one in found.detections} == {("mallory",)}
    assert found.exit_code == 1
    first = found.firsts[found.detections[0].id]
    assert int(first.source.partition(":")[2]) >= 301
    assert first.known.source == "a.jsonl:301"
    assert seen[-1] == ("detect: events", 600, 600)
    from casemate.records.detection import Detection

    assert {d.id for d in place.records(found.run, Detection)} == {d.id for d in found.detections}
    body = hunting.as_json(found)
    assert body["detections"][0]["first"]["known"]["source"] == "a.jsonl:301"
    again = hunt(place, bar=Severity.LOW)
    assert [d.id for d in again.detections] == [d.id for d in found.detections]


def test_since_and_model_narrow_what_is_looked_at(place):
    world = World()
    keep(place, crowd(world, 200))
    later = world.at - 50 * 1_000_000 + 1
    assert hunt(place, since=later).events == 50
    assert hunt(place, model="another").events == 0
    assert hunt(place, since=later, model="").events in (0, 50)


def test_a_gap_makes_the_answer_incomplete(place):
    world = World()
    gap = Event(writer="", sequence=0, at=START, kind="gap", lost=3, until=START + 9, note="x")
    keep(place, [gap, *crowd(world, 300)])
    found = hunt(place)
    assert (found.gaps, found.lost, found.exit_code) == (1, 3, 3)


def test_live_says_each_detection_as_its_events_come(place):
    world = World()
    keep(place, crowd(world, 100))
    loaded = Loaded(config=Config(), root=place.folder.parent)
    said = []

    def beats():
        yield
        assert said == []
        keep(place, searching(world, 300))
        yield
        assert said
        raise KeyboardInterrupt

    found = hunting.live(
        loaded, place, say=said.append, since=START, beats=beats(), bar=Severity.LOW
    )
    assert found.events == 400
    assert list(found.detections) == said
    assert found.exit_code == 1


def test_live_begins_now_unless_told(place):
    keep(place, crowd(World(), 100))
    loaded = Loaded(config=Config(), root=place.folder.parent)
    found = hunting.live(loaded, place, say=print, beats=itertools.repeat(None, 2))
    assert found.events == 0


def test_the_beginning_is_a_length_or_a_time():
    now = 1_793_600_130_125_000
    assert hunting.begin_of("48h", now) == now - 48 * 3600 * 1_000_000
    assert hunting.begin_of("2026-11-02T06:15:30.125Z", 0) == now
    assert hunting.moment(now) == "2026-11-02 06:15:30 UTC"
    with pytest.raises(UsageError, match="neither a duration nor a time"):
        hunting.begin_of("yesterday", now)
