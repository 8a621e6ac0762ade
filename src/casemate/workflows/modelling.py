"""Threat modelling as a job: the System in, the threats on record out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from casemate.errors import UsageError
from casemate.records.trial import Trial
from casemate.records.verdict import Verdict
from casemate.threats import only_model, threats
from casemate.workflows.job import Job

if TYPE_CHECKING:
    from casemate.export.report import Bundle
    from casemate.records.system import System
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
    return only_model(uri, data or loaded.config.model.data)


def modality(loaded: Loaded) -> Literal["tabular"] | None:
    """Return what the inputs are, where the configuration tells: columns mean a table."""
    return "tabular" if loaded.config.column else None


def model_threats(loaded: Loaded, workspace: Workspace) -> Bundle:
    """Derive the threats, mark those an earlier run tried, and keep them as a run."""
    system = system_of(loaded)
    target = loaded.config.model.target
    runs = [run for run in workspace.runs() if run.target == target or run.verb == "scan"]
    tried = [trial for run in runs for trial in workspace.records(run.id, Trial)]
    scanned = [verdict for run in runs for verdict in workspace.records(run.id, Verdict)]
    with Job("threats", loaded, workspace, target=target) as job:
        job.add(system, *threats(system, tried, scanned, modality=modality(loaded)))
    return job.bundle()
