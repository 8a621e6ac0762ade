"""Entries are read strictly, found by id or alias, and their parameters are checked."""

import pytest

from casemate.catalog import loader
from casemate.catalog.entries import Attack, Param, Rule
from casemate.errors import CatalogError, UsageError
from casemate.records.severity import Severity

ATTACK = Attack(
    id="evasion-x", kind="attacks", title="X", why="w", misses="m", family="evasion",
    needs=("scores",), knowledge="score-based", severity=Severity.IMPORTANT, severity_why="s",
    params={
        "eps": Param(type="float", help="radius", default=0.1, low=0.0, high=1.0),
        "steps": Param(type="int", help="steps", default=5),
        "norm": Param(type="str", help="norm", default="linf", choices=("linf", "l2")),
        "random": Param(type="bool", help="start", default=True),
    },
)  # fmt: skip


def test_defaults_are_filled_in_and_words_converted():
    values = loader.params(ATTACK, {"eps": "0.5", "random": "no"})
    assert values == {"eps": 0.5, "steps": 5, "norm": "linf", "random": False}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"epss": "1"}, "no parameter"),
        ({"eps": "2"}, "out of range"),
        ({"eps": "nan"}, "finite"),
        ({"eps": "inf"}, "finite"),
        ({"steps": "1.5"}, "not a int"),
        ({"norm": "l7"}, "norm=l7"),
        ({"random": "perhaps"}, "not a bool"),
    ],
)
def test_wrong_parameters_are_refused(given, complaint):
    with pytest.raises(UsageError, match=complaint):
        loader.params(ATTACK, given)


def test_an_unknown_key_in_an_entry_is_refused(tmp_path):
    path = tmp_path / "a-rule.toml"
    path.write_text('title = "t"\nwhy = "w"\nmisses = "m"\ncolour = "red"\n')
    with pytest.raises(CatalogError, match=r"colour|severity"):
        loader.read_entry("rules", path)


def test_nearest_id_is_named():
    some = next(iter(loader.entries("rules", Rule)))
    with pytest.raises(UsageError) as caught:
        loader.find(some[:-1])
    assert some in caught.value.hint


def test_asking_for_a_kind_with_another_type_is_a_mistake():
    with pytest.raises(TypeError):
        loader.entries("rules", Attack)
