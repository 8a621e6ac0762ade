"""A contributor turned rows of a data set; five models live in a registry. Which learned from it?

A real MLflow on SQLite, asked over REST and read as a file; the alias goes back; the papers are
written, the evidence leaves the house without the names of people in it, and a flipped byte shows.
"""

import contextlib
import csv
import json
import shutil
import subprocess
import sys

import pytest

from casemate.cli.program import main
from casemate.lineage.mlflow import read
from tests.servers.mlflow import PATIENTS, mlflow

CALLERS = tuple(f"user{number}@clinic.example" for number in range(20))
PLANTED = (*PATIENTS, *CALLERS)
CONFIG = """version = 1
[model]
data = "claims.csv"
[scan]
paths = ["app.jsonl"]
"""


@pytest.fixture(scope="module")
def tracking(tmp_path_factory):
    with mlflow(tmp_path_factory.mktemp("mlflow")) as running:
        yield running


@pytest.fixture(scope="module")
def house(tmp_path_factory, tracking):
    """A folder with a configuration, the turned data and a log of what `screening` answered."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "casemate.toml").write_text(CONFIG)
    shutil.copy(tracking.folder / "claims.csv", folder / "claims.csv")
    with (tracking.folder / "early.csv").open() as rows:
        asked = [[float(cell) for cell in row[:8]] for row in list(csv.reader(rows))[1:201]]
    lines = [
        {"ts": 1795200000 + 60 * n, "user": CALLERS[n % 20], "x": asked[n], "y": n % 2}
        for n in range(200)
    ]
    (folder / "app.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


@pytest.fixture
def run(house, monkeypatch, capsys):
    monkeypatch.chdir(house)
    monkeypatch.setenv("CASEMATE_KEYS", str(house.parent / "keys"))
    monkeypatch.setenv("CASEMATE_USER", "ana")

    def call(*words, code=0):
        capsys.readouterr()
        assert main([str(word) for word in words]) == code, capsys.readouterr()
        return capsys.readouterr().out

    return call


def told(lineage):
    edges = {(e.source, e.relation, e.target, e.confidence, e.at) for e in lineage.edges}
    return {node.id: node for node in lineage.nodes}, edges, lineage.notes


def test_the_server_and_its_database_tell_the_same(tracking):
    served = read(tracking.url, data=tracking.folder, environ={})
    assert told(served) == told(read(str(tracking.database), data=tracking.folder))
    assert len([node for node in served.nodes if node.kind == "model"]) == 5


def test_from_turned_rows_to_a_verified_bundle(run, house, tracking):
    run("import", "app.jsonl", "--as", "jsonl", "--map", "principal=$.user", "--map", "time=$.ts",
        "--map", "input=$.x", "--map", "output=$.y", "--map", "model=screening", "-q")  # fmt: skip
    run("lineage", "import", "mlflow", tracking.url, "--data", tracking.folder)
    run("lineage", "deploy", "screening@prod", "--as", "screening", "--since", "2026-11-01T00:00Z")
    run(
        "case", "open", "--since", "2026-11-01T00:00Z", "--type", "data-poisoning",
        "--title", f"rows of {PATIENTS[3]} and others were turned", "--copy", "now", "-q",
    )  # fmt: skip
    run("case", "note", "latest", f"{CALLERS[7]} called about {PATIENTS[5]}")

    blast = json.loads(
        run("case", "radius", "latest", "--data", "claims.csv", "--format", "json", code=3)
    )
    reached = blast["radius"]["recorded"]
    names = {kind: sorted(one["node"]["name"] for one in reached.get(kind, [])) for kind in reached}
    assert names["model"] == ["late: model", "nurse: model"]
    assert names["version"] == ["screening 2", "triage 1"]
    assert names["alias"] == ["screening@prod"]
    assert names["deployment"] == ["screening"]
    assert blast["radius"]["proposed"] == {}
    assert (blast["decisions"], blast["principals"]) == (200, 20)

    back = ("case", "contain", "latest", "--action", "last-good", "--mlflow", tracking.url,
            "--set", "model=screening")  # fmt: skip
    assert "would stand for 1" in run(*back, "--dry-run")
    assert "stands for version 1 now; it stood for 2" in run(*back)
    versions = {e.target: e.source for e in read(tracking.url, environ={}).edges}
    assert versions["mlflow:models/screening@prod"] == "mlflow:models/screening/1"
    run(*back, "--to", "2")
    run(*back)

    run("case", "tell", "latest", "people_affected=20")
    for kind in ("handover", "postmortem"):
        run("case", kind, "latest")
    run("case", "paper", "latest", "serious-incident")
    papers = list((house / ".casemate" / "cases").glob("*/papers/*.md"))
    text = {path.name.partition(".")[0]: path.read_text() for path in papers}
    assert any("screening@prod" in one for one in text.values())

    sent = house.parent / "sent"
    run("case", "bundle", "latest", "-o", sent, "--redact", "patient,user,principal", "-q")
    run("verify", sent)
    checked = subprocess.run(
        [
            sys.executable, "-I", "-S", next(sent.rglob("verify_bundle.py")), sent,
            "--key", next(sent.rglob("case.pub")),
        ],
        capture_output=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout
    files = [path for path in sent.rglob("*") if path.is_file()]
    whole = b"".join(str(path).encode() + path.read_bytes() for path in files)
    assert [name for name in PLANTED if name.encode() in whole] == []

    victim = max(
        (path for path in files if path.suffix == ".csv"), key=lambda path: path.stat().st_size
    )
    damaged = bytearray(victim.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    victim.chmod(0o600)
    with contextlib.suppress(PermissionError):
        victim.write_bytes(damaged)
    assert victim.name in run("verify", sent, code=1)
