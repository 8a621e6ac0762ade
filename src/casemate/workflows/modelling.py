"""Threat modelling as a job: the System in, the threats on record out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.errors import UsageError
from casemate.records.make import make
from casemate.records.system import Component, System
from casemate.records.trial import Trial
from casemate.threats import threats
from casemate.workflows.job import Job

if TYPE_CHECKING:
    from casemate.export.report import Bundle
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded


def system_of(loaded: Loaded, target: str | None = None, data: str | None = None) -> System:
    """Return the System described, or the least one a bare model and its data imply.

    Raises:
        UsageError: There is neither a description nor a model.
    """
    if loaded.config.system:
        return loaded.config.system
    uri = target or loaded.config.model.target
    if uri is None:
        raise UsageError(
            "nothing to derive threats from: no [model] and no [[component]]",
            hint="casemate init writes a casemate.toml",
        )
    remote = uri.startswith(("http", "grpc"))
    parts = [make(Component, name="model", kind="endpoint" if remote else "model", uri=uri)]
    rows = data or loaded.config.model.data
    if rows:
        parts.append(make(Component, name="data", kind="dataset", uri=rows))
    return make(System, components=tuple(parts))


def model_threats(loaded: Loaded, workspace: Workspace) -> Bundle:
    """Derive the threats, mark those an earlier run tried, and keep them as a run."""
    system = system_of(loaded)
    target = loaded.config.model.target
    tried = [
        trial
        for run in workspace.runs()
        if run.target is not None and run.target == target
        for trial in workspace.records(run.id, Trial)
    ]
    with Job("threats", loaded, workspace, target=target) as job:
        job.add(system, *threats(system, tried))
    return job.bundle()
