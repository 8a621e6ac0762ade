import pytest

from casemate.errors import UsageError
from casemate.gate.bar import DEFAULT, floor_of, read_bar


def test_out_of_the_box_there_is_no_floor():
    bar = read_bar()
    assert bar.id == DEFAULT
    assert (bar.artifact, bar.attack, bar.robust) == ("critical", None, {})
    assert bar.regression == 0.0


def test_published_bar_stops_on_important():
    bar = read_bar("ml-bug-bar")
    assert (bar.artifact, bar.attack) == ("important", "important")


def test_a_file_needs_only_what_decides(tmp_path):
    (tmp_path / "bar.toml").write_text('artifact = "moderate"\nregression = 0.02\n')
    bar = read_bar("bar.toml", root=tmp_path)
    assert (bar.id, bar.artifact, bar.regression) == ("bar", "moderate", 0.02)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("artefact = 'critical'", "unknown key 'artefact'"),
        ("artifact = 'awful'", "awful"),
        ("regression = 2.0", "regression = 2.0"),
        ("robust = {evasion-nonsense = 0.5}", "no entry 'evasion-nonsense'"),
        ("this is not toml", "cannot read the bar"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(tmp_path, text, says):
    (tmp_path / "bar.toml").write_text(text + "\n")
    with pytest.raises(UsageError, match=r"bar|evasion-nonsense") as caught:
        read_bar("bar.toml", root=tmp_path)
    assert says in str(caught.value)


def test_absent_bars_get_a_hint(tmp_path):
    with pytest.raises(UsageError, match="no bar file") as caught:
        read_bar("none.toml", root=tmp_path)
    assert "no-regressions" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        read_bar("ml-bugbar")
    assert "ml-bug-bar" in caught.value.hint


def test_floor_keys():
    assert floor_of("evasion-pgd") == ("evasion-pgd", None)
    assert floor_of("evasion-pgd@0.1") == ("evasion-pgd", 0.1)
    with pytest.raises(ValueError, match="much"):
        floor_of("evasion-pgd@much")
