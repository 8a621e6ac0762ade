"""Every model that anything names is there, and what is not known of it is not called good."""

from datetime import UTC, datetime

import pytest

from casemate.records.edge import Edge, Node
from casemate.records.incident import Triage
from casemate.records.severity import Confidence
from casemate.records.target import Target
from casemate.records.vulnerability import Affected, Vulnerability
from casemate.store.lineage import LineageBook
from casemate.store.vulnerabilities import VulnerabilityBook
from casemate.store.workspace import Workspace
from casemate.workflows.config import Config, Loaded, ModelTable
from casemate.workflows.exposure import exposed
from casemate.workflows.job import Job
from tests.gate.made import trial
from tests.notify.made import detection
from tests.workflows.test_overview import case


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / ".casemate") as found:
        yield found


def of(workspace, target=None):
    loaded = Loaded(config=Config(model=ModelTable(target=target)), root=workspace.folder)
    return {one.name: one for one in exposed(loaded, workspace)}


def kept(workspace, *records):
    with Job("x", Loaded(config=Config(), root=workspace.folder), workspace) as job:
        job.add(*records)


def test_a_model_nobody_attacked_is_not_called_good(workspace):
    found = of(workspace, "onnx:fraud.onnx")["onnx:fraud.onnx"]
    assert found.tone == "unsure"
    assert "nothing is known" in found.words


def test_a_case_outweighs_everything(workspace):
    triage = Triage(assessment="attack", confidence=Confidence.FIRM, models=("fraud",))
    made = case(workspace, triage=triage)
    found = of(workspace)["fraud"]
    assert (found.tone, found.cases[0].id) == ("stop", made.id)


def test_detections_and_weaknesses_are_told(workspace):
    kept(workspace, detection(model="fraud"), detection(model="fraud"))
    now = datetime.now(UTC)

    def make(ident, _):
        return Vulnerability(
            id=ident, title="t", threat="model-stealing", opened=now, changed=now,
            affected=(Affected(name="spam"),),
        )  # fmt: skip

    VulnerabilityBook(workspace).open(now.year, make)
    found = of(workspace)
    assert (found["fraud"].tone, found["fraud"].alarms) == ("unsure", 2)
    assert found["spam"].weaknesses[0].level == "not scored"


def test_the_last_trial_of_each_attack_counts(workspace):
    kept(workspace, trial([True, True]), trial([False, False]))
    (found,) = of(workspace).values()
    (tried,) = found.tried
    assert tried.robust == trial([False, False]).robust.value
    assert isinstance(trial([True]).target, Target)


def test_where_it_runs_comes_from_the_lineage(workspace):
    nodes = [
        Node(id="v", kind="version", name="fraud/3"),
        Node(id="a", kind="alias", name="@prod"),
        Node(id="m", kind="model", name="weights"),
    ]
    edges = [
        Edge(source="v", target="a", relation="aliased-as", by="mlflow"),
        Edge(source="m", target="v", relation="registered-as", by="mlflow"),
    ]
    LineageBook(workspace).add(nodes, edges)
    assert of(workspace)["fraud/3"].runs == ("alias @prod",)


def test_the_most_exposed_comes_first(workspace):
    triage = Triage(assessment="attack", confidence=Confidence.FIRM, models=("zebra",))
    case(workspace, triage=triage)
    kept(workspace, detection(model="ant"))
    assert list(of(workspace)) == ["zebra", "ant"]
