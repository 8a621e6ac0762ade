from casemate.detect.words import people, powers, shown


def test_a_hostile_name_is_shown_harmlessly():
    assert shown("eve") == "'eve'"
    assert "\n" not in shown("a\nb\x1b[31m")
    assert len(shown("x" * 10_000)) <= 84
    assert shown("") == "a caller without a name"


def test_figures_and_people():
    assert powers(9.3) == 4.0
    assert people(("eve",)) == "'eve'"
    assert people(("eve", "bob")).startswith("2 principals")
