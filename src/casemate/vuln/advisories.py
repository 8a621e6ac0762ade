"""Advisories: published weaknesses, from the catalog and from files in OSV's form.

Source: Open Source Vulnerability format, https://ossf.github.io/osv-schema/, 1.7.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from casemate.catalog import entries as kinds
from casemate.catalog.loader import ROOT, entries
from casemate.errors import FormatError, UsageError
from casemate.vuln.versions import Event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LARGEST = 4 * 1024 * 1024
"""Bytes of one advisory; the largest published ones have a few hundred thousand."""


class Concerned(NamedTuple):
    """A package an advisory is about."""

    name: str
    """Normalised: `scikit-learn`."""
    ranges: tuple[tuple[Event, ...], ...]
    versions: frozenset[str]
    partial: bool
    """Whether some of its ranges are in commits, which say nothing of installed versions."""


class Notice(NamedTuple):
    """One advisory."""

    id: str
    aliases: tuple[str, ...]
    title: str
    details: str
    packages: tuple[Concerned, ...]
    rules: tuple[str, ...]
    """Scan rules that tell a file which makes use of it."""
    vector: str | None
    """CVSS, the newest version given."""
    refs: tuple[str, ...]


class _Package(msgspec.Struct):
    name: str
    ecosystem: str


class _Range(msgspec.Struct):
    type: str
    events: tuple[dict[str, str], ...] = ()


class _Affected(msgspec.Struct):
    package: _Package | None = None
    ranges: tuple[_Range, ...] = ()
    versions: tuple[str, ...] = ()


class _Rated(msgspec.Struct):
    type: str
    score: str


class _Osv(msgspec.Struct):
    id: str
    summary: str = ""
    details: str = ""
    aliases: tuple[str, ...] = ()
    withdrawn: str | None = None
    severity: tuple[_Rated, ...] = ()
    affected: tuple[_Affected, ...] = ()


@functools.cache
def published() -> tuple[Notice, ...]:
    """Return the advisories of the catalog."""
    found = []
    for entry in entries("advisories", kinds.Advisory).values():
        body = (ROOT / "advisories" / entry.body).read_bytes()
        notice = _read(body, entry.body)
        rules = tuple(one.removeprefix("rule:") for one in entry.affects if one[:5] == "rule:")
        found.append(notice._replace(rules=rules, refs=entry.refs))
    return tuple(found)


def of_folder(place: Path) -> list[Notice]:
    """Read advisories in OSV's form from a file, or from every `.json` below a folder.

    Withdrawn ones are left out.

    Raises:
        UsageError: There is nothing there.
        FormatError: A file is no advisory.
    """
    if not place.exists():
        raise UsageError(f"{place} does not exist", hint="a file or folder of OSV advisories")
    paths = sorted(place.rglob("*.json")) if place.is_dir() else [place]
    if not paths:
        raise UsageError(f"there is no .json below {place}")
    return [one for path in paths for one in _file(path)]


def normalised(name: str) -> str:
    """Return a package's name as registries compare it (PEP 503)."""
    return "-".join(
        part for part in name.lower().replace("_", "-").replace(".", "-").split("-") if part
    )


def _file(path: Path) -> Iterator[Notice]:
    if path.stat().st_size > _LARGEST:
        raise FormatError(f"{path} is too large for an advisory")
    body = path.read_bytes()
    notice = _read(body, path.name)
    if notice.packages or notice.rules:
        yield notice


def _read(body: bytes, name: str) -> Notice:
    try:
        osv = msgspec.json.decode(body, type=_Osv)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{name} is no OSV advisory: {error}") from error
    packages = () if osv.withdrawn else tuple(_concerned(osv))
    rated = {one.type: one.score for one in osv.severity}
    return Notice(
        id=osv.id,
        aliases=osv.aliases,
        title=osv.summary or osv.id,
        details=osv.details,
        packages=packages,
        rules=(),
        vector=rated.get("CVSS_V4") or rated.get("CVSS_V3"),
        refs=(),
    )


def _concerned(osv: _Osv) -> Iterator[Concerned]:
    for one in osv.affected:
        if one.package is None or one.package.ecosystem.partition(":")[0] != "PyPI":
            continue
        ranges = [
            tuple(
                Event(kind, version)
                for event in each.events
                for kind, version in event.items()
                if kind in ("introduced", "fixed", "last_affected")
            )
            for each in one.ranges
            if each.type in ("ECOSYSTEM", "SEMVER")
        ]
        commits = any(each.type == "GIT" for each in one.ranges)
        yield Concerned(
            name=normalised(one.package.name),
            ranges=tuple(ranges),
            versions=frozenset(one.versions),
            partial=commits and not ranges and not one.versions,
        )
