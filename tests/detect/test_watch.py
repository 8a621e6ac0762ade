import pytest

from casemate.detect.watch import Watch
from casemate.records.codec import encode
from casemate.records.event import Event
from tests.detect.traffic import START, World


def rules(detections):
    return [d.rule for d in detections]


def test_ordinary_traffic_and_retries_are_quiet():
    world = World()
    events = world.crowd(1500)
    events += [world.ask(world.past[i], "user-1") for i in range(1000, 1200)]
    assert Watch().feed(events) == []


def test_a_descent_pages_and_names_principal_and_first_query():
    world = World()
    watch = Watch()
    assert watch.feed(world.crowd(600)) == []
    seen = watch.feed(world.descent(80))
    page = next(d for d in seen if d.rule == "margin-descent")
    assert page.conclusion == "attack"
    assert page.principals == ("eve",)
    assert page.first_query < 40
    assert page.score >= page.bar
    assert page.events[0] in {f"{world.writer}:{i}" for i in range(600, 603)}
    assert "'eve'" in page.message
    assert page.campaign == next(d for d in seen if d.rule == "query-graph").campaign


def test_a_border_search_on_labels_alone_is_seen():
    world = World()
    watch = Watch()
    watch.feed(world.crowd(600, labels_only=True))
    seen = watch.feed(world.search(60, labels_only=True))
    page = next(d for d in seen if d.rule == "boundary-search")
    assert page.first_query < 40


@pytest.mark.parametrize("client", ["explanation", "film"])
def test_a_client_with_another_aim_is_a_probe_and_no_attack(client):
    world = World()
    watch = Watch()
    watch.feed(world.crowd(600))
    for round_ in range(5):
        seen = watch.feed(getattr(world, client)(120, principal=f"{client}-{round_}"))
        assert set(rules(seen)) <= {"query-graph"}
        assert {d.conclusion for d in seen} <= {"probe"}
    assert watch.conclude().word == "no attack"


def test_the_same_events_give_the_same_detections():
    world = World()
    events = world.crowd(300) + world.descent(60)
    first, second = Watch().feed(events), Watch().feed(events)
    assert [encode(d) for d in first] == [encode(d) for d in second]
    assert first


def test_a_rule_speaks_once_a_day_of_a_subject():
    world = World()
    seen = Watch().feed(world.crowd(300) + world.descent(400))
    assert len(rules(seen)) == len(set(rules(seen)))


def test_declared_clients_are_no_probe():
    world = World()
    watch = Watch()
    watch.feed(world.crowd(600))
    assert watch.feed(world.explanation(200, purpose="explainers")) == []


def test_red_team_traffic_is_marked_and_changes_no_verdict():
    world = World()
    watch = Watch()
    watch.feed(world.crowd(600))
    seen = watch.feed(world.descent(80, marked="run-1"))
    assert seen
    assert {d.marked for d in seen} == {"run-1"}
    assert watch.conclude().word == "no attack"


def test_a_gap_is_a_loss():
    gap = Event(
        writer="w-00000000000000aa", sequence=5, at=START, kind="gap", lost=12,
        until=START + 3_000_000, note="disk full",
    )  # fmt: skip
    watch = Watch()
    (seen,) = watch.feed([gap])
    assert seen.rule == "record-gap"
    assert seen.conclusion == "loss"
    assert "12 requests" in seen.message
    assert "disk full" in seen.message


def test_two_searches_by_one_principal_are_one_campaign():
    world = World()
    seen = Watch().feed(world.crowd(300) + world.descent(80) + world.descent(80))
    assert len({d.campaign for d in seen}) == 1
