"""How people come in: by a link that works once, by a token, or through an identity provider.

The link carries its key behind `#`, which browsers keep to themselves: no server log, no referrer
and no link preview ever sees it; the page sends it in the body of a form.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from typing import TYPE_CHECKING

from casemate.console.people import Person

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.console.oidc import Provider
    from casemate.console.tokens import Tokens

LASTS = 600.0
"""Seconds in which a link that was not used still works."""


class Link:
    """The one link that lets its owner in, once."""

    def __init__(self, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Make none yet.

        Args:
            name: Who signs in with it: the owner of the process.
            clock: Seconds.
        """
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._digest = b""
        self._until = 0.0

    def fresh(self) -> str:
        """Return the key of a new link; the one before stops working."""
        key = secrets.token_urlsafe(32)
        with self._lock:
            self._digest = hashlib.sha256(key.encode()).digest()
            self._until = self._clock() + LASTS
        return key

    def use(self, key: str) -> Person | None:
        """Return who comes in with a key, None when it is not the link's or was used."""
        given = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        with self._lock:
            good = self._digest != b"" and hmac.compare_digest(given, self._digest)
            if not good or self._clock() > self._until:
                return None
            self._digest = b""
            return Person(self._name, "admin", "link")


class Doors:
    """The ways in that are open."""

    def __init__(
        self,
        *,
        link: Link | None = None,
        tokens: Tokens | None = None,
        provider: Provider | None = None,
    ) -> None:
        self.link = link
        self.tokens = tokens
        self.provider = provider

    def enter(self, key: str) -> Person | None:
        """Return who a key or a token lets in."""
        if self.link is not None:
            return self.link.use(key)
        return self.tokens.person(key) if self.tokens is not None else None

    def stands(self, person: Person) -> bool:
        """Say whether somebody who is in may stay."""
        return self.tokens.stands(person) if self.tokens is not None else True
