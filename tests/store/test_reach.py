"""The walk itself: a long chain is no deeper than a short one, and nothing is walked twice."""

from array import array

from casemate.store import reach as module


def follow(starts, recorded, proposed, most, back=()):
    columns = zip(*recorded, strict=True) if recorded else ((), (), ())
    steps = module.links(*(array("q", column) for column in columns), back)
    return module.follow(starts, steps, proposed, most)


def test_a_chain_of_many_steps_is_walked_to_its_end():
    length = 50_000
    chain = [(one, one + 1, 7 * one) for one in range(1, length)]
    reach = follow([1], chain, [], 10**6)
    assert reach.numbers == list(range(1, length + 1))
    assert len(reach.path(length)) == length - 1
    assert reach.before(2) == (1, 7)
    assert reach.before(1) is None


def test_nothing_is_walked_twice():
    complete = [(a, b, 100 * a + b) for a in range(1, 20) for b in range(1, 20)]
    assert sorted(follow([3], complete, [], 100).numbers) == list(range(1, 20))


def test_no_edges_reach_the_starts_alone():
    assert follow([4, 2], [], [], 10).numbers == [4, 2]
    assert follow([], [(1, 2, 1)], [], 10).numbers == []


def test_proposals_alone_are_followed():
    reach = follow([1], [], [(1, 2, 5, 0.5), (2, 3, 6, 0.5)], 10)
    assert reach.numbers == [1, 2, 3]
    assert reach.exact == 1
    assert reach.confidence == {2: 0.5, 3: 0.25}
    assert reach.path(3) == [(1, 5), (2, 6)]


def test_a_bound_holds_among_proposals_too():
    reach = follow([1], [], [(1, one, one, 0.5) for one in range(2, 9)], 3)
    assert len(reach.numbers) == 3
    assert reach.cut


def test_edges_out_of_order_and_edges_besides_are_walked_alike():
    steps = [(a, (7 * a) % 31 + 1, a) for a in range(1, 31)]
    expected = sorted(follow([1], steps, [], 100).numbers)
    assert len(expected) > 5
    assert sorted(follow([1], steps[::-1], [], 100).numbers) == expected
    assert sorted(follow([1], [], [], 100, back=steps).numbers) == expected
    assert sorted(follow([1], steps[::2], [], 100, back=steps[1::2]).numbers) == expected


def test_a_proposal_leads_on_over_edges_besides():
    reach = follow([1], [], [(1, 2, 5, 0.5)], 10, back=[(2, 3, 6)])
    assert reach.confidence == {2: 0.5, 3: 0.5}
    assert reach.path(3) == [(1, 5), (2, 6)]
