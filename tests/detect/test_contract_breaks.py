from casemate.detect.watch import Watch
from tests.detect.traffic import World


def test_broken_inputs_again_and_again_are_misuse():
    world, watch = World(), Watch()
    watch.feed(world.crowd(600))
    seen = watch.feed([world.ask(world.natural(), "eve", broken=3) for _ in range(10)])
    (found,) = [d for d in seen if d.rule == "contract-breaks"]
    assert (found.principals, found.conclusion) == (("eve",), "misuse")


def test_a_mistake_now_and_then_is_not():
    world, watch = World(), Watch()
    events = [
        world.ask(world.natural(), f"user-{i % 50}", broken=int(i % 67 == 0)) for i in range(3000)
    ]
    assert watch.feed(events) == []


def test_where_everybody_breaks_it_nobody_is_named():
    world, watch = World(), Watch()
    events = [
        world.ask(world.natural(), f"user-{i % 50}", broken=int(world.rng.random() < 0.3))
        for i in range(3000)
    ]
    assert [d for d in watch.feed(events)[5:] if d.rule == "contract-breaks"] == []
