"""An outbox keeps order, never grows beyond its room, and counts what it could not take."""

from casemate.store.streams.outbox import Loss, Outbox, Piece


def pieces(first, last, size=10):
    return [Piece(b"x" * size, f"w:{n}", n) for n in range(first, last)]


def test_pieces_leave_in_order_and_make_room():
    box = Outbox(100)
    assert box.offer(pieces(0, 10))
    assert [one.at for one in box.peek(33)] == [0, 1, 2]
    box.done(3)
    assert box.offer(pieces(10, 13))
    assert not box.offer(pieces(13, 14))
    assert [one.at for one in box.peek(10_000)] == list(range(3, 13))


def test_a_message_is_of_one_key():
    box = Outbox(100)
    box.offer([Piece(b"x", f"{key}:{n}", n, key) for n, key in enumerate("aabba")])
    for count in (2, 2, 1):
        assert len(box.peek(10_000)) == count
        box.done(count)


def test_one_that_is_larger_than_a_message_still_goes_by_itself():
    box = Outbox(1000)
    box.offer(pieces(0, 2, size=400))
    assert len(box.peek(10)) == 1


def test_losses_are_told_once_with_their_span():
    box = Outbox(50)
    assert box.loss() is None
    box.offer(pieces(0, 5))
    box.offer(pieces(5, 8))
    box.offer(pieces(8, 9))
    assert box.loss() == Loss(4, 5, 8, "w:5")
    assert box.loss() is None
    box.refused(1)
    assert box.loss() == Loss(1, 0, 0, "w:0")
    assert box.lost == 5
    assert len(box) == 4
