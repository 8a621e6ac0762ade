"""Who asks: header, then token claim, then body field, then the connection.

One service account in front of a thousand users is the normal case, so the user it names counts,
not the account; but only a proxy that is trusted may name one.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import ipaddress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from casemate.errors import FormatError, UsageError
from casemate.guard.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from casemate.guard.call import Call
    from casemate.guard.policy import PrincipalTable

_LONGEST = 200
_REMEMBERED = 4 * _LONGEST
_RESERVED = ("ip:", "name:", "long:")
_FORWARDED = "x-forwarded-for"


class Who(NamedTuple):
    """Who asked."""

    principal: str
    session: str | None = None
    note: str | None = None
    """What was wrong with what the caller said of itself, in words."""


class Principals:
    """Reads the principal of calls as the policy says."""

    def __init__(self, table: PrincipalTable, *, secrets: Mapping[str, str], root: Path) -> None:
        """Prepare the reading.

        Raises:
            UsageError: A network that is none, a secret that is not set, a file of no keys.
        """
        self._header = table.header.lower() if table.header else None
        self._session = table.session.lower() if table.session else None
        self._field = tuple(table.field.split(".")) if table.field else ()
        self._tokens = Tokens(table, secrets=secrets, root=root) if table.claim else None
        try:
            networks = [ipaddress.ip_network(one, strict=False) for one in table.trusted_proxies]
        except ValueError as error:
            raise UsageError(
                f"guard.principal.trusted_proxies: {error}", hint="write networks: 10.0.0.0/8"
            ) from error
        self._networks = networks
        # Bounded, as callers may come from any number of addresses.
        self._trusted = functools.lru_cache(maxsize=4096)(self._is_trusted)

    @staticmethod
    def doubts(table: PrincipalTable) -> tuple[str, ...]:
        """Return in words what lets callers name themselves as they please."""
        found = []
        if table.header and not table.trusted_proxies:
            found.append(
                f"principal.header: whoever reaches the guard may send {table.header} and be "
                "anybody; name the proxies that set it in principal.trusted_proxies"
            )
        if table.claim and not (table.secret_env or table.jwks):
            found.append(
                f"principal.claim: tokens are not verified, so that anybody may claim any "
                f"{table.claim}; say how with principal.secret_env or principal.jwks"
            )
        if table.field:
            found.append(
                f"principal.field: callers write {table.field} themselves; have it set by who "
                "knows them"
            )
        return tuple(found)

    def read(self, call: Call, headers: Mapping[str, str], body: bytes) -> Who:
        """Return who asks.

        Args:
            call: The request.
            headers: Its headers by name; of repeated ones the last.
            body: Its plain body, for the body field; empty when it is not JSON.
        """
        trusted = self._trusted(call.peer)
        session = headers.get(self._session) if self._session and trusted else None
        if session is not None:
            session = _clean(session)
        note = None
        if self._header is not None and trusted:
            value = headers.get(self._header)
            if value:
                once = len(headers) == len(call.headers)
                if once or sum(name == self._header for name, _ in call.headers) == 1:
                    return Who(_named(value), session)
                note = f"{self._header} more than once"
        elif self._header is not None and self._header in headers:
            note = f"{self._header} from a peer that is not trusted"
        if self._tokens is not None:
            claimed, why = self._tokens.claim(headers.get("authorization", ""), call.at)
            if claimed:
                return Who(_named(claimed), session)
            note = note or why
        if self._field and body:
            found = self._from_body(body)
            if found:
                return Who(_named(found), session)
        return Who("ip:" + self._address(call), session, note)

    def _address(self, call: Call) -> str:
        if not self._networks or not self._trusted(call.peer):
            return call.peer
        # Each proxy adds who it heard from at the end; what lies before the first
        # address that is not ours may have been made up by the caller.
        names = [value for name, value in call.headers if name == _FORWARDED]
        hops = [hop.strip() for hop in ",".join(names).split(",")]
        for hop in reversed(hops):
            try:
                address = ipaddress.ip_address(hop)
            except ValueError:
                return call.peer
            if not any(address in network for network in self._networks):
                return str(address)
        return call.peer

    def _is_trusted(self, peer: str) -> bool:
        if not self._networks:
            return True
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def _from_body(self, body: bytes) -> str:
        raw: bytes | msgspec.Raw = body
        try:
            for step in self._field:
                raw = _MEMBERS.decode(raw)[step]
            found = _SCALAR.decode(raw)
        except (KeyError, msgspec.DecodeError, FormatError, RecursionError, UnicodeDecodeError):
            return ""
        return str(found)


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SCALAR = msgspec.json.Decoder(str | int)


def _named(value: str) -> str:
    found = _clean(value)
    # What a caller is called must not read like what the guard found out by itself.
    return "name:" + found if found.startswith(_RESERVED) else found


def _clean(value: str) -> str:
    # A body may be long: what is remembered must not be.
    return _short(value) if len(value) <= _REMEMBERED else _cleaned(value)


def _cleaned(value: str) -> str:
    if not value.isascii():
        with contextlib.suppress(UnicodeError):
            value = value.encode("latin-1").decode("utf-8")
    value = value.strip()
    if not value.isprintable():
        value = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in value)
    if len(value) > _LONGEST:
        return "long:" + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
    return value


_short = functools.lru_cache(maxsize=4096)(_cleaned)
