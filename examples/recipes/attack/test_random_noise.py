"""Against a model whose optimum is known: nothing can succeed inside the exact distance."""

from tests.attack.models import linear, near_boundary, optimum

from casemate.attack.run import run


def test_it_succeeds_beyond_the_optimum_and_never_within():
    model = linear()
    data = near_boundary(model)
    nearest = float(optimum(model, data.x, data.y, "linf").min())
    for eps, fools in ((0.4, True), (0.99 * nearest, False)):
        params = {"eps": eps, "steps": 50}
        found = run(model, data, "evasion-random-noise", params=params, seed=0)
        assert found.state == "complete"
        assert any(one.success for one in found.outcomes) is fools
