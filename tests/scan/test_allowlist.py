"""The allow-list: large enough to be quiet, and nothing on it that the table of effects names."""

import re

import pytest

from casemate.scan.allowlist import ALLOW, allowed, read, standing
from casemate.scan.effects import RULES, effect_of

FILES = sorted(path.stem for path in ALLOW.glob("*.json"))
KINDS = ("classes", "states", "functions")


def names(package):
    for kind in KINDS:
        for module, listed in getattr(package, kind).items():
            for name in listed.split():
                yield kind, module, name


@pytest.mark.parametrize("stem", FILES)
def test_each_file_says_what_was_read_and_when(stem):
    package = read(stem)
    assert package.source
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", package.date)
    if stem != "stdlib":
        found = {module.partition(".")[0] for _, module, _ in names(package)}
        assert found <= {stem}


def test_at_least_three_thousand_names_may_be_called_or_built():
    assert sum(1 for stem in FILES for _ in names(read(stem))) >= 3000


def test_nothing_that_is_named_for_an_effect_may_be_called():
    for stem in FILES:
        for kind, module, name in names(read(stem)):
            known = effect_of(module, name)
            called = kind != "states"
            assert not (called and known is not None and known.exact), (module, name)


@pytest.mark.parametrize(
    ("module", "name", "grade"),
    [
        ("collections", "OrderedDict", "class"),
        ("sklearn.linear_model._ridge", "Ridge", "class"),
        ("sklearn.linear_model.logistic", "LogisticRegression", "class"),
        ("numpy.core.multiarray", "_reconstruct", "function"),
        ("numpy._core.multiarray", "_reconstruct", "function"),
        ("torch._utils", "_rebuild_tensor_v2", "function"),
        ("torch.nn.modules.linear", "Linear", "class"),
        ("lightgbm.basic", "Booster", "state"),
        ("numpy", "exp", "reference"),
        ("os", "system", "refused"),
        ("numpy", "load", "refused"),
        ("collections", "os", "unlisted"),
        ("nobody.knows", "This", "unknown"),
        ("../collections", "OrderedDict", "unknown"),
        ("", "", "unknown"),
    ],
)
def test_standing(module, name, grade):
    assert standing(module, name).grade == grade
    assert allowed(module, name) == (grade in ("class", "function", "state", "reference"))


def test_every_effect_has_a_rule():
    for stem in FILES:
        for effects in read(stem).refused.values():
            assert set(effects) <= RULES.keys() | {"apply"}
