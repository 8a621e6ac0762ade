from casemate.detect.watch import Watch
from tests.detect.traffic import World


def test_everybody_changing_is_a_drift_and_nobody_an_attacker():
    world, watch = World(), Watch()
    watch.feed(world.crowd(800, users=40))
    after = [world.ask(world.natural() * 0.5 + 1, f"user-{i % 40}") for i in range(1500)]
    seen = watch.feed(after) + watch.tick(world.at + 60_000_000)
    assert {d.rule for d in seen} == {"input-drift"}
    assert all(d.principals == () for d in seen)
    assert watch.conclude().word == "drift"


def test_one_principal_changing_is_none():
    world, watch = World(), Watch()
    watch.feed(world.crowd(800, users=40))
    for _ in range(400):
        watch.feed([world.ask(world.natural() * 0.5 + 1, "user-1"), *world.crowd(2, users=40)])
    watch.tick(world.at + 60_000_000)
    assert watch.conclude().word != "drift"


def test_nothing_changing_is_none():
    world, watch = World(), Watch()
    watch.feed(world.crowd(3000, users=40))
    assert watch.tick(world.at + 60_000_000) == []
