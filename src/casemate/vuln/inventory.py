"""Inventory: which packages and models are here, from environments, requirements and SBOMs.

Nothing is imported or installed: the metadata that installers leave is read as text. What is not
known for certain is said so, as an absent package is only absent where the list is complete.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import unquote

import msgspec

from casemate.errors import FormatError, UsageError
from casemate.vuln.advisories import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEAD = 64 * 1024
_LARGEST = 64 * 1024 * 1024
_DEEPEST = 8
_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(?P<rest>.*)",
    re.ASCII,
)
_EXACT = re.compile(r"={2,3}\s*(?P<version>[A-Za-z0-9.!+_-]+)\s*(?:;.*)?", re.ASCII)


class Thing(NamedTuple):
    """Something that is here and may be affected."""

    kind: Literal["package", "file", "model", "endpoint"]
    name: str
    """Of a package: normalised."""
    where: str
    """In which environment, file or configuration it was found."""
    version: str | None = None
    """As written; None where nothing says."""
    digest: str | None = None
    purl: str | None = None
    own_build: bool = False
    """Installed from a folder or a repository, so that its version may not tell its content."""


class Inventory(NamedTuple):
    """What one place has."""

    where: str
    things: tuple[Thing, ...]
    complete: bool
    """Whether a package that is not listed is not there."""


def environment(folder: Path | None = None) -> Inventory:
    """Return the packages of an environment; without a folder, of the one that runs this.

    Raises:
        UsageError: The folder is no environment.
    """
    if folder is None:
        paths = [Path(one) for one in sys.path if one]
        where = "this environment"
    else:
        paths = _site_packages(folder)
        where = str(folder)
    things: dict[tuple[str, str | None], Thing] = {}
    unread = 0
    for path in paths:
        for meta in _metadata(path):
            one = _installed(meta, where)
            if one is None:
                unread += 1
            else:
                things.setdefault((one.name, one.version), one)
    return Inventory(where, tuple(things.values()), complete=unread == 0)


def requirements(path: Path) -> Inventory:
    """Return the packages a requirements file names; complete only where each has its hash.

    Raises:
        UsageError: The file, or one it includes, cannot be read.
    """
    things: list[Thing] = []
    hashed: list[bool] = []
    for line, source in _lines(path, 0, set()):
        spec = line.split(" --", 1)[0].strip()
        found = _PIN.fullmatch(spec)
        if found is None:
            hashed.append(False)
            continue
        exact = _EXACT.fullmatch(found["rest"].strip())
        version = exact["version"] if exact else None
        hashed.append("--hash" in line)
        name = normalised(found["name"])
        things.append(Thing("package", name, source, version, purl=_purl(name, version)))
    return Inventory(str(path), tuple(things), complete=bool(hashed) and all(hashed))


def sbom(path: Path) -> Inventory:
    """Return the packages and models of a CycloneDX or SPDX 2 file in JSON.

    Raises:
        UsageError: It cannot be read.
        FormatError: It is neither.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise FormatError(f"{path} is too large for a bill of materials")
        body = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{path} is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise FormatError(f"{path} is no bill of materials")
    if body.get("bomFormat") == "CycloneDX":
        whole = any(
            isinstance(one, dict)
            and one.get("aggregate") == "complete"
            and not one.get("assemblies")
            for one in _items(body.get("compositions"))
        )
        parts = tuple(_cyclonedx(body.get("components"), str(path), 0))
        return Inventory(str(path), parts, complete=whole)
    if str(body.get("spdxVersion", "")).startswith("SPDX-2"):
        return Inventory(str(path), tuple(_spdx(body.get("packages"), str(path))), complete=False)
    raise FormatError(f"{path} is neither CycloneDX nor SPDX 2", hint="JSON, not XML")


def _site_packages(folder: Path) -> list[Path]:
    found = [*folder.glob("lib*/python*/site-packages"), *folder.glob("Lib/site-packages")]
    if not found and any(_metadata(folder)):
        found = [folder]
    if not found:
        raise UsageError(f"{folder} is no Python environment", hint="the folder made by venv")
    return sorted(set(found))


def _metadata(folder: Path) -> Iterator[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return
    for one in inside:
        if one.name.endswith(".dist-info"):
            yield one / "METADATA"
        elif one.name.endswith(".egg-info"):
            yield one / "PKG-INFO" if one.is_dir() else one


def _installed(meta: Path, where: str) -> Thing | None:
    try:
        with meta.open("rb") as data:
            head = data.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        return None
    fields: dict[str, str] = {}
    for line in head.splitlines():
        if not line.strip():
            break
        name, colon, value = line.partition(":")
        if colon and name in ("Name", "Version"):
            fields.setdefault(name, value.strip())
    if not fields.get("Name"):
        return None
    name, version = normalised(fields["Name"]), fields.get("Version")
    return Thing(
        "package",
        name,
        where,
        version,
        purl=_purl(name, version),
        own_build=(meta.parent / "direct_url.json").exists() and not _from_archive(meta.parent),
    )


def _from_archive(folder: Path) -> bool:
    """Say whether it was installed from an archive with a digest, which somebody published."""
    try:
        told = msgspec.json.decode((folder / "direct_url.json").read_bytes()[:_HEAD])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(told, dict) and "archive_info" in told


def _lines(path: Path, depth: int, seen: set[Path]) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST or path.resolve() in seen:
        return
    seen.add(path.resolve())
    try:
        with path.open("rb") as data:
            text = data.read(_LARGEST).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    for raw in text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        included = re.match(r"(?:-r|--requirement)[ =]\s*(\S+)", line)
        if included:
            yield from _lines(path.parent / included[1], depth + 1, seen)
        elif line and not line.startswith("-"):
            yield line, str(path)


def _cyclonedx(parts: object, where: str, depth: int) -> Iterator[Thing]:
    for one in _items(parts):
        if not isinstance(one, dict) or depth > _DEEPEST:
            continue
        purl = one.get("purl")
        package = _of_purl(purl, where) if isinstance(purl, str) else None
        digests = [
            f"sha256:{it['content'].lower()}"
            for it in _items(one.get("hashes"))
            if isinstance(it, dict)
            and it.get("alg") == "SHA-256"
            and isinstance(it.get("content"), str)
        ]
        if package is not None:
            yield package
        elif one.get("type") in ("machine-learning-model", "data", "file"):
            version = one.get("version")
            yield Thing(
                "model",
                str(one.get("name", "")),
                where,
                version if isinstance(version, str) else None,
                digest=digests[0] if digests else None,
                purl=purl if isinstance(purl, str) else None,
            )
        yield from _cyclonedx(one.get("components"), where, depth + 1)


def _spdx(parts: object, where: str) -> Iterator[Thing]:
    for one in _items(parts):
        if not isinstance(one, dict):
            continue
        for ref in _items(one.get("externalRefs")):
            locator = ref.get("referenceLocator") if isinstance(ref, dict) else None
            package = _of_purl(locator, where) if isinstance(locator, str) else None
            if package is not None:
                yield package


def _of_purl(purl: str, where: str) -> Thing | None:
    found = re.match(r"pkg:pypi/([^@?#]+)(?:@([^?#]*))?", purl, re.IGNORECASE)
    if found is None:
        return None
    version = unquote(found[2]) if found[2] else None
    return Thing("package", normalised(unquote(found[1])), where, version, purl=purl)


def _purl(name: str, version: str | None) -> str:
    return f"pkg:pypi/{name}" + (f"@{version}" if version else "")


def _items(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else ()
