"""The Merkle tree of RFC 9162, section 2.1, over SHA-256: roots, inclusion paths, their check."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EMPTY = hashlib.sha256().digest()
"""Root of a tree without leaves."""


def leaf(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\0" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    if not hashes:
        return EMPTY
    while len(hashes) > 1:
        hashes = _above(hashes)
    return hashes[0]


def path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return the inclusion path of leaf `index`, from the leaf to the root."""
    return paths(hashes, (index,))[0]


def paths(hashes: Sequence[bytes], indexes: Sequence[int]) -> list[list[bytes]]:
    """Return the inclusion paths of several leaves; the tree is built once for all of them."""
    places = list(indexes)
    found: list[list[bytes]] = [[] for _ in places]
    while len(hashes) > 1:
        for number, place in enumerate(places):
            beside = place ^ 1
            if beside < len(hashes):
                found[number].append(hashes[beside])
            places[number] = place >> 1
        hashes = _above(hashes)
    return found


def climb(hash_: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to (RFC 9162, 2.1.3.2); None when it cannot be one.

    Args:
        hash_: Hash of the leaf.
        index: Its place.
        size: Leaves in the tree.
        path: From the leaf to the root.
    """
    if not 0 <= index < size:
        return None
    at, last = index, size - 1
    for step in path:
        if last == 0:
            return None
        if at & 1 or at == last:
            hash_ = node(step, hash_)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            hash_ = node(hash_, step)
        at >>= 1
        last >>= 1
    return hash_ if last == 0 else None


class Growing:
    """A tree that leaves are added to, whose root can be asked for at every size."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []
        """Roots of the full subtrees, the largest first: one per bit of the size."""

    def add(self, hash_: bytes) -> None:
        """Add the hash of a leaf."""
        size = self.size
        while size & 1:
            hash_ = node(self._peaks.pop(), hash_)
            size >>= 1
        self._peaks.append(hash_)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self._peaks:
            return EMPTY
        found = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            found = node(peak, found)
        return found


def _above(hashes: Sequence[bytes]) -> list[bytes]:
    new = hashlib.sha256
    pairs = iter(hashes)
    above = [new(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
    if len(hashes) & 1:
        above.append(hashes[-1])
    return above
