import itertools

import pytest
from msgspec.structs import replace

from casemate.detect.watch import Watch
from casemate.records.codec import encode
from casemate.records.event import Event, Measures
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


def slow(events, start=100_000):
    """The same events as a guard writes them whose upstream takes longer than it waits."""
    made = []
    for event in events:
        bare = Measures(
            **{
                name: getattr(event.measures, name)
                for name in ("near", "near_to", "cluster", "size", "delta", "turn", "norm")
            }
        )
        asked = replace(event, request=str(event.sequence), status=0, measures=bare)
        start += 1
        made += [asked, replace(event, kind="answered", sequence=start, request=asked.request)]
    return made


def test_a_slow_model_hides_nothing():
    world = World()
    quick = world.crowd(600) + world.descent(80)
    at_once, later = Watch(), Watch()
    expected = at_once.feed(quick)
    assert "margin-descent" in rules(expected)
    assert [encode(d) for d in later.feed(slow(quick))] == [encode(d) for d in expected]
    assert later.record.inputs == later.record.answered == 680
    assert later.conclude() == at_once.conclude()


def test_a_question_without_an_answer_is_judged_in_the_end():
    world = World()
    asked = [event for event in slow(world.crowd(20)) if event.kind == "inference"]
    watch = Watch()
    watch.feed(asked)
    assert watch.record.inputs == 0
    watch.tick(world.at + 601_000_000)
    assert (watch.record.inputs, watch.record.answered) == (20, 0)
    late = slow(World().crowd(20))[1::2]
    watch.feed(late)
    assert (watch.record.inputs, watch.record.answered) == (20, 20)
    watch.feed([replace(one, request=f"n{i}") for i, one in enumerate(asked)])
    watch.finish()
    assert watch.record.inputs == 40


def test_a_question_whose_answer_failed_was_none():
    world = World()
    asked, answer = slow(world.crowd(1))
    watch = Watch()
    watch.feed([asked, replace(answer, kind="failed", status=502, measures=asked.measures)])
    watch.finish()
    assert watch.record.inputs == 0


def test_what_goes_on_is_told_again_under_the_same_campaign():
    world = World()
    watch = Watch()
    watch.feed(world.crowd(600))
    seen = [d for d in watch.feed(world.descent(400, after=30.0)) if d.rule == "margin-descent"]
    streams = {d.id[-16:] for d in seen}
    assert len(seen) >= 3
    assert len(streams) == 1
    assert len({d.campaign for d in seen}) == 1
    assert len({d.id for d in seen}) == len(seen)
    assert {d.first_query for d in seen} == {seen[0].queries}
    assert all(b.made - a.made >= watch.again for a, b in itertools.pairwise(seen))


def test_a_new_watch_goes_on_with_the_campaigns_of_the_old_one():
    world = World()
    old, new = Watch(), Watch()
    said = old.feed(world.crowd(600) + world.descent(80))
    rest = world.descent(80)
    new.restore(said)
    seen = new.feed(rest)
    assert "margin-descent" in rules(seen)
    assert {d.campaign for d in seen} == {d.campaign for d in said}


def test_what_an_old_watch_said_is_not_said_again():
    events = World().crowd(300) + World(seed=1, writer="w-00000000000000bb").descent(80)
    said = Watch().feed(events)
    assert said
    new = Watch()
    new.restore(said)
    assert new.feed(events) == []


def test_requests_served_unseen_are_a_loss_told_once():
    unseen = [
        Event(
            writer="w-00000000000000aa", sequence=i, at=START + i, kind="bypassed", lost=1,
            principal="a", status=200, note="not JSON", protocol="oip",
        )
        for i in range(9)
    ]  # fmt: skip
    (seen,) = Watch(rules=["record-gap"]).feed(unseen)
    assert seen.conclusion == "loss"
    assert "not JSON" in seen.message


def test_rows_of_one_request_are_no_steps_of_a_search():
    """One column swept in one request, as partial dependence asks: nobody could adapt to it."""
    from casemate.records.event import Event, Measures

    def row(n, request, k):
        near = None if k == 0 else f"w-00000000000000aa:{n - 1}"
        measures = Measures(
            near=0.9 if near else 0.0, near_to=near, near_same=True if near else None,
            delta=0.1 * 0.5**k if near else None, cluster=request + 1, size=k + 1, label=k % 2,
            margin=0.5, flipped=bool(near), norm=1.0,
        )  # fmt: skip
        return Event(
            writer="w-00000000000000aa", sequence=n, at=1_760_000_000_000_000 + request * 1_000_000,
            principal="pdp", model="m", request=str(request * 25), row=k, rows=25, status=200,
            measures=measures,
        )  # fmt: skip

    swept = [row(r * 25 + k, r, k) for r in range(40) for k in range(25)]
    assert Watch().feed(swept) == []
    alone = [
        Event(**{**{f: getattr(e, f) for f in e.__struct_fields__}, "row": 0, "rows": 1})
        for e in swept
    ]
    assert {one.rule for one in Watch().feed(alone)} & {"boundary-search", "query-graph"}
