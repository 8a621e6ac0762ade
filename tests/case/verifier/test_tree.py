"""The verifier's tree against the store's, which was written apart from it."""

import pytest

from casemate.case.verifier.tree import climb, grow, hash_leaf, steps_of, top
from casemate.store.telemetry import merkle


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 8, 13, 64, 100])
def test_roots_and_paths_agree(size):
    data = [bytes([one]) * one for one in range(size)]
    hashes = [merkle.leaf(one) for one in data]
    peaks = []
    for number, one in enumerate(data):
        grow(peaks, number, hash_leaf(one))
    root = top(peaks, size)
    assert root == merkle.root(hashes)
    for number, one in enumerate(data):
        path = merkle.path(hashes, number)
        assert climb(hash_leaf(one), number, size, steps_of(b"".join(path))) == root
        assert climb(hash_leaf(one), number, size, [*path, bytes(32)]) is None
        if size > 1:
            assert climb(hash_leaf(one), (number + 1) % size, size, path) != root
    assert climb(bytes(32), size, size, []) is None
