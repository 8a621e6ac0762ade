"""A folder as MLflow 3.17's file store writes it (checked against one it wrote)."""

import hashlib
import os

import pytest

from casemate.errors import UsageError
from casemate.lineage.mlflow import read

RUN = "334618f6c5d94a41b2d72ef3690db934"
MODEL = "m-3bd22115e43d444cbb35323eefb28b4a"
FILES = {
    "models/fraud/meta.yaml": "name: fraud\naliases:\n  prod: '1'\n",
    "models/fraud/version-1/meta.yaml": f"""creation_timestamp: 1795284694835
current_stage: None
name: fraud
run_id: {RUN}
source: models:/{MODEL}
version: 1
""",
    "models/fraud/version-1/tags/by": "ana",
    "models/fraud/aliases/prod": "1",
    "0/meta.yaml": "experiment_id: '0'\nname: Default\n",
    "168/meta.yaml": "experiment_id: '168'\nname: claims\n",
    "168/datasets/9541/meta.yaml": """digest: 320dcd72
name: rows
profile: '{"num_rows": 4}'
source: '{"uri": "rows.csv"}'
source_type: local
""",
    f"168/models/{MODEL}/meta.yaml": f"""artifact_location: file:///elsewhere/artifacts
creation_timestamp: 1795284691028
name: model
source_run_id: {RUN}
""",
    f"168/models/{MODEL}/artifacts/MLmodel": "flavors: {}",
    f"168/models/{MODEL}/artifacts/model.pkl": "weights",
    f"168/{RUN}/meta.yaml": """artifact_uri: file:///elsewhere
run_name: one
start_time: 1795284690444
status: 3
lifecycle_stage: active
""",
    f"168/{RUN}/params/seed": "7",
    f"168/{RUN}/params/a/b": "x",
    f"168/{RUN}/tags/mlflow.source.git.commit": "0a1b2c3d4e",
    f"168/{RUN}/inputs/fcea/meta.yaml": """source_id: '9541'
source_type: DATASET
tags:
  mlflow.data.context: train
""",
}


@pytest.fixture
def store(tmp_path):
    for name, body in FILES.items():
        path = tmp_path / "mlruns" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    return tmp_path / "mlruns"


def edges(lineage):
    return {(e.source, e.relation, e.target) for e in lineage.edges}


@pytest.mark.parametrize("place", ["mlruns", ""])
def test_it_tells_what_a_database_tells(store, place):
    lineage = read(str(store.parent / place))
    run, model = f"mlflow:runs/{RUN}", f"mlflow:models/{MODEL}"
    assert edges(lineage) == {
        ("file:rows.csv", "derived-from", "mlflow:datasets/rows/320dcd72"),
        ("mlflow:datasets/rows/320dcd72", "read-by", run),
        ("git:0a1b2c3d4e", "read-by", run),
        (run, "made", model),
        (model, "registered-as", "mlflow:models/fraud/1"),
        ("mlflow:models/fraud/1", "aliased-as", "mlflow:models/fraud@prod"),
    }
    nodes = {node.id: node for node in lineage.nodes}
    assert nodes[model].digest == f"sha256:{hashlib.sha256(b'weights').hexdigest()}"
    assert nodes[run].facts == {"status": "FINISHED", "seed": "7", "param.a/b": "x"}
    assert nodes["mlflow:models/fraud/1"].facts["tag.by"] == "ana"
    assert lineage.notes == []


def test_no_more_is_read_than_asked_for(store):
    for number in range(5):
        folder = store / "168" / f"{number:032x}"
        folder.mkdir()
        (folder / "meta.yaml").write_text("run_name: r\n")
    lineage = read(str(store), most=3)
    assert sum(node.kind == "run" for node in lineage.nodes) == 3
    assert any("first 3" in note for note in lineage.notes)


def test_hostile_files_are_told_and_nothing_outside_is_read(store, tmp_path):
    (tmp_path / "secret").write_text("s3cret")
    (store / "168" / RUN / "params" / "link").symlink_to(tmp_path / "secret")
    (store / "168" / "loop").symlink_to(store)
    os.mkfifo(store / "168" / RUN / "tags" / "pipe")
    (store / "168" / "bad").mkdir()
    (store / "168" / "bad" / "meta.yaml").write_text("a: &a [*a]")
    lineage = read(str(store))
    assert "s3cret" not in repr(lineage)
    assert any("bad/meta.yaml" in note for note in lineage.notes)
    assert (f"mlflow:runs/{RUN}", "made", f"mlflow:models/{MODEL}") in edges(lineage)


def test_a_folder_of_something_else_is_told(tmp_path):
    with pytest.raises(UsageError, match="no MLflow server"):
        read(str(tmp_path))
