"""Projects as DVC 3 writes them; the contents are those whose MD5 it keeps."""

import hashlib

import pytest

from casemate.errors import UsageError
from casemate.lineage.dvc import read

ROWS, SCALED, MODEL = b"a,label\n1,0\n", b"a,label\n0.5,0\n", b"weights"


def md5(data):
    return hashlib.md5(data).hexdigest()


def sha(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    for name, data in (("data/rows.csv", ROWS), ("scaled.csv", SCALED), ("model.pkl", MODEL)):
        (folder / name).write_bytes(data)
    (folder / "data" / "rows.csv.dvc").write_text(
        f"""outs:
- md5: {md5(ROWS)}
  size: {len(ROWS)}
  hash: md5
  path: rows.csv
"""
    )
    (folder / "dvc.yaml").write_text(
        "stages:\n  scale: {cmd: python scale.py}\n  train: {cmd: t}\n  report: {cmd: r}\n"
    )
    (folder / "dvc.lock").write_text(
        f"""schema: '2.0'
stages:
  scale:
    cmd: python scale.py
    deps:
    - {{path: data/rows.csv, hash: md5, md5: {md5(ROWS)}, size: {len(ROWS)}}}
    outs:
    - path: scaled.csv
      hash: md5
      md5: {md5(SCALED)}
      size: {len(SCALED)}
  train@fast:
    cmd: python train.py --seed 3
    deps:
    - path: scaled.csv
      hash: md5
      md5: {md5(SCALED)}
    params:
      params.yaml:
        train.seed: 3
    outs:
    - path: model.pkl
      hash: md5
      md5: {md5(MODEL)}
"""
    )
    return folder


def edges(lineage):
    names = {node.id: node.name for node in lineage.nodes}
    return {(names[e.source], e.relation, names[e.target]) for e in lineage.edges}


def test_what_stages_read_and_made(project):
    lineage = read(str(project))
    assert edges(lineage) == {
        ("data/rows.csv", "read-by", "scale"),
        ("scale", "made", "scaled.csv"),
        ("scaled.csv", "read-by", "train@fast"),
        ("train@fast", "made", "model.pkl"),
    }
    nodes = {node.name: node for node in lineage.nodes}
    assert nodes["data/rows.csv"].digest == sha(ROWS)
    assert nodes["model.pkl"].digest == sha(MODEL)
    assert nodes["model.pkl"].kind == "model"
    assert nodes["train@fast"].facts["param.train.seed"] == 3
    assert lineage.notes == ["stage report was never run here: dvc.lock does not know what it read"]


def test_a_file_that_changed_since_is_not_what_was_read(project):
    (project / "scaled.csv").write_text("other")
    nodes = {node.name: node for node in read(str(project)).nodes}
    assert nodes["scaled.csv"].digest is None
    assert nodes["scaled.csv"].id == f"md5:{md5(SCALED)}"
    cache = project / ".dvc" / "cache" / "files" / "md5" / md5(SCALED)[:2]
    cache.mkdir(parents=True)
    (cache / md5(SCALED)[2:]).write_bytes(SCALED)
    nodes = {node.name: node for node in read(str(project)).nodes}
    assert nodes["scaled.csv"].digest == sha(SCALED)


def test_the_files_of_a_tracked_folder_are_named_from_the_cache(project):
    listing = f'[{{"md5": "{md5(ROWS)}", "relpath": "a.csv"}}]'.encode()
    name = f"{md5(listing)}.dir"
    (project / "images.dvc").write_text(f"outs:\n- {{md5: {name}, path: images, nfiles: 1}}\n")
    assert any("only in DVC's cache" in note for note in read(str(project)).notes)
    cache = project / ".dvc" / "cache" / "files" / "md5" / name[:2]
    cache.mkdir(parents=True)
    (cache / name[2:]).write_bytes(listing)
    lineage = read(str(project))
    assert (f"md5:{md5(ROWS)}", "part-of", f"md5:{name}") in {
        (e.source, e.relation, e.target) for e in lineage.edges
    }


def test_an_import_from_elsewhere_keeps_no_secret(project):
    (project / "far.csv.dvc").write_text(
        f"deps:\n- path: d/far.csv\n  repo: {{url: 'https://u:pw@git.example/x'}}\n"
        f"outs:\n- {{md5: {md5(b'far')}, path: far.csv}}\n"
    )
    lineage = read(str(project))
    assert ("https://git.example/x#d/far.csv", "derived-from", "far.csv") in edges(lineage)
    assert "pw" not in repr(lineage)


def test_places_without_a_project_are_told(tmp_path):
    for place in (tmp_path, tmp_path / "no"):
        with pytest.raises(UsageError):
            read(str(place))


@pytest.mark.parametrize(
    "text",
    ["", "[1", "- a", "stages: 5", "outs: [{path: ../../etc/passwd, md5: zz}]", "a: &a [*a]",
     "outs: [{path: /etc/passwd, md5: '" + "0" * 32 + "', size: 1.5}]", "\x00", "[" * 9999],
)  # fmt: skip
def test_hostile_files_are_told_and_nothing_else_is_lost(project, text):
    (project / "bad.dvc").write_text(text)
    (project / "dvc.yaml").write_text(text)
    lineage = read(str(project))
    assert ("scale", "made", "scaled.csv") in edges(lineage)
    assert all("passwd" not in node.name or node.digest is None for node in lineage.nodes)
