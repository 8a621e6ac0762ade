"""Sign-in through an identity provider: OpenID Connect, authorization code with PKCE.

Source: OpenID Connect Core 1.0 and Discovery 1.0; RFC 7636; RFC 9700 for what to check besides.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import secrets
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from casemate.console.people import ROLES, Person, Role
from casemate.errors import CasemateError, FormatError, UsageError
from casemate.guard.tokens import signed_claims

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from casemate.workflows.config import OidcTable

WELL_KNOWN = "/.well-known/openid-configuration"
_LASTS = 600.0
"""Seconds somebody has to sign in with the provider."""
_MOST = 1000
_LARGEST = 1 << 20
_LONGEST_SUB = 255
"""As OpenID Connect Core 1.0, section 2, has it."""
_SHOWN = 70
"""Characters of a `sub` shown as it is: fewer than a digest has, so that none can look like one."""
_CALLED = 40
"""Characters; a name on the custody log has 120 at most."""
_TIMEOUT = 10.0


class _Discovered(msgspec.Struct):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Answered(msgspec.Struct):
    id_token: str


class Where(NamedTuple):
    """Where a browser is sent, and what its cookie must hold when it comes back."""

    url: str
    state: str


class _Way(NamedTuple):
    nonce: str
    verifier: str
    after: str
    until: float


class Provider:
    """One identity provider and who it may let in."""

    def __init__(self, table: OidcTable, *, secret: str | None, redirect: str) -> None:
        """Prepare; nothing is asked yet.

        Args:
            table: `[console.oidc]`.
            secret: The client's, None for a public one.
            redirect: Our own address the provider sends browsers back to.

        Raises:
            UsageError: The issuer is not safe to ask, or nobody would be let in.
        """
        _check(table.issuer)
        if not table.roles:
            raise UsageError(
                "console.oidc.roles is empty: nobody would be let in",
                hint='roles = { "ml-security" = "responder" }',
            )
        self.name = urlsplit(table.issuer).hostname or table.issuer
        self._table = table
        self._secret = secret
        self._redirect = redirect
        self._lock = threading.Lock()
        self._ways: OrderedDict[str, _Way] = OrderedDict()
        self._known: _Discovered | None = None

    def begin(self, after: str) -> Where:
        """Return where to send a browser.

        Args:
            after: Our page it goes on with.

        Raises:
            CasemateError: The provider cannot be asked.
        """
        found = self._discover()
        state, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        with self._lock:
            self._ways[state] = _Way(nonce, verifier, after, time.monotonic() + _LASTS)
            while len(self._ways) > _MOST:
                self._ways.popitem(last=False)
        asked = {
            "response_type": "code",
            "client_id": self._table.client,
            "redirect_uri": self._redirect,
            "scope": " ".join(dict.fromkeys(("openid", *self._table.scopes))),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        joint = "&" if urlsplit(found.authorization_endpoint).query else "?"
        return Where(f"{found.authorization_endpoint}{joint}{urlencode(asked)}", state)

    def finish(self, given: Mapping[str, str], bound: str) -> tuple[Person, str]:
        """Return who has signed in, and the page to go on with.

        Args:
            given: What the provider sent back: `code` and `state`, or `error`.
            bound: The state this very browser was sent away with.

        Raises:
            CasemateError: It is not who it says, not meant for us, or has no role here.
        """
        state = given.get("state", "")
        with self._lock:
            way = self._ways.pop(state, None)
        same = hmac.compare_digest(state.encode(), bound.encode())
        if way is None or not same or time.monotonic() > way.until:
            raise UsageError("that sign-in was not begun here", hint="begin again")
        if given.get("error") or not given.get("code"):
            said = given.get("error", "")[:80] or "no code"
            raise UsageError(f"{self.name} did not let you in: {said}", hint="begin again")
        claims = self._claims(given["code"], way)
        name = _name(claims)
        return Person(name, self._role(claims), "oidc", str(claims["sub"])), way.after

    def _claims(self, code: str, way: _Way) -> dict[str, Any]:
        found = self._discover()
        body = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "client_id": self._table.client,
            "code_verifier": way.verifier,
        }
        basic = None
        if self._secret is not None:
            if "client_secret_basic" in found.token_endpoint_auth_methods_supported:
                # RFC 6749, 2.3.1: both are form-encoded before they are joined.
                basic = quote(self._table.client, safe=""), quote(self._secret, safe="")
            else:
                body["client_secret"] = self._secret
        answer = self._ask("POST", found.token_endpoint, body, basic)
        try:
            token = msgspec.json.decode(answer, type=_Answered).id_token
            claims = signed_claims(token, self._ask("GET", found.jwks_uri), time.time())
        except (msgspec.MsgspecError, FormatError) as error:
            raise FormatError(f"{self.name} did not prove who you are: {error}") from error
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        party = claims.get("azp", self._table.client)
        meant = self._table.client in audiences and party == self._table.client
        ends = isinstance(claims.get("exp"), int | float)
        if claims.get("iss") != found.issuer or not meant or not ends:
            raise FormatError(f"what {self.name} says of you was not said to this console")
        if not hmac.compare_digest(str(claims.get("nonce", "")), way.nonce):
            raise FormatError("that sign-in was used before", hint="begin again")
        return claims

    def _role(self, claims: Mapping[str, Any]) -> Role:
        said = claims.get(self._table.claim)
        values = said if isinstance(said, list) else [said]
        held = [
            self._table.roles[name] for one in values if (name := str(one)) in self._table.roles
        ]
        if not held:
            raise UsageError(
                f"{_name(claims)} has no role here",
                hint=f"none of the values of '{self._table.claim}' is in console.oidc.roles",
            )
        return max(held, key=ROLES.index)

    def _discover(self) -> _Discovered:
        if self._known is None:
            issuer = self._table.issuer.rstrip("/")
            try:
                known = msgspec.json.decode(self._ask("GET", issuer + WELL_KNOWN), type=_Discovered)
            except msgspec.MsgspecError as error:
                raise FormatError(f"{issuer} is no OpenID provider: {error}") from error
            if known.issuer.rstrip("/") != issuer:
                raise FormatError(f"{issuer} says that it is {known.issuer[:200]}")
            for one in (known.authorization_endpoint, known.token_endpoint, known.jwks_uri):
                _check(one)
            self._known = known
        return self._known

    def _ask(
        self,
        method: str,
        url: str,
        body: Mapping[str, str] | None = None,
        basic: tuple[str, str] | None = None,
    ) -> bytes:
        import httpx

        try:
            with (
                httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client,
                client.stream(method, url, data=body, auth=basic) as answer,
            ):
                return _read(answer, self.name)
        except httpx.HTTPError as error:
            raise CasemateError(
                f"{self.name} cannot be asked: {error}", hint="try again, or ask an admin"
            ) from error


def _read(answer: httpx.Response, name: str) -> bytes:
    parts, size = [], 0
    for part in answer.iter_bytes():
        size += len(part)
        if size > _LARGEST:
            raise FormatError(f"{name} answers more than {_LARGEST} bytes")
        parts.append(part)
    if answer.status_code != 200:
        raise CasemateError(f"{name} answered {answer.status_code}", hint="begin again")
    return b"".join(parts)


def _name(claims: Mapping[str, Any]) -> str:
    """Return what a person is called on record: `ada (sub 42)`.

    Only `sub` identifies (OpenID Connect Core 1.0, section 5.7): people change their user names
    and addresses, and others may take them. Parentheses of a name are dropped, so that none can
    end in the `sub` of somebody else.
    """
    sub = claims.get("sub")
    if not isinstance(sub, str) or not sub or len(sub) > _LONGEST_SUB:
        raise FormatError("a token that names nobody")
    shown = sub
    if len(sub) > _SHOWN or not sub.isascii() or not sub.isprintable() or " " in sub:
        shown = f"sha256:{hashlib.sha256(sub.encode('utf-8', 'backslashreplace')).hexdigest()}"
    for claim in ("preferred_username", "email"):
        value = claims.get(claim)
        if isinstance(value, str):
            kept = "".join(one if one.isprintable() else " " for one in value if one not in "()")
            if called := " ".join(kept.split())[:_CALLED].strip():
                return f"{called} (sub {shown})"
    return f"(sub {shown})"


def _check(url: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise UsageError(f"{url[:200]} is not https", hint="sign-in goes over TLS")
    if parts.username is not None or parts.password is not None:
        raise UsageError("an address of a provider with a password in it")
