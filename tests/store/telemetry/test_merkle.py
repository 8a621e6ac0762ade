"""The tree is RFC 9162's, by its recursive definition and by known roots."""

import hashlib

from casemate.store.telemetry import merkle


def defined(hashes):
    """MTH of RFC 9162, 2.1.1, over leaf hashes."""
    if not hashes:
        return hashlib.sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    return merkle.node(defined(hashes[:half]), defined(hashes[half:]))


def test_roots_and_paths_of_every_size():
    growing, hashes = merkle.Growing(), []
    for size in range(66):
        assert merkle.root(hashes) == defined(hashes) == growing.root()
        for index in range(size):
            path = merkle.path(hashes, index)
            assert merkle.climb(hashes[index], index, size, path) == growing.root()
            assert merkle.climb(hashes[index], index, size, [*path, bytes(32)]) is None
            assert merkle.climb(hashes[index], size, size, path) is None
            if path:
                assert merkle.climb(hashes[index], index, size, path[:-1]) != growing.root()
        hashes.append(merkle.leaf(b"%d" % size))
        growing.add(hashes[-1])


def test_roots_published_with_certificate_transparency():
    # From the reference tests of google/certificate-transparency (merkletree/merkle_tree_test.cc).
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    hashes = [merkle.leaf(bytes.fromhex(text)) for text in inputs]
    assert merkle.root(hashes[:1]).hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )
    assert merkle.root(hashes[:2]).hex() == (
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    )
    assert merkle.root(hashes[:7]).hex() == (
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"
    )
