from casemate.detect.watch import Watch
from tests.detect.traffic import World


def watched(crowd=600):
    world, watch = World(), Watch()
    assert watch.feed(world.crowd(crowd, users=30)) == []
    return world, watch


def neighbours(world, bases, each, size=0.5, principal="eve"):
    out = []
    for _ in range(bases):
        x = world.natural()
        out.append(world.ask(x, principal))
        for _ in range(each):
            step = world.rng.choice([-1.0, 1.0], world.dimension)
            out.append(world.ask(x + size * step / world.dimension**0.5, principal))
    return out


def rules(detections):
    return {d.rule for d in detections}


def test_a_few_neighbours_of_many_inputs_are_an_extraction():
    world, watch = watched()
    seen = watch.feed(neighbours(world, 40, 4))
    (found,) = [d for d in seen if d.rule == "extraction-near-duplicate"]
    assert found.principals == ("eve",)
    assert found.first_query <= 100
    assert "membership-probe" not in rules(seen)


def test_many_neighbours_of_one_input_are_none():
    world, watch = watched()
    seen = watch.feed(world.explanation(200) + world.descent(200))
    assert "extraction-near-duplicate" not in rules(seen)


def test_clouds_of_noise_around_many_inputs_are_a_membership_probe():
    world, watch = watched()
    seen = watch.feed(neighbours(world, 14, 14, size=0.2))
    (found,) = [d for d in seen if d.rule == "membership-probe"]
    assert found.conclusion == "probe"


def test_two_clouds_are_none():
    world, watch = watched()
    assert "membership-probe" not in rules(watch.feed(neighbours(world, 2, 100, size=0.2)))


def test_inputs_from_elsewhere_are_an_extraction_and_ordinary_ones_are_not():
    world, watch = watched()
    mixed = []
    for _ in range(200):
        mixed += world.crowd(3, users=30)
        mixed.append(world.ask(world.natural(), "honest"))
        mixed.append(world.ask(world.natural() * 0.4, "eve"))
    seen = watch.feed(mixed)
    assert {d.principals for d in seen if d.rule == "extraction-natural"} == {("eve",)}
    (found,) = [d for d in seen if d.rule == "extraction-natural"]
    assert found.first_query <= 100
    assert found.events


def test_far_more_inputs_than_anybody_else_are_worth_a_question():
    world, watch = watched()
    seen = watch.feed(world.ask(world.natural(), "eve") for _ in range(1200))
    seen += watch.tick(world.at + 60_000_000)
    assert [(d.rule, d.principals, d.conclusion) for d in seen] == [
        ("extraction-volume", ("eve",), "misuse")
    ]


def test_the_busiest_of_ordinary_callers_is_not():
    world, watch = watched(2000)
    watch.feed(world.ask(world.natural(), "busy") for _ in range(300))
    assert watch.tick(world.at + 60_000_000) == []


def in_rounds(world, seeds, rounds, size=0.5):
    """Papernot's augmentation: every input gets one neighbour a round, by steps of one length."""
    pool = [world.natural() for _ in range(seeds)]
    events = [world.ask(x, "eve") for x in pool]
    for _ in range(rounds):
        signs = world.rng.choice([-1.0, 1.0], (len(pool), world.dimension))
        made = [x + size * sign for x, sign in zip(pool, signs, strict=True)]
        events += [world.ask(x, "eve") for x in made]
        pool += made
    return events


def test_neighbours_of_neighbours_by_steps_of_one_length_are_a_firm_extraction():
    world, watch = watched()
    seen = watch.feed(in_rounds(world, 25, 3))
    found = [d for d in seen if d.rule == "extraction-near-duplicate"]
    assert {d.principals for d in found} == {("eve",)}
    assert found[-1].confidence == "firm"
    assert "round after round" in found[-1].message
    assert watch.conclude().word == "attack"


def test_noise_around_each_input_is_a_question_and_no_attack():
    world, watch = watched()
    seen = watch.feed(neighbours(world, 40, 4))
    assert {d.confidence for d in seen if d.conclusion == "attack"} == {"tentative"}
    assert watch.conclude().word == "cannot tell"
