"""Gate as a job: a run's records, the bar and the baseline in, a verdict and an exit code out."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import casemate
from casemate.errors import UsageError
from casemate.export.coverage import exit_of
from casemate.gate import baseline as baselines
from casemate.gate.bar import read_bar
from casemate.gate.judge import judge
from casemate.records.codec import RECORDS
from casemate.records.make import make
from casemate.records.severity import Severity
from casemate.records.target import Target
from casemate.workflows.job import bundle_of, today

if TYPE_CHECKING:
    from pathlib import Path

    from casemate.export.report import Bundle
    from casemate.gate.baseline import Baseline
    from casemate.records.run import Run
    from casemate.records.verdict import Verdict
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded


class Gated(NamedTuple):
    """A run with the gate's verdict among its verdicts."""

    bundle: Bundle
    verdict: Verdict
    exit_code: int


def stored(run: Run, workspace: Workspace, loaded: Loaded) -> Bundle:
    """Return a kept run with all its records."""
    records = [record for kind in RECORDS for record in workspace.records(run.id, kind)]
    return bundle_of(run, records, loaded, workspace.get_blob)


def shown(run: Run, workspace: Workspace, loaded: Loaded) -> Bundle:
    """Return a kept run as a report shows it: a scan by its own bar, the others with the gate's."""
    if run.verb == "scan":
        bar = Severity(str(run.arguments.get("bar") or Severity.MODERATE.value))
        return stored(run, workspace, loaded)._replace(bar=bar)
    return gate_run(run, workspace, loaded).bundle


def gate_run(
    run: Run, workspace: Workspace, loaded: Loaded, *, against: str | None = None
) -> Gated:
    """Judge a kept run; the verdict is returned, the run is not changed.

    Args:
        run: The run to judge.
        workspace: Where its records are.
        loaded: The configuration: bar, baseline, waivers.
        against: Baseline file or run id; the configuration's when None.
    """
    bundle = stored(run, workspace, loaded)
    files = tuple(v for v in bundle.verdicts if v.question == "artifact-is-clean")
    # A kept run that is still "running" was killed, or is under way elsewhere.
    stopped = run.state != "complete"
    verdict = decide(bundle, loaded, baseline_for(against, loaded, workspace), interrupted=stopped)
    judged = bundle._replace(verdicts=(verdict, *files))
    return Gated(judged, verdict, exit_of(judged).code)


def decide(
    bundle: Bundle, loaded: Loaded, baseline: Baseline | None, *, interrupted: bool = False
) -> Verdict:
    """Apply the configured bar to what a run holds; one that was interrupted cannot pass."""
    uri = bundle.run.target
    ended = {"running": "it was killed or has not ended", "failed": "it failed"}
    told = ended.get(bundle.run.state, "it was interrupted")
    telling = [n for n in bundle.run.notes if re.search("interrupted:|failed:|not attacked:", n)]
    last = telling[0] if telling else told
    stopped = interrupted or bundle.run.state in ("interrupted", "failed")
    target = make(Target, kind="model" if uri else "artifact", uri=uri or ".")
    return judge(
        bundle.findings,
        bundle.trials,
        tuple(v for v in bundle.verdicts if v.question == "artifact-is-clean"),
        bar=read_bar(loaded.config.gate.bar, root=loaded.root),
        baseline=baseline,
        waivers=loaded.waivers,
        today=today(),
        target=bundle.trials[0].target if bundle.trials else target,
        unfinished=(f"the run did not come to its end: {last}",) if stopped else (),
    )


def baseline_for(
    against: str | None, loaded: Loaded, workspace: Workspace | None
) -> Baseline | None:
    """Return the baseline to compare with: a file, a run, the configured one, or none.

    Raises:
        UsageError: What was named is neither a readable baseline nor a run.
    """
    named = against or loaded.config.gate.against
    if named is None:
        usual = loaded.root / baselines.NAME
        return baselines.read(usual) if usual.exists() else None
    path = loaded.root / named
    if against is None and named.endswith(".json") and not path.exists():
        return None  # configured for later: the verdict says that there is none yet
    if path.is_file() or named.endswith(".json"):
        return baselines.read(path)
    if workspace is None:
        raise UsageError(f"no baseline file {named}", hint="casemate gate accept writes one")
    bundle = stored(workspace.run(named), workspace, loaded)
    return _baseline(bundle, by="casemate", reason=f"compared with {bundle.run.id}")


def accept(
    run: Run, workspace: Workspace, loaded: Loaded, *, reason: str, by: str
) -> tuple[Path, Baseline]:
    """Write the baseline file from a kept run and return its path and content.

    Raises:
        UsageError: The run did not come to its end, or there is no reason or name.
    """
    if run.state != "complete":
        raise UsageError(f"{run.id} is {run.state}", hint="only a complete run can be a baseline")
    path = loaded.root / (loaded.config.gate.against or baselines.NAME)
    made = _baseline(stored(run, workspace, loaded), by=by, reason=reason)
    baselines.write(path, made)
    return path, made


def _baseline(bundle: Bundle, *, by: str, reason: str) -> Baseline:
    return baselines.accept(
        bundle.findings,
        bundle.trials,
        run=bundle.run.id,
        by=by,
        reason=reason,
        at=datetime.now(UTC),
        casemate=casemate.__version__,
    )
