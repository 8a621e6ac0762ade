"""The Merkle tree of RFC 9162, section 2.1: roots as leaves come in, and paths to a root."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def hash_leaf(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\0" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def grow(peaks: list[bytes], size: int, leaf: bytes) -> None:
    """Add a leaf to the roots of the full subtrees of a tree of `size` leaves."""
    while size & 1:
        leaf = _node(peaks.pop(), leaf)
        size >>= 1
    peaks.append(leaf)


def top(peaks: list[bytes], size: int) -> bytes:
    """Return the root over full subtrees."""
    if not size:
        return hashlib.sha256().digest()
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = _node(peak, root)
    return root


def climb(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to (RFC 9162, 2.1.3.2), None when it cannot be one."""
    if not 0 <= index < size:
        return None
    at, last = index, size - 1
    for step in path:
        if last == 0:
            return None
        if at & 1 or at == last:
            leaf = _node(step, leaf)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            leaf = _node(leaf, step)
        at >>= 1
        last >>= 1
    return leaf if last == 0 else None


def steps_of(path: bytes) -> list[bytes]:
    """Return the hashes of a path that stands in one piece."""
    return [path[at : at + 32] for at in range(0, len(path), 32)]
