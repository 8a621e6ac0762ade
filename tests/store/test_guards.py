"""What guards say of themselves, and when they are no longer taken for alive."""

import pytest

from casemate.store.guards import ALIVE, GuardBook, Standing
from casemate.store.workspace import Workspace

NOW = 1_780_000_000_000_000


@pytest.fixture
def book(tmp_path):
    with Workspace.open(tmp_path / ".casemate") as workspace:
        yield GuardBook(workspace)


def a_guard(writer="w-a", seen=NOW, **more):
    return Standing(writer=writer, mode="enforce", upstream="http://m:1", seen=seen, **more)


def test_the_last_word_of_each_guard_counts(book):
    book.tell(a_guard())
    book.tell(a_guard(seen=NOW + 1, obeys=("ord-1",), refuses={"ord-2": "why"}))
    book.tell(a_guard("w-b"))
    assert [one.writer for one in book.all()] == ["w-a", "w-b"]
    assert book.all()[0].obeys == ("ord-1",)


def test_silence_is_not_life(book):
    book.tell(a_guard())
    assert book.alive(NOW + ALIVE - 1)
    assert book.alive(NOW + ALIVE) == []
    book.gone("w-a")
    assert book.all() == []


def test_guards_that_ended_without_a_word_are_forgotten_in_time(book):
    book.tell(a_guard())
    book.tell(a_guard("w-b", seen=NOW + 8 * 86_400_000_000))
    assert [one.writer for one in book.all()] == ["w-b"]
