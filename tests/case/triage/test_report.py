"""Triage from real telemetry folders: events of an exact world, written to a journal."""

import numpy as np
import pytest

from casemate.case.triage.report import Focus, triage
from casemate.records.detection import Detection
from casemate.records.event import Event
from casemate.records.severity import Confidence, Severity
from casemate.store.telemetry.journal import Journal
from casemate.store.telemetry.query import Telemetry
from tests.detect.traffic import SECOND, START, World

USERS = 40


def store(folder, events):
    by_writer = {}
    for event in events:
        by_writer.setdefault(event.writer, []).append(event)
    for writer, theirs in by_writer.items():
        sink = Journal(folder, writer)
        sink.append(sorted(theirs, key=lambda e: e.sequence))
        sink.close()
    return Telemetry(folder, isolated=False)


def around(world, made, before=500, after=150):
    """Events of ordinary callers, with those of `made` among the later ones."""
    calm = world.crowd(before, USERS)
    return [*calm, *made(world), *world.crowd(after, USERS)]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    events = around(World(seed=3), lambda w: w.search(160, "mallory", labels_only=True))
    return store(tmp_path_factory.mktemp("searched"), events), events


def test_a_border_search_is_named_with_its_principal_time_and_events(searched):
    query, events = searched
    found = triage(query)
    mine = [e for e in events if e.principal == "mallory"]
    assert found.assessment == "attack"
    assert found.guesses[0].threat == "adversarial-perturbation"
    assert [s.principal for s in found.suspects] == ["mallory"]
    assert found.suspects[0].queries == found.queries == len(mine)
    assert (found.began, found.ended) == (mine[0].at, mine[-1].at)
    assert found.first_event == f"{mine[0].writer}:{mine[0].sequence}"
    assert set(found.events) <= {f"{e.writer}:{e.sequence}" for e in mine}
    assert len(found.events) == 64
    assert found.success == 1.0
    assert len(found.next_steps) == 3
    assert found.looked_at == len(events)


def test_a_descent_is_named_too(tmp_path):
    events = around(World(seed=4), lambda w: w.descent(160, "eve"))
    found = triage(store(tmp_path, events))
    assert found.guesses[0].threat == "adversarial-perturbation"
    assert [s.principal for s in found.suspects] == ["eve"]
    assert "went back to the input whose label was weakest" in found.reasons[0]


def test_several_accounts_of_one_search_are_named_together(tmp_path):
    world = World(seed=5)
    calm = world.crowd(500, USERS)
    search = world.search(160, "mallory", labels_only=True)
    spread = [
        Event(**{f: getattr(e, f) for f in e.__struct_fields__} | {"principal": f"m-{i % 4}"})
        for i, e in enumerate(search)
    ]
    found = triage(store(tmp_path, [*calm, *spread]))
    assert {s.principal for s in found.suspects} == {"m-0", "m-1", "m-2", "m-3"}
    assert any("one caller with several accounts" in reason for reason in found.reasons)


def test_ordinary_callers_are_no_incident(tmp_path):
    found = triage(store(tmp_path, World(seed=6).crowd(700, USERS)))
    assert (found.assessment, found.suspects) == ("benign", ())
    assert found.guesses[0].threat == "benign"


@pytest.mark.parametrize(("purpose", "assessment"), [(None, "probe"), ("explain", "benign")])
def test_an_explanation_is_no_attack(tmp_path, purpose, assessment):
    events = around(World(seed=7), lambda w: w.explanation(150, "dora", purpose=purpose))
    found = triage(store(tmp_path, events))
    assert found.assessment == assessment
    assert found.guesses[0].threat == "benign"


def test_inputs_of_everybody_that_change_are_a_drift(tmp_path):
    world = World(seed=8)
    calm = world.crowd(600, USERS)
    natural = world.natural
    world.natural = lambda: 1.6 * natural() + 1.0
    later = world.crowd(600, USERS)
    found = triage(store(tmp_path, [*calm, *later]))
    assert (found.assessment, found.guesses[0].threat) == ("drift", "drift")
    assert abs(found.began - later[0].at) < 100 * SECOND


def test_other_answers_of_a_new_version_to_the_same_inputs_are_not_called_an_attack(tmp_path):
    world = World(seed=9)
    calm = world.crowd(600, USERS, version="1")
    world.w = -world.w + 0.5
    later = world.crowd(600, USERS, version="2")
    found = triage(store(tmp_path, [*calm, *later]))
    assert found.assessment in ("drift", "cannot-tell")
    assert "data-poisoning" in [g.threat for g in found.guesses[:3]]
    assert "from '1' to '2'" in found.reasons[0]


def test_failures_and_holes_are_an_outage(tmp_path):
    world = World(seed=10)
    calm = world.crowd(400, USERS)
    broken = [
        Event(
            writer=world.writer, sequence=world.sequence + i, at=world.at + i * SECOND,
            kind="failed", principal=f"user-{i % 7}", model="m", status=502,
        )
        for i in range(120)
    ]  # fmt: skip
    found = triage(store(tmp_path, [*calm, *broken]))
    assert (found.assessment, found.guesses[0].threat) == ("outage", "outage")
    assert "120 requests" in found.reasons[0]


def test_a_hole_is_counted_as_missing(tmp_path):
    world = World(seed=11)
    calm = world.crowd(300, USERS)
    hole = Event(
        writer=world.writer, sequence=world.sequence, at=world.at + SECOND, kind="gap", lost=900,
        until=world.at + 600 * SECOND,
    )  # fmt: skip
    found = triage(store(tmp_path, [*calm, hole]))
    assert (found.assessment, found.missing) == ("outage", 900)


def test_an_imported_log_without_comparisons_says_what_it_cannot_show(tmp_path):
    rng = np.random.default_rng(0)
    events = [
        Event(
            writer="w-00000000000000cc", sequence=i, at=START + i * SECOND, model="m",
            principal=f"user-{rng.integers(30)}", source=f"log.jsonl:{i}",
        )
        for i in range(200)
    ]  # fmt: skip
    found = triage(store(tmp_path, events))
    assert found.assessment == "cannot-tell"
    assert found.confidence is Confidence.TENTATIVE
    assert any("were not compared with earlier ones" in reason for reason in found.reasons)
    assert any("answers are not on record" in reason for reason in found.reasons)


def test_an_empty_place_is_unknown_not_clean(tmp_path):
    found = triage(Telemetry(tmp_path, isolated=False))
    assert (found.assessment, found.looked_at) == ("cannot-tell", 0)


def detection(**given):
    return Detection(
        **{
            "id": "det-1", "rule": "boundary-search", "conclusion": "attack",
            "severity": Severity.IMPORTANT, "confidence": Confidence.FIRM, "message": "a search",
            "model": "m", "principals": ("mallory",), "began": START, "ended": START, "made": START,
            "queries": 1, **given,
        }
    )  # fmt: skip


def test_a_detection_narrows_the_window_and_is_one_more_reason(searched):
    query, events = searched
    mine = [e for e in events if e.principal == "mallory"]
    long_before = triage(query, detections=[detection(began=0, ended=1000)])
    assert long_before.looked_at == 0
    found = triage(query, detections=[detection(began=mine[0].at, ended=mine[-1].at)])
    assert found.assessment == "attack"
    assert any(reason.startswith("Detected by boundary-search") for reason in found.reasons)


def test_an_event_that_somebody_wants_explained_leads_to_its_principal(searched):
    query, events = searched
    one = next(e for e in events if e.principal == "mallory")
    found = triage(query, focus=Focus(events=(f"{one.writer}:{one.sequence}",)))
    assert [s.principal for s in found.suspects] == ["mallory"]


def test_who_was_named_and_is_not_there_is_said(searched):
    query, _ = searched
    found = triage(query, focus=Focus(principals=("nobody",)))
    assert any("'nobody' was named, and is not on record" in reason for reason in found.reasons)


def test_red_team_runs_are_left_out(tmp_path):
    world = World(seed=12)
    calm = world.crowd(400, USERS)
    search = world.search(120, "mallory", labels_only=True, marked="run-1")
    found = triage(store(tmp_path, [*calm, *search]))
    assert found.assessment == "benign"
    assert any("120 events of red-team runs" in reason for reason in found.reasons)


def test_hostile_names_change_nothing(tmp_path):
    name = "x' OR 1=1; --\x1b[31m\\"
    world = World(seed=13)
    events = [*world.crowd(400, USERS), *world.search(120, name, labels_only=True)]
    found = triage(store(tmp_path, events))
    assert [s.principal for s in found.suspects] == [name]
    assert all(text.isprintable() for text in found.reasons)
