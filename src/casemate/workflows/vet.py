"""The scanner as the door to loading: a file is snapshotted, scanned, and only then opened.

What is loaded is the snapshot that was scanned, never the file it was taken from, so that a swap
between the two changes nothing.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from casemate.errors import UsageError
from casemate.records.severity import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFUSE_FROM = Severity.MODERATE


class Vet:
    """Callable with a path; returns the path of a scanned snapshot or raises UsageError."""

    def __init__(self, trusted: Mapping[str, str] | None = None) -> None:
        self._trusted = dict(trusted or {})
        folder = tempfile.mkdtemp(prefix="casemate-vetted-")
        self._folder = Path(folder)
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __call__(self, path: Path) -> Path:
        """Snapshot `path`, scan the snapshot, return it if nothing speaks against loading it.

        Raises:
            UsageError: The scan found something, or could not read all of it.
        """
        from casemate.scan import scan

        inside = Path(tempfile.mkdtemp(dir=self._folder))
        snapshot = inside / path.name
        try:
            if path.is_dir():
                shutil.copytree(path, snapshot)
            else:
                shutil.copyfile(path, snapshot)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        report = scan([snapshot], root=inside, trusted=self._trusted)
        bad = [f for f in report.findings if f.severity.at_least(_REFUSE_FROM)]
        if bad:
            raise UsageError(
                f"{path.name} is not opened: {bad[0].message}",
                hint=f"casemate scan {path} shows all; a [[waiver]] can trust it by digest",
            )
        unsure = [v for v in report.verdicts if v.answer == "cannot-tell"]
        if unsure:
            why = unsure[0].reasons[0] if unsure[0].reasons else "it could not be read to its end"
            raise UsageError(
                f"{path.name} is not opened: the scan cannot tell whether it is safe ({why})",
                hint=f"casemate scan {path}",
            )
        return snapshot

    def close(self) -> None:
        """Remove the snapshots."""
        self._remove()
