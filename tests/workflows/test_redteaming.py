"""An exercise against a live, guarded endpoint: attacks are looked for in what the guard kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from casemate.cli import main
from casemate.errors import UsageError
from casemate.export.sightings import sightings
from casemate.records.trial import Trial
from casemate.store.telemetry.opening import open_query
from casemate.store.telemetry.sink import Filter
from casemate.store.workspace import Workspace
from casemate.workflows import config, redteaming, scope
from casemate.workflows.allowance import Allowance
from casemate.workflows.job import open_workspace
from tests.journeys import service

SCOPE = """\
version = 1
name = "loopback"
approver = "A. Name"
hosts = ["127.0.0.1:{port}", "127.0.0.1:{after}"]
not_before = {begin}
not_after = {end}
rate = 100
spend = {spend}
"""
CONFIG = """\
version = 1
[guard]
principal = {{ header = "x-user" }}
[[guard.rule]]
when = "boundary-search"
action = "block"
for = "1h"
[attack]
eps = {{ linf = 0.3 }}
[redteam]
approvers = ["{key}"]
"""


@pytest.fixture(scope="module")
def model():
    return service.digits()


@pytest.fixture
def field(tmp_path, model, monkeypatch):
    """A folder with data, two guards before one model and a signed scope for both."""
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("CASEMATE_GUARD_KEY", service.KEY)
    np.savez(tmp_path / "digits.npz", x=model.x[2000:2040], y=model.y[2000:2040].astype(np.int64))
    now = datetime.now(UTC)
    port, after = service.free_port(), service.free_port()
    text = SCOPE.format(
        port=port, after=after, spend=100_000,
        begin=f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        end=f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
    )  # fmt: skip
    (tmp_path / "scope.toml").write_text(text)
    _, key = scope.sign(tmp_path / "scope.toml", tmp_path / "keys" / "approver.key")
    (tmp_path / "casemate.toml").write_text(CONFIG.format(key=key))
    monkeypatch.chdir(tmp_path)
    with service.upstream(model) as upstream:
        words = ("--upstream", f"http://127.0.0.1:{upstream}", "--admin", "none")
        with (
            service.guard(tmp_path, *words, port=port),
            service.guard(tmp_path, *words, "--enforce", "--store", "enforcing", port=after),
        ):
            yield tmp_path, port, after


def test_an_attack_is_logged_detected_and_stopped_and_users_are_not_harmed(field, capsys):
    folder, port, after = field
    code = main(
        [
            "redteam", "--scope", "scope.toml", "--data", "digits.npz", "--budget", "450",
            "--inputs", "3", "--users", "3", "--attack", "evasion-hopskipjump",
            "--target", f"http+oip://127.0.0.1:{port}/v2/models/digits",
            "--after", f"http+oip://127.0.0.1:{after}/v2/models/digits",
            "--after-telemetry", "enforcing/telemetry", "-q",
        ]
    )  # fmt: skip
    said = capsys.readouterr().out
    assert code == 0, said
    assert "boundary-search" in said
    with Workspace.open(folder / ".casemate") as workspace:
        (run,) = workspace.runs("redteam")
        (trial,) = workspace.records(run.id, Trial)
    seen = trial.seen
    assert seen.logged >= seen.sent == trial.cost.queries
    assert seen.pages
    assert seen.first_query <= 20
    assert seen.success > 0
    assert seen.success_after < seen.success
    assert "refuse" in seen.answered_by
    assert seen.benign > 0
    assert (seen.benign_harmed, seen.benign_accused) == (0, 0)
    (row,) = sightings([trial])
    assert row.tone == "pass"
    marked = [
        one
        for one in open_query(folder / ".casemate" / "telemetry").scan(Filter())
        if one.kind == "inference"
    ]
    assert {one.marked for one in marked} == {run.id}, "its own traffic is marked"
    assert any(run.id in note for note in run.notes), "and how to leave it out is said"
    assert json.loads(json.dumps(run.arguments))["approver"] == "A. Name"

    capsys.readouterr()
    spent = spent_of(folder)
    code = main(
        [
            "redteam", "--scope", "scope.toml", "--data", "digits.npz", "--attack",
            "evasion-hopskipjump", "--target",
            f"http+oip://127.0.0.1:{service.free_port()}/v2/models/digits", "-q",
        ]
    )  # fmt: skip
    assert code == 2
    assert "outside the scope" in capsys.readouterr().err
    assert spent >= trial.cost.queries + seen.benign, "users and second looks count too"


def spent_of(folder):
    """Return what the workspace counts as spent under the scope."""
    loaded = config.read(folder / "casemate.toml")
    signed = scope.check(folder / "scope.toml", loaded.config.redteam.approvers)
    with open_workspace(None, loaded) as workspace:
        return Allowance(signed, workspace).spent


def test_an_attack_that_needs_more_than_answers_is_refused(tmp_path, monkeypatch):
    assert "evasion-pgd" not in redteaming.black_box()
    assert "evasion-square" in redteaming.black_box()
    monkeypatch.chdir(tmp_path)
    loaded = config.Loaded(config=config.Config(), root=tmp_path)
    plan = redteaming.Plan(target="http+oip://h:1/v2/models/m", attacks=("evasion-pgd",), budget=1)
    allowed = scope.Scope(
        version=1, name="n", approver="a", hosts=("h:1",), rate=1.0, spend=1,
        not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2090, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    signed = scope.Signed(scope=allowed, key="k", digest="sha256:0")
    with (
        open_workspace(None, loaded) as workspace,
        pytest.raises(UsageError, match="needs gradients"),
    ):
        redteaming.exercise(loaded, plan, signed, workspace=workspace)


@pytest.mark.parametrize("given", ["x-user", "claim:sub", "header:"])
def test_callers_are_told_apart_by_a_header_alone(tmp_path, given):
    loaded = config.Loaded(config=config.Config(), root=tmp_path)
    with pytest.raises(UsageError, match="header:NAME"):
        redteaming.principal_header(loaded, given)
    assert redteaming.principal_header(loaded, "header:X-User") == "x-user"
    assert redteaming.principal_header(loaded, None) is None
