"""`step-up`: the caller must show more than it did: work done, or a second factor.

Buys: each query costs the attacker computing time that doubles with every bit, or a person. The
work is bound to the caller, the request's body and the hour, so it cannot be shared or stored.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, ClassVar

from casemate.guard.call import Reply
from casemate.guard.mitigations.step import Step

if TYPE_CHECKING:
    from casemate.guard.keys import Keys
    from casemate.guard.mitigations.step import Asked, Defaults, Directive

ANSWER = "x-step-up"
_WINDOW = 300 * 1_000_000
_MOST_BITS = 30


class StepUp:
    """Asks with 401 and a challenge; keeps nothing, as the challenge can be made again."""

    defaults: ClassVar[Defaults] = {"bits": 16, "header": ""}

    def __init__(self, keys: Keys) -> None:
        self._key = keys.derive("step-up")

    def apply(self, asked: Asked, told: Directive) -> Step | None:
        """Let through what carries the work, or the header that a trusted gateway sets."""
        header = str(told.settings["header"]).lower()
        if header:
            if asked.headers.get(header):
                return None
            return Step("step-up", _ask("Bearer"))
        bits = min(_MOST_BITS, max(1, int(told.settings["bits"])))
        answer = asked.headers.get(ANSWER, "")
        window = asked.exchange.at // _WINDOW
        if answer and len(answer) <= 64:
            for which in (window, window - 1):
                challenge = self._challenge(asked, which)
                if solves(challenge, answer, bits):
                    return None
        challenge = self._challenge(asked, window)
        return Step("step-up", _ask(f'Work challenge="{challenge}", bits={bits}'))

    def _challenge(self, asked: Asked, window: int) -> str:
        said = b"\0".join(
            (
                asked.exchange.principal.encode("utf-8", "replace"),
                str(window).encode(),
                hashlib.sha256(asked.call.body).digest(),
            )
        )
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()[:32]


def solves(challenge: str, answer: str, bits: int) -> bool:
    """Return whether SHA-256 of challenge, colon and answer begins with so many zero bits."""
    found = hashlib.sha256(f"{challenge}:{answer}".encode()).digest()
    return int.from_bytes(found[:8], "big") >> (64 - bits) == 0


def _ask(scheme: str) -> Reply:
    headers = (("content-type", "application/json"), ("www-authenticate", scheme))
    return Reply(401, headers, b'{"error":"request not accepted"}')
