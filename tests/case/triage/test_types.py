"""Each type by what it alone shows: attacks of an exact world among ordinary callers."""

import numpy as np
import pytest

from casemate.case.triage.report import triage
from tests.case.triage.test_report import USERS, store
from tests.detect.traffic import World


def membership(world):
    """Noise around many inputs."""
    for _ in range(12):
        x = world.natural()
        yield world.ask(x, "mallory")
        for _ in range(14):
            yield world.ask(x + 0.15 * world.rng.standard_normal(world.dimension), "mallory")


def equations(world):
    """Inputs made up at random, far from anybody's."""
    for _ in range(120):
        yield world.ask(9 * world.rng.uniform(-1, 1, world.dimension) + 6, "mallory")


def rounds(world):
    """A few inputs, then steps of one size from those known so far."""
    pool = [world.natural() for _ in range(80)]
    for x in pool:
        yield world.ask(x, "mallory")
    for _ in range(150):
        parent = pool[int(world.rng.integers(len(pool)))]
        way = world.rng.choice([-1.0, 1.0], world.dimension)
        pool.append(parent + 0.35 * way)
        yield world.ask(pool[-1], "mallory")


def inversion(world):
    """A climb from far away to what the model is surest of."""
    x = np.full(world.dimension, 12.0)
    best = world.score(x)
    yield world.ask(x, "mallory")
    for _ in range(150):
        tried = x + 0.8 * world.rng.standard_normal(world.dimension)
        yield world.ask(tried, "mallory")
        if world.score(tried) > best:
            x, best = tried, world.score(tried)


def reprogramming(world):
    """One foreign pattern with a few cells that carry another task."""
    program = np.full(world.dimension, 11.0)
    for _ in range(120):
        x = program.copy()
        x[:6] += world.rng.standard_normal(6) * 2
        yield world.ask(x, "mallory")


CASES = {
    "membership-inference": membership,
    "model-inversion": inversion,
    "neural-net-reprogramming": reprogramming,
}


@pytest.mark.parametrize("kind", CASES)
def test_a_type_is_told_from_the_others(tmp_path, kind):
    world = World(seed=21)
    world.w *= 0.05  # a model that is nowhere quite sure, so that there is something to climb
    calm = world.crowd(450, USERS)
    found = triage(store(tmp_path, [*calm, *CASES[kind](world), *world.crowd(100, USERS)]))
    assert found.guesses[0].threat == kind, found.guesses
    assert [one.principal for one in found.suspects] == ["mallory"]
    assert found.assessment in ("attack", "probe")


@pytest.mark.parametrize("theft", [equations, rounds])
def test_a_copy_is_told_by_inputs_made_up_or_made_from_others(tmp_path, theft):
    world = World(seed=22)
    calm = world.crowd(450, USERS)
    found = triage(store(tmp_path, [*calm, *theft(world), *world.crowd(100, USERS)]))
    assert found.guesses[0].threat == "model-stealing", found.guesses
    assert [one.principal for one in found.suspects] == ["mallory"]
    assert "how good a copy is cannot be told" in found.success_note


def test_one_input_that_goes_round_is_no_search(tmp_path):
    world = World(seed=23)
    calm = world.crowd(450, USERS)
    x = world.natural()
    spread = [
        world.ask(x + 0.1 * world.rng.standard_normal(world.dimension), f"fan-{i}")
        for i in range(80)
    ]
    found = triage(store(tmp_path, [*calm, *spread, *world.crowd(100, USERS)]))
    assert found.assessment != "attack"


def test_films_are_no_attack(tmp_path):
    world = World(seed=24)
    calm = world.crowd(450, USERS)
    found = triage(store(tmp_path, [*calm, *world.film(150), *world.crowd(100, USERS)]))
    assert found.assessment == "probe"
    assert found.guesses[0].threat == "benign"
