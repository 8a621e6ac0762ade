"""Webhook: a page posted as signed JSON, as the Standard Webhooks specification has it.

`webhook-signature: v1,<base64>` is HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`
(https://www.standardwebhooks.com, version 1.0.0), so that receivers can verify it with a library of
their own language. The address is the owner's; redirects are not followed, as they would carry the
page elsewhere.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import importlib.util
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from casemate import __version__
from casemate.errors import MissingExtra, TargetError, UsageError
from casemate.notify.wording import short

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHORTEST = 16


def key(secret: str) -> bytes:
    """Return the bytes of a secret: base64 after `whsec_`, otherwise the text itself.

    Raises:
        UsageError: Not base64, or too short to be one.
    """
    try:
        found = (
            base64.b64decode(secret[6:], validate=True)
            if secret.startswith("whsec_")
            else secret.encode()
        )
    except binascii.Error as error:
        raise UsageError("the webhook's secret is not base64 after 'whsec_'") from error
    if len(found) < _SHORTEST:
        raise UsageError(
            f"the webhook's secret has {len(found)} bytes, too few to keep anybody out",
            hint="make one with: openssl rand -base64 32",
        )
    return found


def sign(secret: bytes, ident: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature` for a body sent at `timestamp` (Unix seconds)."""
    content = f"{ident}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()


class Webhook:
    """One receiver; `send` either delivers or raises."""

    def __init__(self, to: str, secret: bytes | None, *, timeout: float = 10.0) -> None:
        """Take the owner's address; without a secret nothing is signed.

        Raises:
            UsageError: Not an http or https address.
            MissingExtra: httpx is not installed.
        """
        if importlib.util.find_spec("httpx") is None:
            raise MissingExtra("guard", for_="a webhook")
        parts = urlsplit(to)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"not the address of a webhook: {short(to, 80)}", hint="https://...")
        self._to = to
        self._secret = secret
        self._timeout = timeout
        # Many receivers carry their secret in the path, so only the host is ever shown.
        self._place = parts.hostname

    def send(self, ident: str, body: bytes, now: int) -> None:
        """Post the page once, within the time there is.

        Args:
            ident: Id of the page: the receiver takes a second one with it as the same page.
            body: The page as JSON.
            now: Microseconds since the epoch, for the signature.

        Raises:
            TargetError: It was not taken, for a reason said in words; never with the whole address.
        """
        timestamp = now // 1_000_000
        headers = {
            "content-type": "application/json",
            "user-agent": f"casemate/{__version__}",
            "webhook-id": ident,
            "webhook-timestamp": str(timestamp),
            "idempotency-key": ident,
        }
        if self._secret is not None:
            headers["webhook-signature"] = sign(self._secret, ident, timestamp, body)
        outcome: list[int | str] = []

        def work() -> None:
            outcome.append(asyncio.run(_post(self._to, headers, body, self._timeout)))

        # A thread of its own: the caller may run an event loop, and looking up a name can hang for
        # longer than any timeout of ours.
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        worker.join(self._timeout + 1.0)
        status = outcome[0] if outcome else f"no answer within {self._timeout:g} s"
        if isinstance(status, str):
            raise TargetError(f"{self._place}: {status}", retry=True)
        if 300 <= status < 400:
            raise TargetError(
                f"{self._place} answered {status} and sent elsewhere, where pages do not follow",
                hint="name the final address in [[notify.channel]]",
            )
        if not 200 <= status < 300:
            raise TargetError(f"{self._place} answered {status}", retry=status >= 500)


async def _post(to: str, headers: Mapping[str, str], body: bytes, timeout: float) -> int | str:
    """Return the status of the answer, or why there is none; what the answer says is not read."""
    import httpx

    try:
        async with (
            asyncio.timeout(timeout),
            httpx.AsyncClient(follow_redirects=False, timeout=timeout) as client,
            client.stream("POST", to, content=body, headers=dict(headers)) as answer,
        ):
            return answer.status_code
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return short(f"{type(error).__name__} {error}", 200)
