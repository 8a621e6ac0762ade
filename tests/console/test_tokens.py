"""The token file lets in whom it names and nobody else, from the moment it says so."""

import os
from datetime import date

import pytest

from casemate.console.people import Person
from casemate.console.tokens import GRACE, PREFIX, Tokens, add
from casemate.errors import UsageError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys" / "tokens.toml"


def test_a_token_lets_its_owner_in_and_is_not_in_the_file(file):
    ann = add(file, "ann@example.org", "responder")
    bob = add(file, "bob", "viewer")
    tokens = Tokens(file)
    assert tokens.person(ann) == Person("ann@example.org", "responder", "token")
    assert tokens.person(bob) == Person("bob", "viewer", "token")
    assert ann.startswith(PREFIX)
    assert ann not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    for wrong in ("", PREFIX, ann[:-1], ann + "x", ann.upper(), "\ud800"):
        assert tokens.person(wrong) is None


def test_what_is_taken_out_of_the_file_is_out_at_once(file):
    ann = add(file, "ann", "responder")
    tokens = Tokens(file)
    person = tokens.person(ann)
    assert tokens.stands(person)
    file.write_text("")
    assert not tokens.stands(person)
    assert tokens.person(ann) is None
    assert tokens.stands(Person("olga", "admin", "oidc"))


def test_a_lower_role_ends_what_the_higher_one_began(file):
    ann = add(file, "ann", "admin")
    tokens = Tokens(file)
    person = tokens.person(ann)
    file.write_text(file.read_text().replace("admin", "viewer"))
    assert not tokens.stands(person)
    assert tokens.person(ann).role == "viewer"


def test_tokens_expire(file):
    ann = add(file, "ann", "viewer", date(2026, 11, 21))
    tokens = Tokens(file)
    assert tokens.person(ann, date(2026, 11, 21)) is not None
    assert tokens.person(ann, date(2026, 11, 22)) is None


BREAKS = {
    "gone": lambda file: file.unlink(),
    "broken": lambda file: file.write_text("[[token"),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-9]),
    "others write it": lambda file: file.chmod(0o666),
    "a folder": lambda file: [file.unlink(), file.mkdir()],
}


@pytest.mark.parametrize("way", BREAKS)
def test_a_file_that_breaks_while_it_is_used_lets_nobody_in_after_seconds(file, caplog, way):
    now = [0.0]
    ann = add(file, "ann", "viewer")
    tokens = Tokens(file, clock=lambda: now[0])
    kept = file.read_bytes()
    now[0] = 3600.0
    person = tokens.person(ann)
    BREAKS[way](file)
    now[0] += GRACE
    assert tokens.person(ann) == person
    assert tokens.stands(person)
    assert not caplog.records
    for _ in range(3):
        now[0] += 0.1
        assert tokens.person(ann) is None
        assert not tokens.stands(person)
    (said,) = caplog.messages
    assert "no token is let in" in said
    assert str(file) in said
    assert file.is_dir() or ann not in said
    if file.is_dir():
        file.rmdir()
    file.write_bytes(kept)
    file.chmod(0o600)
    assert tokens.person(ann) == person
    assert "good again" in caplog.messages[1]


def test_a_file_that_broke_while_nobody_asked_lets_nobody_in(file):
    now = [0.0]
    ann = add(file, "ann", "viewer")
    tokens = Tokens(file, clock=lambda: now[0])
    file.unlink()
    now[0] = 3600.0
    assert tokens.person(ann) is None


@pytest.mark.skipif(os.name != "posix", reason="rights of files")
def test_only_a_chmod_is_noticed_too(file):
    now = [0.0]
    ann = add(file, "ann", "viewer")
    tokens = Tokens(file, clock=lambda: now[0])
    file.chmod(0o622)
    now[0] = 2 * GRACE
    assert tokens.person(ann) is None
    file.chmod(0o600)
    assert tokens.person(ann) is not None


@pytest.mark.parametrize(
    ("name", "role"),
    [("", "viewer"), ("a b", "viewer"), ('x"\n', "admin"), ("ann", "root"), ("é", "viewer")],
)
def test_names_and_roles_are_checked(file, name, role):
    with pytest.raises(UsageError):
        add(file, name, role)
    assert not file.exists()


@pytest.mark.parametrize(
    "text",
    [
        "[[token]]\nname = 'a'\nrole = 'admin'\ndigest = 'secret'\n",
        "[[token]]\nname = 'a'\nrole = 'god'\ndigest = ''\n",
        "[[token]]\nname = 'a'\nrole = 'admin'\ndigest = ''\npassword = 'x'\n",
        "token = 1",
        "\xff",
    ],
)
def test_what_is_no_token_file_ends_the_start(file, text):
    file.parent.mkdir()
    file.write_text(text, encoding="latin-1")
    file.chmod(0o600)
    with pytest.raises(UsageError):
        Tokens(file)
    with pytest.raises(UsageError):
        add(file, "ann", "viewer")


@pytest.mark.skipif(os.name != "posix", reason="rights of files")
def test_a_file_that_others_may_write_is_refused(file):
    add(file, "ann", "viewer")
    file.chmod(0o660)
    with pytest.raises(UsageError, match="others may write"):
        Tokens(file)
