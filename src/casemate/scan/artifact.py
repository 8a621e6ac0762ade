"""Scan model files and folders: findings, and a verdict per file with every byte accounted for.

The stage's door. Nothing that is scanned is executed, imported or unpickled, and the answer for a
file depends on that file alone: not on what is installed, nor on what was scanned before.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, NamedTuple

from casemate.catalog.entries import Format
from casemate.catalog.loader import entries
from casemate.errors import UsageError
from casemate.formats.budget import Budget
from casemate.formats.seen import Coverage, Trouble
from casemate.formats.source import FileSource, Source
from casemate.records.make import make
from casemate.records.severity import Severity
from casemate.records.target import Target
from casemate.records.verdict import Verdict
from casemate.scan.discovery import Found, discover
from casemate.scan.walk import Walk
from casemate.scan.wording import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from casemate.records.finding import Finding

DIGESTED = 128 << 20
"""Files up to this size get a digest in any case; hashing a larger one costs more than its scan."""
DECISIVE = Severity.MODERATE
"""A finding at or above this makes the answer no."""
REASONS = 5


class Report(NamedTuple):
    """What a scan found."""

    verdicts: tuple[Verdict, ...]
    """One per file, in the order of the files."""
    findings: tuple[Finding, ...]


def scan(
    paths: Sequence[str | Path],
    *,
    root: Path | None = None,
    trusted: Mapping[str, str] | None = None,
    digest: bool | None = None,
    skip: Sequence[Path] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Scan files and folders.

    Args:
        paths: Files, and folders that are walked recursively.
        root: Folder that paths in the records are relative to; the current one by default.
        trusted: Reasons by import name or by `sha256:` file digest, from the user's waivers.
        digest: Whether to hash each file; None hashes files up to 128 MiB, and all of them when
            a digest is trusted.
        skip: Folders to leave out where they lie inside one that is walked: casemate's own records.
        progress: Called with a file's path, how many files are done, and how many there are.

    Raises:
        UsageError: A path does not exist.
    """
    files = discover(paths, root or Path.cwd(), skip)
    verdicts: list[Verdict] = []
    findings: list[Finding] = []
    for done, found in enumerate(files):
        if progress is not None:
            progress(found.uri, done, len(files))
        report = _scan_found(found, trusted or {}, digest)
        verdicts += report.verdicts
        findings += report.findings
    if progress is not None:
        progress("", len(files), len(files))
    return Report(tuple(verdicts), tuple(findings))


def scan_file(
    path: str | Path,
    *,
    root: Path | None = None,
    trusted: Mapping[str, str] | None = None,
    digest: bool | None = None,
) -> Report:
    """Scan one file.

    Raises:
        UsageError: It does not exist, or is a folder.
    """
    if Path(path).is_dir():
        raise UsageError(f"{path} is a folder", hint="scan() walks folders")
    return scan([path], root=root, trusted=trusted, digest=digest)


def _scan_found(found: Found, trusted: Mapping[str, str], digest: bool | None) -> Report:
    if found.refusal:
        return _unreadable(found, found.refusal)
    try:
        with FileSource.open(found.path, found.uri) as source:
            return _scan_source(source, found.uri, trusted, digest)
    except OSError as error:
        return _unreadable(found, f"cannot be read: {error.strerror or error}")


def _scan_source(
    source: Source, uri: str, trusted: Mapping[str, str], digest: bool | None
) -> Report:
    wanted = digest
    if wanted is None:
        by_digest = any(name.startswith("sha256:") for name in trusted)
        wanted = by_digest or source.size <= DIGESTED
    target = make(Target, kind="artifact", uri=uri, digest=_digest(source) if wanted else None)
    walk = Walk(target, Budget(source.size), trusted)
    try:
        coverage = walk.read(source)
    except (Exception, RecursionError) as error:  # noqa: BLE001 - one file must not end the scan
        # Hostile bytes that break a reader are evidence, not a traceback for the user.
        said = f"a reader failed: {type(error).__name__}: {error}"
        walk.trouble(Trouble("scan-incomplete", type(error).__name__, said), None)
        walk.reasons.append(said)
        coverage = Coverage(0, 0, source.size)
    _check_name(walk, uri)
    findings = tuple(sorted(walk.findings.values(), key=_order))
    return Report((_verdict(walk, coverage, findings, source.size),), findings)


def _digest(source: Source) -> str:
    total = hashlib.sha256()
    for chunk in source.chunks():
        total.update(chunk)
    return f"sha256:{total.hexdigest()}"


def _order(found: Finding) -> tuple[int, str, int, str, str]:
    where = found.location
    member = (where.member or "") if where else ""
    return (
        found.severity.rank,
        member,
        (where.offset or 0) if where else 0,
        found.rule,
        found.subject,
    )


def _check_name(walk: Walk, uri: str) -> None:
    """Report a file whose name promises something else than its content is.

    Data by name and a program by content; or a program by name and, by content, something its
    loader cannot open, so that somebody will be told to unpack it first.
    """
    suffix = PurePosixPath(uri).suffix.lower()
    known = entries("formats", Format)
    formats = [known[ident] for ident in walk.formats]
    named = [entry for entry in known.values() if suffix in entry.suffixes]
    claims = {entry.executes for entry in named}
    readable = all(entry.entry is not None for entry in named)
    for entry in formats:
        if claims == {"no"} and entry.executes == "yes":
            said = f"the name says {suffix}, the content is of the format '{entry.title}'"
            walk.trouble(Trouble("format-disguised", f"{suffix} is {entry.id}", said), None)
        unread = entry.entry is None and entry.executes != "no"
        if claims == {"yes"} and readable and unread:
            said = f"no loader of {suffix} opens the format '{entry.title}', which this file is of"
            walk.trouble(Trouble("format-not-as-named", f"{suffix} is {entry.id}", said), None)


def _verdict(walk: Walk, coverage: Coverage, findings: tuple[Finding, ...], size: int) -> Verdict:
    decisive = [found for found in findings if found.severity.at_least(DECISIVE)]
    incomplete = bool(walk.reasons) or coverage.refused > 0
    answer: Literal["yes", "no", "cannot-tell"] = "cannot-tell" if incomplete else "yes"
    reasons = [found.message for found in decisive[:REASONS]]
    if decisive:
        answer = "no"
    if incomplete:
        reasons += [f"incomplete: {printable(reason)}" for reason in walk.reasons[:REASONS]]
    return make(
        Verdict,
        question="artifact-is-clean",
        answer=answer,
        target=walk.target,
        reasons=tuple(reasons),
        measures={
            "format": " + ".join(walk.formats) or "unknown",
            "bytes": size,
            "bytes_scanned": coverage.scanned,
            "bytes_data": coverage.data,
            "bytes_refused": coverage.refused,
            "incomplete": int(incomplete),
        },
        rests_on=tuple(found.fingerprint for found in findings),
    )


def _unreadable(found: Found, why: str) -> Report:
    target = make(Target, kind="artifact", uri=found.uri)
    verdict = make(
        Verdict,
        question="artifact-is-clean",
        answer="cannot-tell",
        target=target,
        reasons=(f"incomplete: {why}",),
        measures={
            "format": "unknown",
            "bytes": None,
            "bytes_scanned": 0,
            "bytes_data": 0,
            "bytes_refused": None,
            "incomplete": 1,
        },
    )
    return Report((verdict,), ())
