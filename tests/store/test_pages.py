"""The book of pages decides once, also among processes, and lends a page to one at a time."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from casemate.store.pages import PageBook, Posted
from casemate.store.workspace import Workspace

NOW = 1_795_230_725_000_000
HOUR = 3600 * 1_000_000


def each(waiting):
    return [Posted(f"page-{one.topic}-{one.times}", one.body, (one.topic,)) for one in waiting]


@pytest.fixture
def book(tmp_path):
    with Workspace.open(tmp_path / ".casemate") as workspace:
        yield PageBook(workspace)


def test_a_topic_is_posted_once_per_channel_until_again(book):
    assert book.post("a", {"t": b"1"}, each, now=NOW, again=HOUR) == {"t": "posted"}
    assert book.post("a", {"t": b"2"}, each, now=NOW + 1, again=HOUR) == {"t": "repeated"}
    assert book.post("b", {"t": b"3"}, each, now=NOW + 1, again=HOUR) == {"t": "posted"}
    assert book.post("a", {"t": b"4"}, each, now=NOW + HOUR, again=HOUR) == {"t": "posted"}
    assert book.post("a", {"t": b"5"}, each, now=NOW + 9 * HOUR) == {"t": "repeated"}
    assert [one.id for one in book.claim(NOW + 9 * HOUR, HOUR)] == [
        "page-t-0", "page-t-0", "page-t-1",
    ][1:]  # fmt: skip


def test_a_topic_that_rises_is_told_again_once_per_rise(book):
    def post(at, severity, conclusion):
        weights = {"t": (severity, conclusion)}
        return book.post("a", {"t": b"1"}, each, now=at, weights=weights, again=HOUR)["t"]

    assert post(NOW, 1, 1) == "posted"
    assert post(NOW + 1, 3, 1) == "posted"
    assert post(NOW + 2, 3, 1) == "repeated"
    assert post(NOW + 3, 1, 4) == "posted"  # milder, and yet an attack now
    assert post(NOW + 4, 3, 4) == "repeated"
    assert post(NOW + 5, 1, 1) == "repeated"
    assert post(NOW + 2 * HOUR, 1, 1) == "posted"
    assert post(NOW + 2 * HOUR + 1, 3, 1) == "posted"  # as people were last told of a mild one
    assert len(book.claim(NOW + 9 * HOUR, HOUR)) == 5


def test_what_is_held_is_told_as_the_gravest_it_was(book):
    book.post("a", {"other": b"o"}, each, now=NOW)
    for at, body, weight in ((1, b"mild", 1), (2, b"grave", 3), (3, b"milder", 0)):
        states = book.post(
            "a", {"t": body}, each, now=NOW + at, weights={"t": (weight, 0)}, most=1, pause=HOUR
        )
        assert states == {"t": "held"}
    assert book.post("a", {}, each, now=NOW + 2 * HOUR, most=1, pause=HOUR) == {"t": "posted"}
    assert [one.body for one in book.claim(NOW + 2 * HOUR, HOUR)] == [b"o", b"grave"]
    again = book.post("a", {"t": b"g"}, each, now=NOW + 2 * HOUR + 1, weights={"t": (3, 0)})
    assert again == {"t": "repeated"}


def test_nothing_is_decided_when_composing_fails(book):
    def broken(waiting):
        raise RuntimeError("no words")

    with pytest.raises(RuntimeError):
        book.post("a", {"t": b"1"}, broken, now=NOW)
    assert book.post("a", {"t": b"1"}, each, now=NOW) == {"t": "posted"}


def test_two_processes_decide_and_deliver_once(tmp_path):
    folder = tmp_path / ".casemate"
    Workspace.open(folder).close()

    def work(_):
        with Workspace.open(folder) as workspace:
            book = PageBook(workspace)
            states = [book.post("a", {f"t{n}": b"x"}, each, now=NOW)[f"t{n}"] for n in range(20)]
            return states.count("posted"), [one.id for one in book.claim(NOW, HOUR)]

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(work, range(4)))
    assert sum(posted for posted, _ in done) == 20
    claimed = [ident for _, ids in done for ident in ids]
    assert sorted(claimed) == sorted(f"page-t{n}-0" for n in range(20))


def test_a_page_is_lent_put_off_and_settled(book):
    book.post("a", {"t": b"1"}, each, now=NOW)
    (page,) = book.claim(NOW, 60)
    assert book.claim(NOW + 59, 60) == []
    book.postpone(page.id, NOW + 100, tried=True)
    (again,) = book.claim(NOW + 100, 60)
    assert (again.tries, again.made, again.body) == (1, NOW, b"1")
    book.settle(page.id, "sent")
    assert book.claim(NOW + HOUR, 60) == []


def test_what_is_old_is_forgotten_and_what_waits_is_not(book):
    book.post("a", {"told": b"1"}, each, now=NOW)
    book.settle("page-told-0", "sent")
    book.post("a", {"held": b"1"}, each, now=NOW + 1, most=1, pause=HOUR)
    book.forget(NOW + 9 * HOUR)
    states = book.post("a", {"told": b"1"}, each, now=NOW + 9 * HOUR)
    assert states == {"told": "posted", "held": "posted"}
