"""From contaminated rows to the decisions made with them, over a real run and real telemetry."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from casemate.errors import FormatError, UsageError
from casemate.records.edge import Edge, Node
from casemate.records.event import Event
from casemate.records.incident import Incident, Triage
from casemate.records.make import make
from casemate.records.severity import Severity
from casemate.store.lineage import LineageBook
from casemate.store.telemetry.opening import new_writer, open_sink
from casemate.store.workspace import Workspace
from casemate.workflows import config, decisions, rowwise
from casemate.workflows import lineage as module
from casemate.workflows.lineage import deploy, import_, overview, radius, record_run, show

NOW = 1_790_000_000_000_000
HOUR = 3_600_000_000
COPY = """
import sys
rows = open(sys.argv[1]).read().splitlines()
head, rows = rows[0], rows[1:]
keep = [row for row in rows if sys.argv[3] == "all" or row.split(",")[0] == sys.argv[3]]
open(sys.argv[2], "w").write("\\n".join([head, *reversed(keep)]) + "\\n")
"""
TRAIN = "import sys; open(sys.argv[2], 'w').write('weights' + open(sys.argv[1]).read()[::-2])"


def begin(folder):
    rows = [f"{who},{number},{number % 2}" for number, who in enumerate(["ann", "mallory"] * 40)]
    (folder / "all.csv").write_text("\n".join(["who,amount,label", *rows]) + "\n")
    (folder / "copy.py").write_text(COPY)
    (folder / "train.py").write_text(TRAIN)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begin(tmp_path)
    with Workspace.open(tmp_path / ".casemate") as workspace:
        yield config.read(), workspace


def run(place, *command, **options):
    recorded = record_run(*place, [sys.executable, *command], **options)
    assert recorded.exit_code == 0
    return recorded


@pytest.fixture(scope="module")
def recorded_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two-models")
    begin(folder)
    with pytest.MonkeyPatch.context() as patch, Workspace.open(folder / ".casemate") as workspace:
        patch.chdir(folder)
        for who in ("ann", "mallory"):
            for command in (
                ("copy.py", "all.csv", f"{who}.csv", who),
                ("train.py", f"{who}.csv", f"{who}.pkl"),
            ):
                run((config.read(), workspace), *command, row_digests=True)
    return folder


@pytest.fixture
def two_models(recorded_once, tmp_path, monkeypatch):
    """Ann's rows made one model, mallory's the other; both came from one file."""
    folder = shutil.copytree(recorded_once, tmp_path / "work")
    monkeypatch.chdir(folder)
    with Workspace.open(folder / ".casemate") as workspace:
        yield config.read(), workspace


def reached(found, kind="model"):
    return sorted(one.node.name for one in found.radius.recorded.get(kind, ()))


def test_rows_lead_to_the_models_that_learned_from_them(two_models):
    Path("bad.csv").write_text("label,amount,who\n1,1.0,mallory\n")  # as the finder has it
    found = radius(*two_models, data="bad.csv")
    assert found.rows.asked == 1
    # The source holds the row too, and from it both models came.
    assert sorted(one.node.name for one in found.rows.holding) == ["all.csv", "mallory.csv"]
    assert [one.rows for one in found.rows.holding] == [1, 1]
    assert reached(found) == ["ann.pkl", "mallory.pkl"]
    book = LineageBook(two_models[1])
    (model,) = [one for one in book.nodes(("model",)) if one.name == "ann.pkl"]
    assert model.id in {one.node.id for one in found.radius.recorded["model"]}


def test_a_data_set_of_its_own_leads_to_its_model_alone(two_models):
    found = radius(*two_models, nodes=["mallory.csv"])
    assert reached(found) == ["mallory.pkl"]
    assert radius(*two_models, nodes=["ann.csv", "mallory.csv"]).radius.counts["model"] == 2


def test_rows_are_chosen_and_found_where_a_file_was_rewritten(two_models):
    Path("all.csv").unlink()
    found = radius(*two_models, data="mallory.csv", rows="amount>70 and label=1")
    assert found.rows.asked == 5
    assert {one.node.name: one.rows for one in found.rows.holding} == {
        "all.csv": 5,
        "mallory.csv": 5,
    }
    with pytest.raises(UsageError, match="no row"):
        radius(*two_models, data="mallory.csv", rows="who=nobody")
    with pytest.raises(UsageError, match="no column"):
        radius(*two_models, data="mallory.csv", rows="contributor=x")


def test_rows_of_data_still_in_place_are_read_then(place):
    """Nobody asked for row digests, but the file is still what was read."""
    run(place, "train.py", "all.csv", "model.pkl")
    assert LineageBook(place[1]).with_rows() == []
    assert reached(radius(*place, data="all.csv", rows="2-3")) == ["model.pkl"]
    assert len(LineageBook(place[1]).with_rows()) == 1


def test_data_whose_rows_are_gone_is_said_to_be_untold(place):
    run(place, "train.py", "all.csv", "model.pkl")
    Path("bad.csv").write_text("who,amount,label\nmallory,1,1\n")
    Path("all.csv").write_text("overwritten since\n")
    found = radius(*place, data="bad.csv")
    assert [one.name for one in found.rows.untold] == ["all.csv"]
    assert "of 1 data sets it is not known whether they hold any of the rows" in found.notes
    assert found.radius.counts == {}


def test_a_file_that_has_no_rows_is_looked_for_as_a_whole(place):
    Path("blob.txt").write_text("x" * 100)
    run(place, "train.py", "blob.txt", "model.pkl")
    assert reached(radius(*place, data="blob.txt")) == ["model.pkl"]
    with pytest.raises(UsageError, match="cannot be told"):
        radius(*place, data="blob.txt", rows="1-2")
    Path("odd.csv").write_bytes(b'a,b\n"' + b"x" * 99)
    run(place, "train.py", "odd.csv", "odd.pkl", row_digests=True)
    assert reached(radius(*place, data="odd.csv")) == ["odd.pkl"]
    with pytest.raises(FormatError):
        radius(*place, data="odd.csv", rows="1")


def test_one_image_of_many_leads_to_the_model(place):
    Path("images").mkdir()
    for number in range(70):
        Path(f"images/{number}.png").write_bytes(f"image {number} ".encode() * 20)
    Path("see.py").write_text(
        "import glob\nbody = [open(one, 'rb').read() for one in glob.glob('images/*')]\n"
        "open('m.pt', 'wb').write(b''.join(body))\n"
    )
    run(place, "see.py", row_digests=True)
    Path("seized.png").write_bytes(Path("images/9.png").read_bytes())
    found = radius(*place, data="seized.png")
    assert [(one.node.name, one.rows) for one in found.rows.holding] == [("images/", 1)]
    assert reached(found) == ["m.pt"]


def events(place, model, version, count, *, begin, principals, **fields):
    writer = new_writer()
    sink = open_sink(place[1].folder / "telemetry", writer)
    sink.append(
        [
            Event(
                writer=writer,
                sequence=number,
                at=begin + number * 1000,
                model=model,
                version=version,
                principal=f"user-{number % principals}",
                **fields,
            )
            for number in range(count)
        ]
    )
    sink.close()


def test_decisions_and_people_are_counted_while_it_was_deployed(two_models):
    _, workspace = two_models
    deploy(workspace, "mallory.pkl", "fraud", by="ana", at=NOW)
    deploy(workspace, "ann.pkl", "fraud", by="ana", at=NOW + HOUR)
    events(two_models, "fraud", None, 30, begin=NOW - HOUR, principals=30)
    events(two_models, "fraud", None, 200, begin=NOW, principals=7)
    events(two_models, "fraud", None, 50, begin=NOW + HOUR, principals=50)
    events(two_models, "fraud", None, 5, begin=NOW, principals=1, kind="refused")
    events(two_models, "other", None, 40, begin=NOW, principals=40)
    found = radius(*two_models, nodes=["mallory.csv"])
    assert (found.decisions, found.principals) == (200, 7)
    (one,) = found.served
    assert (one.first, one.last) == (NOW, NOW + 199_000)
    assert one.window.confidence == 1.0
    assert (one.window.since, one.window.until) == (NOW, NOW + HOUR)
    both = radius(*two_models, nodes=["mallory.csv", "ann.csv"])
    assert both.decisions == 250
    assert both.principals == 50


def test_a_registered_name_is_a_proposal_for_what_events_carry(two_models):
    _, workspace = two_models
    book = LineageBook(workspace)
    model = book.node("mallory.pkl")
    facts = {"registered": "fraud", "version": "3"}
    version = make(Node, id="mlflow:models/fraud/3", kind="version", name="fraud 3", facts=facts)
    alias = make(Node, id="mlflow:alias/fraud/prod", kind="alias", name="fraud@prod", facts=facts)
    steps = [(model.id, version.id, "registered-as"), (version.id, alias.id, "aliased-as")]
    book.add(
        [version, alias],
        [make(Edge, source=a, target=b, relation=c, by="mlflow") for a, b, c in steps],
    )
    events(two_models, "fraud", "3", 60, begin=NOW, principals=6)
    events(two_models, "fraud", "2", 30, begin=NOW, principals=30)
    found = radius(*two_models, nodes=["mallory.csv"])
    assert (found.decisions, found.principals) == (60, 6)
    (one,) = found.served
    assert one.window.confidence == pytest.approx(decisions._NAMED)
    assert "name and version" in one.window.why


def test_what_cannot_be_counted_is_none_and_not_zero(two_models):
    found = radius(*two_models, nodes=["mallory.csv"])
    assert (found.decisions, found.principals) == (None, None)
    assert any("nothing within it is known to run" in note for note in found.notes)
    deploy(two_models[1], "mallory.pkl", "fraud", by="ana")
    found = radius(*two_models, nodes=["mallory.csv"])
    assert (found.decisions, found.principals) == (None, None)
    assert "there is no telemetry, so no decisions can be counted" in found.notes


def test_requests_that_were_lost_meanwhile_are_said(two_models):
    deploy(two_models[1], "mallory.pkl", "fraud", by="ana", version="7", at=NOW)
    events(two_models, "fraud", "7", 3, begin=NOW, principals=3)
    events(two_models, "fraud", "7", 2, begin=NOW, principals=2, kind="bypassed", lost=4)
    (one,) = radius(*two_models, nodes=["mallory.csv"]).served
    assert (one.decisions, one.unread) == (3, 8)


def test_a_case_begins_at_its_models(two_models):
    deploy(two_models[1], "mallory.pkl", "fraud", by="ana", version="7")
    triage = make(Triage, assessment="attack", confidence="firm", models=("fraud", "unheard-of"))
    now = datetime.now(UTC)
    case = make(
        Incident, id="case-2026-0001", title="?", severity=Severity.CRITICAL, opened=now,
        opened_by="ana", aware=now, triage=triage,
    )  # fmt: skip
    found = radius(*two_models, case)
    # From the weights behind the deployment, which may answer elsewhere as well.
    assert [one.name for one in found.radius.starts] == ["mallory.pkl", "fraud:7"]
    assert "the lineage does not know the model 'unheard-of' of the case" in found.notes
    with pytest.raises(UsageError, match="nothing to begin at"):
        radius(*two_models)
    with pytest.raises(UsageError, match="rows are of a file"):
        radius(*two_models, rows="1-2")


def test_two_recorders_at_once_keep_their_own(place):
    code = "import sys, time; from pathlib import Path; time.sleep(0.2); " + TRAIN.split("; ")[1]
    Path("train.py").write_text("import sys\n" + code)
    recorder = [sys.executable, "-m", "casemate", "lineage", "record", "-q", "--", sys.executable]
    for mark in "ab":
        Path(f"{mark}.csv").write_text(f"x\n{mark * 99}\n")
    both = [
        subprocess.Popen([*recorder, "train.py", f"{mark}.csv", f"{mark}.pkl"]) for mark in "ab"
    ]
    assert [one.wait(60) for one in both] == [0, 0]
    for mark in "ab":
        assert reached(radius(*place, nodes=[f"{mark}.csv"])) == [f"{mark}.pkl"]


def test_a_recorder_that_is_killed_leaves_a_trace(place):
    Path("slow.py").write_text("import time; print('ready', flush=True); time.sleep(600)")
    command = [
        sys.executable,
        "-m",
        "casemate",
        "lineage",
        "record",
        "--",
        sys.executable,
        "slow.py",
    ]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert started.stdout.readline() == "ready\n"
    started.kill()
    started.communicate(timeout=60)
    (run_node,) = LineageBook(place[1]).nodes(("run",))
    assert run_node.facts["state"] == "running"


def test_parents_are_files_or_nodes(place):
    Path("base.pt").write_bytes(b"backbone" * 20)
    run(place, "train.py", "all.csv", "tuned.pkl", parents=["base.pt"])
    assert reached(radius(*place, nodes=["base.pt"])) == ["tuned.pkl"]
    run(place, "train.py", "all.csv", "again.pkl", parents=["tuned.pkl"])
    with pytest.raises(UsageError, match="no node"):
        run(place, "train.py", "all.csv", "x.pkl", parents=["nothing.pt"])


def test_usage(place):
    with pytest.raises(UsageError, match="no program"):
        record_run(*place, ["no-such-program"])
    with pytest.raises(UsageError, match="no command"):
        record_run(*place, [])
    with pytest.raises(UsageError, match="no lineage is read from 'x'"):
        import_(*place, "x", "y")
    run(place, "train.py", "all.csv", "m.pkl")
    with pytest.raises(UsageError, match="cannot be deployed"):
        deploy(place[1], "all.csv", "fraud", by="ana")


def test_what_is_read_elsewhere_is_kept(place, monkeypatch):
    from casemate.lineage.found import Lineage

    node = make(Node, id="x:1", kind="model", name="imported")
    monkeypatch.setattr(
        module, "_reader", lambda _: lambda place, *, name="": Lineage([node], [], [name])
    )
    kept = import_(*place, "mlflow", "somewhere", name="prod")
    assert (kept.fresh, kept.lineage.notes) == (1, ["prod"])
    assert show(place[1], "imported").node == node
    assert overview(place[1]).counts == {"model": 1, "edges": 0}
    with pytest.raises(UsageError, match="takes no --artifacts"):
        import_(*place, "mlflow", "somewhere", artifacts="x")


def test_row_digests_of_a_file_are_of_what_was_read(place):
    recorded = run(place, "train.py", "all.csv", "m.pkl")
    Path("all.csv").write_text("who,amount,label\nelse,1,1\n")
    assert list(rowwise.keep(LineageBook(place[1]), recorded)) == [
        "the rows of all.csv are not known: it has changed since it was read"
    ]
