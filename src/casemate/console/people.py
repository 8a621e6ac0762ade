"""Who is signed in, with which role, for how long.

Sessions live in memory: a console that is started again asks everybody to sign in again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

Role = Literal["viewer", "responder", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "responder", "admin")
"""Each may do what the ones before it may. A viewer reads records, a responder acts and looks at
captured inputs, an admin also reads who signed in and ends sessions."""
IDLE = 2 * 3600.0
"""Seconds without a request after which a session ends."""
LONGEST = 12 * 3600.0
_MOST = 256
"""Sessions kept; the least used one makes room."""


class Person(NamedTuple):
    """Somebody who may be let in."""

    name: str
    role: Role
    way: Literal["link", "token", "oidc"]
    """How they showed who they are."""
    sub: str = ""
    """What their provider calls them for good, whatever their name becomes; empty for others."""

    def may(self, role: Role) -> bool:
        """Say whether their role reaches as far as another one."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Session:
    """One browser that is signed in."""

    def __init__(self, ident: str, person: Person, now: float) -> None:
        self.ident = ident
        """Digest of the cookie; the cookie itself is not kept."""
        self.person = person
        self.csrf = secrets.token_urlsafe(32)
        self.began = self.seen = now
        self.said: tuple[str, str] | None = None
        """What the next page shows once: tone and text."""
        self.listening = 0
        """Open live connections."""

    def knows(self, token: str) -> bool:
        """Say whether a token is the one this session's forms carry."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.csrf.encode())


class Sessions:
    """Every session of one console."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        stands: Callable[[Person], bool] = lambda _: True,
    ) -> None:
        """Begin with none.

        Args:
            clock: Seconds.
            stands: Whether a person may still come in, as when their token was taken back.
        """
        self._clock = clock
        self._stands = stands
        self._lock = threading.Lock()
        self._open: dict[str, Session] = {}

    def open(self, person: Person) -> tuple[str, Session]:
        """Sign somebody in; return the cookie and the session."""
        cookie = secrets.token_urlsafe(32)
        session = Session(_digest(cookie), person, self._clock())
        with self._lock:
            if len(self._open) >= _MOST:
                del self._open[min(self._open.values(), key=lambda one: one.seen).ident]
            self._open[session.ident] = session
        return cookie, session

    def get(self, cookie: str) -> Session | None:
        """Return the session of a cookie while it lasts."""
        now = self._clock()
        with self._lock:
            session = self._open.get(_digest(cookie))
            if session is None:
                return None
            over = now - session.seen > IDLE or now - session.began > LONGEST
            if over or not self._stands(session.person):
                del self._open[session.ident]
                return None
            session.seen = now
            return session

    def holds(self, session: Session) -> bool:
        """Say whether a session still lasts, without keeping it alive."""
        now = self._clock()
        lasts = now - session.seen <= IDLE and now - session.began <= LONGEST
        return lasts and session.ident in self._open and self._stands(session.person)

    def close(self, session: Session) -> None:
        """Sign a session out."""
        with self._lock:
            self._open.pop(session.ident, None)

    def close_all(self, name: str) -> int:
        """End every session of a person, whatever they were called; return how many there were."""
        with self._lock:
            every = self._open.values()
            keys = {_key(one.person) for one in every if one.person.name == name}
            found = [one.ident for one in every if _key(one.person) in keys]
            for ident in found:
                del self._open[ident]
        return len(found)

    def all(self) -> list[Session]:
        """Return the sessions there are, the last used first."""
        with self._lock:
            return sorted(self._open.values(), key=lambda one: -one.seen)


def _key(person: Person) -> tuple[str, str]:
    return (person.way, person.sub) if person.sub else ("", person.name)


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "replace")).hexdigest()
