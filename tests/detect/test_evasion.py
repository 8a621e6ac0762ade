from casemate.detect.watch import Watch
from tests.detect.traffic import World


def rotating(events, users):
    import msgspec

    return [
        msgspec.structs.replace(event, principal=f"sybil-{i % users}")
        for i, event in enumerate(events)
    ]


def test_a_descent_of_many_accounts_is_one_attacker():
    world, watch = World(), Watch()
    watch.feed(world.crowd(600))
    seen = watch.feed(rotating(world.descent(150), 20))
    found = [d for d in seen if d.rule == "linked-accounts"]
    assert found
    assert set(found[-1].principals) <= {f"sybil-{i}" for i in range(20)}
    assert len(found[-1].principals) >= 16
    assert len({d.campaign for d in seen}) == 1


def test_who_asks_for_the_same_input_is_not_named():
    world, watch = World(), Watch()
    watch.feed(world.crowd(600))
    events = world.descent(40)
    base = world.past[600]
    events += [world.ask(base + 0.001, "user-7"), *world.descent(1)]
    seen = watch.feed(events)
    assert seen
    assert all("user-7" not in d.principals for d in seen)


def test_a_declared_client_needs_far_more_to_be_called_an_attacker():
    world = World()
    crowd, events = world.crowd(600), world.descent(60, purpose="explainers")
    plain = World()
    plain.crowd(600)
    watch = Watch()
    watch.feed(crowd)
    declared = [d.first_query for d in watch.feed(events) if d.conclusion == "attack"]
    watch = Watch()
    watch.feed(crowd)
    undeclared = [d.first_query for d in watch.feed(plain.descent(60)) if d.conclusion == "attack"]
    assert undeclared
    assert not declared or declared[0] > undeclared[0]
