"""Bytes are counted once, and the worse answer counts."""

from hypothesis import given
from hypothesis import strategies as st

from casemate.formats.seen import Coverage, Span
from casemate.scan.coverage import Share, count

SIZE = 40
STATES = ["refused", "scanned", "data"]
ranges = st.tuples(st.integers(-3, SIZE + 3), st.integers(-3, SIZE + 3))


@given(st.lists(st.tuples(ranges, st.sampled_from(STATES)), max_size=8))
def test_agrees_with_counting_byte_by_byte(given_spans):
    spans = [Span(*bounds, state) for bounds, state in given_spans]
    got, missing = count(SIZE, spans, [])
    want = dict.fromkeys(STATES, 0)
    unmentioned = 0
    for byte in range(SIZE):
        here = [s.state for s in spans if s.start <= byte < s.end]
        want[min(here, key=STATES.index) if here else "refused"] += 1
        unmentioned += not here
    assert got == Coverage(want["scanned"], want["data"], want["refused"])
    assert sum(end - start for start, end in missing) == unmentioned


inner = st.builds(Coverage, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))


@given(
    st.lists(st.tuples(ranges, inner), max_size=5),
    st.lists(st.tuples(ranges, st.sampled_from(STATES)), max_size=4),
)
def test_parts_never_lose_a_byte_nor_a_refusal(given_shares, given_spans):
    shares = [Share(*bounds, part) for bounds, part in given_shares]
    spans = [Span(*bounds, state) for bounds, state in given_spans]
    got, _ = count(SIZE, spans, shares)
    assert sum(got) == SIZE
    assert min(got) >= 0
    for share in shares:
        if share.inner.refused and max(share.start, 0) < min(share.end, SIZE):
            assert got.refused > 0


def test_a_compressed_part_carries_its_shares_over():
    got, _ = count(10, [], [Share(0, 10, Coverage(100, 900, 0))])
    assert got == Coverage(1, 9, 0)
    got, _ = count(10, [], [Share(0, 10, Coverage(999_999, 0, 1))])
    assert got == Coverage(9, 0, 1)
