"""Scan as a job: files in, verdicts and findings on record, an exit code out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.export.coverage import exit_of
from casemate.gate.waivers import trusted
from casemate.records.severity import Severity
from casemate.scan import scan
from casemate.workflows.job import Job, today

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from casemate.export.report import Bundle
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded


class Scanned(NamedTuple):
    """What a scan job leaves."""

    bundle: Bundle
    exit_code: int


def scan_paths(
    paths: Sequence[str | Path],
    loaded: Loaded,
    *,
    workspace: Workspace | None = None,
    bar: Severity = Severity.MODERATE,
    progress: Callable[[str, int, int], None] | None = None,
) -> Scanned:
    """Scan files and folders.

    Args:
        paths: What to scan; folders are walked.
        loaded: The configuration: trusted digests, waivers.
        workspace: Where to keep the run; None keeps it in memory.
        bar: Findings at or above this severity give exit code 1.
        progress: Called with (path, done, total).
    """
    job = Job(
        "scan",
        loaded,
        workspace,
        arguments={"paths": " ".join(str(p) for p in paths), "bar": bar.value},
    )
    with job:
        for waiver in loaded.waivers:
            if waiver.expires < today():
                job.note(f"the waiver of {waiver.fingerprint} expired on {waiver.expires}")
        report = scan(
            paths,
            root=loaded.root,
            trusted=trusted(loaded.waivers, today()),
            skip=(workspace.folder,) if workspace else (),
            progress=progress,
        )
        job.add(*report.verdicts, *report.findings)
    bundle = job.bundle()._replace(bar=bar)
    return Scanned(bundle, exit_of(bundle).code)
