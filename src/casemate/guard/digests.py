"""Keyed digests of inputs and outputs, a different key for every subject.

A row of a table can be guessed, so a plain digest would give it away; with a key per subject the
same row of two people has two digests, and destroying the subject's key makes them mute.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from casemate.guard.keys import Keys

_KEPT = 4096


class Digests:
    """Digests under one site key; remembers the latest subjects' states, never their data."""

    def __init__(self, keys: Keys) -> None:
        self._key = keys.derive("digests")
        self._subjects: dict[str, Any] = {}

    def of(self, principal: str, data: bytes | memoryview) -> str:
        """Return 32 hex digits: the first half of SHA-256 over the subject's key and the data.

        The key fills the hash's first block, and half of the state stays secret, so that the
        digest can neither be guessed nor be extended.
        """
        state = self._subjects.get(principal)
        if state is None:
            if len(self._subjects) >= _KEPT:
                self._subjects.clear()
            state = self._subjects[principal] = hashlib.sha256(self.key(principal))
        made = state.copy()
        made.update(data)
        return str(made.hexdigest()[:32])

    def key(self, principal: str) -> bytes:
        """Return the subject's own key, 64 bytes."""
        subject = principal.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(subject, key=self._key, digest_size=64).digest()
