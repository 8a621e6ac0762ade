"""A job: one Run under way, its records kept the moment they exist.

Every workflow holds one. With a workspace, records and blobs go to disk as they come, so that an
interrupted run keeps what it found; without one they stay in memory.
"""

from __future__ import annotations

import hashlib
import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import casemate
from casemate.catalog import loader
from casemate.errors import StoreError
from casemate.export.report import Bundle
from casemate.gate.waivers import waived
from casemate.records.column import Column
from casemate.records.finding import Finding
from casemate.records.make import make, new_id
from casemate.records.run import Run, RunState
from casemate.records.system import System
from casemate.records.threat import Threat
from casemate.records.trial import Trial
from casemate.records.verdict import Verdict
from casemate.targets.address import refuse_credentials
from casemate.workflows import reproduce

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date
    from pathlib import Path
    from types import TracebackType

    import msgspec

    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded


class Job:
    """Use as a context manager; leaving it ends the Run with the state the exit shows."""

    def __init__(
        self,
        verb: str,
        loaded: Loaded,
        workspace: Workspace | None,
        *,
        arguments: Mapping[str, str | int | float | bool | None] | None = None,
        seed: int = 0,
        budget: str | None = None,
        target: str | None = None,
    ) -> None:
        if target is not None:
            refuse_credentials(target)
        self.run = make(
            Run,
            id=new_id("run"),
            verb=verb,
            started=datetime.now(UTC),
            arguments=dict(arguments or {}),
            config_digest=loaded.digest,
            catalog_digest=loader.digest(),
            versions={"casemate": casemate.__version__, "python": platform.python_version()},
            seed=seed,
            budget=budget,
            target=target,
        )
        self.notes: list[str] = []
        self.records: list[msgspec.Struct] = []
        self.interrupted = False
        self._loaded = loaded
        self.workspace = workspace
        self._blobs: dict[str, bytes] = {}

    def __enter__(self) -> Job:
        if self.workspace:
            self.workspace.begin(self.run)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        state: RunState = "complete"
        if kind is not None:
            state = "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed"
        elif self.interrupted:
            state = "interrupted"
        self._change(state=state, ended=datetime.now(UTC), notes=tuple(self.notes))
        if self.workspace:
            try:
                self.workspace.update(self.run)
            except StoreError:
                if kind is None:
                    raise

    def add(self, *records: msgspec.Struct) -> None:
        """Keep records under this run, at once."""
        for record in records:
            self.records.append(record)
            if self.workspace:
                self.workspace.add(self.run.id, record)

    def note(self, text: str) -> None:
        """Say what was not checked, or what a reader must know; once."""
        if text not in self.notes:
            self.notes.append(text)

    def classes(self, names: tuple[str, ...]) -> None:
        """Record the names of the labels."""
        self._change(classes=names)

    def version(self, **versions: str) -> None:
        """Record the version of a framework that took part."""
        self._change(versions={**self.run.versions, **versions})

    def keep(self, blob: bytes) -> str:
        """Keep bytes and return their digest."""
        if self.workspace:
            return self.workspace.put_blob(blob)
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        self._blobs[digest] = blob
        return digest

    def blob(self, digest: str) -> bytes:
        """Return kept bytes."""
        if digest in self._blobs:
            return self._blobs[digest]
        if self.workspace:
            return self.workspace.get_blob(digest)
        raise StoreError(f"no blob {digest}")

    def cached(self, key: str) -> bytes | None:
        """Return what an earlier run kept under `key`, None without a workspace."""
        return self.workspace.cached(key) if self.workspace else None

    def cache(self, key: str, value: bytes) -> None:
        """Keep `value` for later runs whose inputs are the same."""
        if self.workspace:
            self.workspace.cache(key, value)

    def bundle(self) -> Bundle:
        """Return all that this run has so far, for an exporter."""
        return bundle_of(self.run, self.records, self._loaded, self.blob)

    def _change(self, **fields: object) -> None:
        known = {name: getattr(self.run, name) for name in Run.__struct_fields__}
        self.run = make(Run, **{**known, **fields})


def bundle_of(
    run: Run,
    records: list[msgspec.Struct],
    loaded: Loaded,
    blob: Callable[[str], bytes],
) -> Bundle:
    """Sort records of one run by kind into what exporters take."""
    findings = tuple(r for r in records if isinstance(r, Finding))
    covered = waived(findings, loaded.waivers, today())
    return Bundle(
        run=run,
        verdicts=tuple(r for r in records if isinstance(r, Verdict)),
        findings=findings,
        trials=tuple(r for r in records if isinstance(r, Trial)),
        threats=tuple(r for r in records if isinstance(r, Threat)),
        system=next((r for r in records if isinstance(r, System)), loaded.config.system),
        blob=blob,
        waived={mark: waiver.reason for mark, waiver in covered.items()},
        commands=reproduce.commands(run, records),
        columns=tuple(r for r in records if isinstance(r, Column)),
        classes=run.classes,
    )


def today() -> date:
    """Return the day in UTC, by which waivers expire."""
    return datetime.now(UTC).date()


def open_workspace(folder: Path | None, loaded: Loaded) -> Workspace:
    """Open the workspace at `folder`, by default `.casemate` beside the configuration."""
    from casemate.store.workspace import Workspace

    return Workspace.open(folder or loaded.root / ".casemate", create=True)
