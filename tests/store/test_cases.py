"""The book of cases: ids by year, a chained custody log, and one winner of two at once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import msgspec
import pytest

from casemate.errors import UsageError
from casemate.records.incident import Action, Incident
from casemate.records.severity import Severity
from casemate.store.cases import CaseBook, line
from casemate.store.workspace import Workspace

TWICE = """UPDATE actions SET (body, digest) = (
    SELECT body, digest FROM actions AS other WHERE other.number = 2
) WHERE number = 3"""
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def an_action(case="", text="did", author="ana", kind="noted") -> Action:
    return Action(case=case, number=0, at=NOW, author=author, kind=kind, text=text)


def opened(book: CaseBook, year: int = 2026) -> Incident:
    def make(ident):
        case = Incident(
            id=ident, title="t", severity=Severity.LOW, opened=NOW, opened_by="ana", aware=NOW
        )
        return case, an_action(ident, "opened", kind="opened")

    return book.open(year, make)


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / ".casemate") as found:
        yield found


@pytest.fixture
def book(workspace):
    return CaseBook(workspace)


def test_cases_are_numbered_by_year_and_found_by_what_people_say(book):
    first, second, other = opened(book), opened(book), opened(book, 2027)
    assert [one.id for one in (first, second, other)] == [
        "case-2026-0001", "case-2026-0002", "case-2027-0001",
    ]  # fmt: skip
    assert book.get("2").id == second.id
    assert book.get("case-2026-2").id == second.id
    assert book.get("2027-1").id == other.id
    assert book.get("latest").id == other.id
    with pytest.raises(UsageError, match="2 cases"):
        book.get("1")
    for name in ("7", "nobody", "", "case-"):
        with pytest.raises(UsageError, match="no case"):
            book.get(name)


def test_the_log_is_a_chain(book):
    case = opened(book)
    for n in range(5):
        book.change(case.id, an_action(text=str(n)))
    log = book.log(case.id)
    assert log.faults == ()
    assert [one.number for one in log.actions] == list(range(6))
    assert [one.case for one in log.actions] == [case.id] * 6
    assert log.actions[0].previous is None
    assert len({one.previous for one in log.actions}) == 6
    assert book.get(case.id).version == 5


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE actions SET body = replace(body, '\"2\"', '\"9\"') WHERE number = 3", "changed"),
        ("DELETE FROM actions WHERE number = 3", "missing"),
        ("UPDATE actions SET body = x'00' WHERE number = 3", "no action"),
        (TWICE, "out of place"),
        ("DELETE FROM actions WHERE number >= 3", "last 3 lines are missing"),
        ("DELETE FROM actions", "last 6 lines are missing"),
    ],
)
def test_an_edited_log_says_which_line(workspace, book, statement, says):
    case = opened(book)
    for n in range(5):
        book.change(case.id, an_action(text=str(n)))
    with workspace.writing() as database:
        database.execute(statement)
    faults = book.log(case.id).faults
    assert any(says in one for one in faults), faults
    if "last" not in says:
        assert any("line 3" in one for one in faults), faults


def test_an_edited_line_with_a_new_digest_breaks_the_chain(workspace, book):
    import hashlib

    case = opened(book)
    for n in range(3):
        book.change(case.id, an_action(text=str(n)))
    changed = line(msgspec.structs.replace(book.log(case.id).actions[1], text="forged"))
    with workspace.writing() as database:
        database.execute(
            "UPDATE actions SET body = ?, digest = ? WHERE number = 1",
            (changed, f"sha256:{hashlib.sha256(changed).hexdigest()}"),
        )
    assert "line 2 does not follow the line before it" in book.log(case.id).faults


def test_what_is_written_besides_holds_with_the_line_or_not_at_all(book):
    case = opened(book)

    def fail(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        book.change(case.id, an_action(), also=fail)
    assert len(book.log(case.id).actions) == 1
    assert book.get(case.id).version == 0


def test_of_two_responders_at_once_one_wins_and_both_are_on_the_log(tmp_path):
    folder = tmp_path / ".casemate"
    with Workspace.open(folder) as workspace:
        case = opened(CaseBook(workspace))
    barrier = threading.Barrier(4)
    ends: list[str] = []
    told: list[str] = []

    def act(author: str) -> None:
        with Workspace.open(folder) as mine:
            barrier.wait(10)
            try:
                CaseBook(mine).change(
                    case.id,
                    an_action(text=f"{author} takes it", author=author, kind="assigned"),
                    lambda one: msgspec.structs.replace(one, owner=author),
                    version=case.version,
                )
                ends.append(author)
            except UsageError as error:
                told.append(str(error))

    threads = [threading.Thread(target=act, args=(name,)) for name in ("ana", "bo", "cy", "di")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(ends) == 1
    assert all("was changed in the meantime by" in one for one in told)
    with Workspace.open(folder) as workspace:
        found = CaseBook(workspace).get(case.id)
        log = CaseBook(workspace).log(case.id)
    assert found.owner == ends[0]
    assert found.version == 1
    assert log.faults == ()
    assert sorted(one.author for one in log.actions[1:]) == ["ana", "bo", "cy", "di"]
    assert [one.outcome for one in log.actions[1:]].count("conflict") == 3


def test_a_change_that_fails_leaves_no_line(book):
    case = opened(book)
    with pytest.raises(ZeroDivisionError):
        book.change(case.id, an_action(), lambda one: 1 / 0)
    assert len(book.log(case.id).actions) == 1
    with pytest.raises(UsageError, match="no case"):
        book.change("case-2026-0009", an_action())
