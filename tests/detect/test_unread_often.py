from msgspec.structs import replace

from casemate.detect.unread_often import NO_PATH
from casemate.detect.watch import Watch
from tests.detect.traffic import World


def hidden(event, **fields):
    """The same request in a form that the guard does not understand and the model does."""
    given = {
        "kind": "bypassed",
        "status": 200,
        "note": "not JSON",
        "route": "r",
        "lost": 1,
        "protocol": "oip",
    }
    return replace(event, **{**given, **fields})


def traffic(n, *, every=2, who="eve", users=20, **fields):
    """Ordinary callers, and one whose requests cannot be read."""
    world = World()
    events = [replace(one, route="r") for one in world.crowd(200, users=users)]
    for i in range(n):
        events += [replace(one, route="r") for one in world.crowd(every, users=users)]
        event = world.ask(world.natural(), who if isinstance(who, str) else who(i))
        events.append(hidden(event, **fields))
    return events


def seen(events):
    return Watch(rules=["unread-often"]).feed(events)


def test_who_is_answered_unread_again_and_again_is_seen():
    (found,) = seen(traffic(60))
    assert found.principals == ("eve",)
    assert found.conclusion == "attack"
    assert found.first_query == 20
    assert found.score >= found.bar
    assert "not JSON" in found.message
    assert len(found.events) == 20


def test_a_few_or_what_the_model_refused_or_no_inference_at_all_is_not():
    assert seen(traffic(15)) == []
    assert seen(traffic(60, status=400)) == []
    assert seen(traffic(60, note=NO_PATH, protocol="opaque")) == []


def test_one_garbled_request_in_fifty_is_not():
    world = World()
    events = [replace(one, route="r") for one in world.crowd(5000, users=20)]
    events = [hidden(one) if i % 1000 < 20 else one for i, one in enumerate(events)]
    assert seen(events) == []


def test_a_guard_that_reads_nothing_is_nobodys_doing():
    for users in (3, 6, 50):
        world = World()
        events = [replace(one, route="r") for one in world.crowd(1500, users=users)]
        dark = [hidden(one, note="the judge failed: OSError") for one in events[500:1000]]
        assert seen([*events[:500], *dark, *events[1000:]]) == [], users


def test_a_caller_that_is_alone_is_compared_with_nobody():
    world = World()
    alone = [hidden(world.ask(world.natural(), "eve")) for _ in range(100)]
    assert seen(alone) == []
