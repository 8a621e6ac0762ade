"""What an operator changes where no guard stands: the exact change of a file, as `patch` takes it.

nginx, Envoy and KServe files are read as text and changed in place, so that comments and order
stay. Nothing is written: the change is printed, with how to apply it, check it and take it back.
"""

from __future__ import annotations

import difflib
import re
import shlex
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 8 << 20
"""Characters of a file."""


class Wish(NamedTuple):
    """What the change shall do."""

    case: str
    """Id of the case, for the comment beside the change."""
    action: str
    """`block`, `throttle` or `last-good`."""
    principals: tuple[str, ...] = ()
    """Whom it reaches, as events name them: `ip:203.0.113.7`, or what the header says."""
    header: str | None = None
    """The header that names the principal, None where none does."""
    per_minute: float = 6.0
    upstream: str | None = None
    """Where the last good version answers, `http://host:port`, or of KServe where it lies."""
    instead_of: str | None = None
    """The upstream, cluster or address that shall no longer be asked, where there are several."""


class Callers(NamedTuple):
    """Principals by how a proxy can know them."""

    values: list[str]
    """Values of the header."""
    addresses: list[str]
    unknown: list[str]
    """Those a proxy cannot tell."""


class Change(NamedTuple):
    """A change of one file."""

    text: str
    """A unified diff; `patch FILE < change` applies it, `patch -R` takes it back."""
    how: str
    """How to apply, check and undo it, in one line."""
    notes: tuple[str, ...]
    """What it does not do."""


def change(name: str, text: str, wish: Wish) -> Change:
    """Return the change of a configuration file.

    Args:
        name: Its path, as the operator calls it.
        text: What it holds.
        wish: What shall be done.

    Raises:
        UsageError: The file is of no known kind, or one that cannot do this; the hint says what
            can.
    """
    if len(text) > LONGEST:
        raise UsageError(f"{name} is too long for a configuration: {len(text):,} characters")
    from casemate.case import changes_envoy, changes_kserve, changes_nginx

    if wish.action not in ("block", "throttle", "last-good"):
        raise UsageError(
            f"a proxy cannot do '{wish.action}'",
            hint="block, throttle and last-good can be done by a proxy; the rest needs the guard",
        )
    for kind in (changes_kserve, changes_envoy, changes_nginx):
        if kind.recognises(text):
            changed, notes = kind.rewrite(text, wish)
            how = kind.HOW.format(file=shlex.quote(name))
            return Change(diff(name, text, changed), how, tuple(notes))
    raise UsageError(
        f"{name} is no configuration of nginx or Envoy and no InferenceService of KServe",
        hint="--patch takes an nginx .conf, an Envoy YAML or JSON, or a KServe YAML",
    )


def callers(wish: Wish) -> Callers:
    """Return the principals by how a proxy can know them.

    Raises:
        UsageError: There are none it can know.
    """
    values, addresses, unknown = [], [], []
    for one in wish.principals:
        if one.startswith("ip:"):
            addresses.append(one.removeprefix("ip:"))
        elif one.startswith("long:") or wish.header is None or not one.isprintable():
            unknown.append(one)
        else:
            values.append(one.removeprefix("name:"))
    if not values and not addresses:
        raise UsageError(
            "no proxy can tell whom to stop: "
            + ("no principal is named" if not wish.principals else "they are known by no header"),
            hint="--principal NAME, or put the guard there: casemate guard",
        )
    return Callers(values, addresses, unknown)


def missed(found: Callers) -> list[str]:
    """Return what to say of principals the change does not reach."""
    if not found.unknown:
        return []
    some = ", ".join(found.unknown[:5])
    return [f"not reached, as no header or address tells them: {some}"]


def place(upstream: str | None) -> tuple[str, int, bool]:
    """Return host, port and whether it is encrypted.

    Raises:
        UsageError: No upstream is given, or it is no address.
    """
    parts = urlsplit(upstream or "")
    try:
        port = parts.port
    except ValueError:
        port = -1
    host = parts.hostname or ""
    if (
        parts.scheme not in ("http", "https", "grpc", "grpcs")
        or not re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", host)
        or port == -1
    ):
        raise UsageError(
            "where the last good version answers is not known",
            hint="--set upstream=http://host:port, or [guard] last_good in casemate.toml",
        )
    secure = parts.scheme.endswith("s")
    return host, port or (443 if secure else 80), secure


def the_one(there: Sequence[str], wish: Wish, what: str) -> str:
    """Return which of the upstreams in a file is to be replaced.

    Raises:
        UsageError: There is none, none of that name, or several.
    """
    names = list(dict.fromkeys(there))
    if wish.instead_of is not None:
        if wish.instead_of not in names:
            raise UsageError(
                f"the file sends nothing to {what} '{wish.instead_of}'",
                hint=f"it sends to: {', '.join(names[:8]) or 'nothing'}",
            )
        return wish.instead_of
    if len(names) != 1:
        raise UsageError(
            f"the file sends to {len(names)} {what}s, and it is not said which is to be replaced",
            hint=f"--set instead_of={names[0]}" if names else "name the file that holds the routes",
        )
    return names[0]


def diff(name: str, before: str, after: str) -> str:
    """Return a unified diff; a last line without an end is marked as patch wants it."""
    shown = re.sub(r"[^\w./+-]", "_", name.rpartition("/")[2]) or "file"
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        f"a/{shown}",
        f"b/{shown}",
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
