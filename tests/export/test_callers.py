"""No name of a caller is left in what others read."""

import pytest

from casemate.export import callers
from tests.export.weaknesses_made import incident, weakness

LONG = "acct-" + "q" * 120


@pytest.mark.parametrize(
    ("text", "names", "said"),
    [
        ("a search by evilmax", ["evilmax"], "a search by caller 1"),
        ("EvilMax's, of evilmax_2", ["evilmax"], "caller 1's, of caller 1_2"),
        ("evilmaximal", ["evilmax"], "evilmaximal"),
        ("al and al-2", ["al", "al-2"], "caller 1 and caller 2"),
        ("a search", ["", " "], "a search"),
        ("'x\\u202ey' asked", ["x\u202ey"], "'caller 1' asked"),
        (f"'{LONG[:79]}…' asked", [LONG], "'caller 1' asked"),
        ("a" * 194 + " by ev", ["evilmax"], "a" * 194 + " by ev"),
        ("a" * 192 + " by evil", ["evilmax"], "a" * 192 + " by caller 1"),
    ],
)
def test_a_name_becomes_a_number(text, names, said):
    assert callers.hidden(text, names) == said


def test_one_word_can_stand_for_all():
    assert callers.hidden("eve and bo", ["eve", "bo"], word="a caller") == "a caller and a caller"


def test_a_case_and_a_weakness_lose_the_names_in_their_words_alone():
    names = ("eve", "fraud-bot")
    case = incident(
        title="a search by eve", closing="eve is stopped", facts={"note": "eve", "n": 3}
    )
    made = callers.incident_without(case, names)
    assert (made.title, made.closing) == ("a search by caller 1", "caller 1 is stopped")
    assert made.facts == {"note": "caller 1", "n": 3}
    assert [one.principal for one in made.triage.suspects] == ["caller 1", "caller 2"]
    assert made.triage.queries == case.triage.queries
    one = callers.weakness_without(weakness(title="of eve", notes=("by eve",)), names)
    assert (one.title, one.notes, one.affected) == (
        "of caller 1",
        ("by caller 1",),
        weakness().affected,
    )
    assert callers.without(case, ()) is case
