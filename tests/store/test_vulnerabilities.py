"""Weaknesses are kept under the next id, once, whoever comes at the same time."""

import threading
from datetime import UTC, datetime

import msgspec
import pytest

from casemate.errors import UsageError
from casemate.store.vulnerabilities import VulnerabilityBook
from casemate.store.workspace import Workspace
from tests.vuln.test_tracking import weakness


@pytest.fixture
def book(tmp_path):
    with Workspace.open(tmp_path / "w") as workspace:
        yield VulnerabilityBook(workspace)


def fresh(ident, known):
    return weakness(ident)


def test_ids_count_up_within_a_year(book):
    ids = [book.open(year, fresh).id for year in (2026, 2026, 2027, 2026)]
    assert ids == ["cmv-2026-0001", "cmv-2026-0002", "cmv-2027-0001", "cmv-2026-0003"]
    assert [one.id for one in book.all()] == sorted(ids)


def test_one_that_is_known_is_changed_and_not_kept_twice(book):
    book.open(2026, fresh)
    kept = book.open(2026, lambda ident, known: msgspec.structs.replace(known[0], title="again"))
    assert kept.id == "cmv-2026-0001"
    assert [one.title for one in book.all()] == ["again"]


def test_it_is_found_by_what_people_type(book):
    for year in (2025, 2026, 2026):
        book.open(year, fresh)
    for which in ("cmv-2026-0002", "2026-2", "2026-0002", "2", "latest"):
        assert book.get(which).id == "cmv-2026-0002"
    with pytest.raises(UsageError, match="2 vulnerabilities"):
        book.get("1")
    for which in ("9", "cmv-2026-00021", "x", "", "'; DROP TABLE vulnerabilities"):
        with pytest.raises(UsageError, match="no vulnerability"):
            book.get(which)


def test_a_change_is_made_to_what_is_there_now(book):
    ident = book.open(2026, fresh).id
    book.change(ident, lambda one: msgspec.structs.replace(one, notes=(*one.notes, "a")))
    book.change(ident, lambda one: msgspec.structs.replace(one, notes=(*one.notes, "b")))
    assert book.get(ident).notes == ("a", "b")
    with pytest.raises(UsageError):
        book.change("cmv-2026-0009", lambda one: one)


def test_reporters_at_the_same_time_get_different_ids(tmp_path):
    folder = tmp_path / "w"
    Workspace.open(folder).close()
    found = []

    def report():
        with Workspace.open(folder) as workspace:
            found.extend(VulnerabilityBook(workspace).open(2026, fresh).id for _ in range(5))

    threads = [threading.Thread(target=report) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(set(found)) == 20


def test_what_was_kept_reads_the_same(book):
    made = weakness(opened=datetime(2026, 1, 2, tzinfo=UTC), notes=("one", "two"))
    book.open(2026, lambda ident, known: made)
    assert book.get("latest") == made
