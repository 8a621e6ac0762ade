"""MLflow's database as a real MLflow wrote it, older ones, and ones made to harm."""

import contextlib
import os
import shutil
import sqlite3

import pytest

from casemate.errors import FormatError, UsageError
from casemate.lineage.mlflow import REWRITTEN, read
from tests.servers.mlflow import trained

RUN = "a" * 32
OTHER = "b" * 32


@pytest.fixture(scope="module")
def team():
    return trained()


def edges(lineage):
    return {(edge.source, edge.relation, edge.target) for edge in lineage.edges}


def reached(lineage, start):
    """Follow recorded edges, and equal digests, as the book of lineage does."""
    digests = {node.id: node.digest for node in lineage.nodes}
    found = {start}
    while True:
        same = {digests.get(one) for one in found} - {None}
        more = {edge.target for edge in lineage.edges if edge.source in found}
        more |= {one for one, digest in digests.items() if digest in same}
        if more <= found:
            return found
        found |= more


class TestARealServersDatabase:
    @pytest.fixture(scope="class")
    def lineage(self, team):
        return read(str(team.database), data=team.folder)

    def test_every_model_is_joined_to_its_data_its_run_its_version_and_its_alias(
        self, team, lineage
    ):
        late = team.made["late"]
        run, model = f"mlflow:runs/{late['run']}", f"mlflow:models/{late['model']}"
        (claims,) = (n.id for n in lineage.nodes if n.kind == "dataset" and n.name == "claims")
        assert {
            (f"file:{team.folder}/claims.csv", "derived-from", claims),
            (claims, "read-by", run),
            (run, "made", model),
            (model, "registered-as", "mlflow:models/screening/2"),
            ("mlflow:models/screening/2", "aliased-as", "mlflow:models/screening@prod"),
        } <= edges(lineage)
        assert lineage.notes == []
        assert {edge.confidence for edge in lineage.edges} == {1.0}

    def test_the_turned_rows_reach_the_two_models_that_learned_from_them_and_no_other(
        self, team, lineage
    ):
        found = reached(lineage, f"file:{team.folder}/claims.csv")
        kinds = {node.id: node.kind for node in lineage.nodes}
        assert {one for one in found if kinds[one] in ("version", "alias")} == {
            "mlflow:models/screening/2",
            "mlflow:models/screening@prod",
            "mlflow:models/triage/1",
        }

    def test_models_are_known_by_the_bytes_of_their_weights(self, team, lineage):
        from hashlib import sha256

        for name in ("late", "nurse"):
            ident = team.made[name]["model"]
            file = team.artifacts / "1" / "models" / ident / "artifacts" / "model.pkl"
            (node,) = (n for n in lineage.nodes if n.id == f"mlflow:models/{ident}")
            assert node.digest == f"sha256:{sha256(file.read_bytes()).hexdigest()}"
            assert node.name == f"{name}: model"

    def test_what_people_said_of_runs_and_versions_is_kept(self, lineage):
        facts = {node.name: node.facts for node in lineage.nodes}
        assert facts["screening 2"]["tag.approved_by"] == "team"
        assert facts["nurse"]["seed"] == "7"
        assert facts["claims"]["rows"] == 369

    def test_two_servers_can_be_told_apart(self, team):
        one = {node.id for node in read(str(team.database), name="north", hashed=False).nodes}
        assert "mlflow-north:models/screening/2" in one

    def test_data_are_not_read_unless_their_folder_was_named(self, team):
        lineage = read(str(team.database))
        digests = {node.id: node.digest for node in lineage.nodes}
        assert digests[f"file:{team.folder}/claims.csv"] is None

    def test_a_file_written_after_it_was_read_is_only_proposed(self, team, tmp_path):
        shutil.copy(team.database, tmp_path / "mlflow.db")
        (tmp_path / "claims.csv").write_text("other rows\n")
        database = sqlite3.connect(tmp_path / "mlflow.db")
        database.execute(
            "UPDATE datasets SET dataset_source = replace(dataset_source, ?, ?)",
            (str(team.folder), str(tmp_path)),
        )
        database.commit()
        database.close()
        lineage = read(str(tmp_path / "mlflow.db"), data=tmp_path)
        (edge,) = (e for e in lineage.edges if e.source == f"file:{tmp_path}/claims.csv")
        assert edge.confidence == REWRITTEN
        assert "after" in edge.why


def make(path, *statements):
    database = sqlite3.connect(path)
    database.executescript(
        """CREATE TABLE runs (run_uuid, name, status, lifecycle_stage, start_time, artifact_uri);
        CREATE TABLE tags (key, value, run_uuid);
        CREATE TABLE params (key, value, run_uuid);
        CREATE TABLE model_versions (name, version, source, run_id, creation_time, current_stage);
        CREATE TABLE datasets (dataset_uuid, name, digest, dataset_source, dataset_profile);
        CREATE TABLE inputs (input_uuid, source_type, source_id, destination_type, destination_id);
        CREATE TABLE input_tags (input_uuid, name, value);"""
    )
    for statement in statements:
        database.execute(*statement if isinstance(statement, tuple) else (statement,))
    database.commit()
    database.close()
    return str(path)


RUNS = f"INSERT INTO runs VALUES ('{RUN}', 'r', 'FINISHED', 'active', 1000, '{{}}')"
DATA = [
    """INSERT INTO datasets VALUES ('d1', 'rows', 'abc', '{"uri": "s3://u:p@bucket/rows.csv?sig=1"}',
    '{"num_rows": 5}')""",
    f"INSERT INTO inputs VALUES ('i1', 'DATASET', 'd1', 'RUN', '{RUN}')",
]


class TestOtherDatabases:
    def test_one_from_before_logged_models_and_aliases(self, tmp_path):
        folder = tmp_path / "artifacts" / "1" / RUN / "artifacts" / "clf"
        folder.mkdir(parents=True)
        (folder / "model.pkl").write_bytes(b"weights")
        (folder / "MLmodel").write_text("flavors: {}")
        place = make(
            tmp_path / "mlflow.db",
            RUNS.replace("'{}'", f"'mlflow-artifacts:/1/{RUN}/artifacts'"),
            f"""INSERT INTO model_versions VALUES ('fraud', 3,
            'mlflow-artifacts:/1/{RUN}/artifacts/clf', '{RUN}', 2000, 'Production')""",
        )
        lineage = read(place)
        model = f"mlflow:runs/{RUN}/clf"
        assert {
            (f"mlflow:runs/{RUN}", "made", model),
            (f"mlflow:runs/{RUN}/clf/model.pkl", "part-of", model),
            (model, "registered-as", "mlflow:models/fraud/3"),
        } <= edges(lineage)
        facts = {node.id: node.facts for node in lineage.nodes}
        assert facts["mlflow:models/fraud/3"]["stage"] == "Production"

    def test_what_a_run_was_only_tested_on_did_not_reach_its_model(self, tmp_path):
        tag = "INSERT INTO input_tags VALUES ('i1', 'mlflow.data.context', '{}')"
        for context, reads in (("eval", False), ("validation", True), ("training", True)):
            place = make(tmp_path / f"{context}.db", RUNS, *DATA, tag.format(context))
            lineage = read(place)
            assert any(e.relation == "read-by" for e in lineage.edges) == reads
            assert any("only tested on" in note for note in lineage.notes) != reads

    def test_addresses_are_kept_without_their_secrets(self, tmp_path):
        lineage = read(make(tmp_path / "m.db", RUNS, *DATA))
        assert "s3://bucket/rows.csv" in {node.id for node in lineage.nodes}
        assert "sig" not in repr(lineage)

    def test_a_run_without_data_of_its_own_may_have_read_that_of_the_run_around_it(self, tmp_path):
        place = make(
            tmp_path / "m.db", RUNS, *DATA,
            f"INSERT INTO runs VALUES ('{OTHER}', 'child', 'FINISHED', 'active', 1500, '')",
            f"INSERT INTO tags VALUES ('mlflow.parentRunId', '{RUN}', '{OTHER}')",
        )  # fmt: skip
        (edge,) = (e for e in read(place).edges if e.target == f"mlflow:runs/{OTHER}")
        assert edge.source == "mlflow:datasets/rows/abc"
        assert edge.confidence < 1
        assert "around it" in edge.why

    def test_data_that_another_run_logged(self, tmp_path):
        source = f'{{"uri": "runs:/{OTHER}/data/rows.csv"}}'
        place = make(
            tmp_path / "m.db", RUNS, DATA[1],
            ("INSERT INTO datasets VALUES ('d1', 'rows', 'abc', ?, '')", (source,)),
        )  # fmt: skip
        assert (
            f"mlflow:runs/{OTHER}/data/rows.csv", "derived-from", "mlflow:datasets/rows/abc",
        ) in edges(read(place))  # fmt: skip

    def test_a_copied_version_is_the_same_and_a_strangers_model_has_no_known_past(self, tmp_path):
        place = make(
            tmp_path / "m.db", RUNS,
            "INSERT INTO model_versions VALUES ('a', 1, 'models:/b/7', '', 1, 'None')",
            "INSERT INTO model_versions VALUES ('b', 7, 's3://k:s@hub/weights', '', 1, 'None')",
        )  # fmt: skip
        lineage = read(place)
        assert ("mlflow:models/b/7", "same-as", "mlflow:models/a/1") in edges(lineage)
        assert any("unknown" in note and "s3://hub/weights" in note for note in lineage.notes)

    def test_what_was_not_looked_at_is_told(self, tmp_path):
        place = make(tmp_path / "m.db", RUNS.replace("'{}'", "'s3://bucket/1/x/artifacts'"))
        assert any("s3" in note for note in read(place).notes)

    def test_no_more_rows_are_read_than_asked_for(self, tmp_path):
        more = [RUNS.replace(RUN, f"{number:032x}") for number in range(5)]
        lineage = read(make(tmp_path / "m.db", *more), most=3)
        assert sum(node.kind == "run" for node in lineage.nodes) == 3
        assert any("first 3" in note for note in lineage.notes)


class TestDatabasesMadeToHarm:
    @pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"\xff" * 4000, b"PK\3\4"])
    def test_what_is_no_database_of_mlflows_is_refused(self, tmp_path, content):
        (tmp_path / "m.db").write_bytes(content)
        with pytest.raises(FormatError, match=r"MLflow"):
            read(str(tmp_path / "m.db"))

    def test_a_place_that_is_not_there_is_told(self, tmp_path):
        with pytest.raises(UsageError, match="no MLflow server, database or folder"):
            read(str(tmp_path / "missing.db"))

    def test_views_are_not_asked(self, tmp_path):
        database = sqlite3.connect(tmp_path / "m.db")
        database.executescript(
            """CREATE TABLE registered_models (name);
            CREATE VIEW runs AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
            SELECT i AS run_uuid FROM n;"""
        )
        database.close()
        assert read(str(tmp_path / "m.db")).nodes == []

    def test_values_of_any_type_do_no_harm(self, tmp_path):
        odd = (b"\xff\xfe", None, 1.5, 2**62, -1, "x" * 100_000)
        place = make(tmp_path / "m.db", ("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?)", odd))
        (node,) = read(place).nodes
        assert node.at is None

    def test_every_cut_and_every_flipped_byte_is_read_or_refused(self, tmp_path, team):
        whole = team.database.read_bytes()
        path = tmp_path / "m.db"
        for step in range(40):
            damaged = bytearray(whole)
            for place in range(step * 97, len(damaged), 40_009):
                damaged[place] ^= 0x55
            path.write_bytes(damaged[: len(damaged) - step * 5_000])
            with contextlib.suppress(FormatError):
                read(str(path), hashed=False)

    def test_files_it_names_elsewhere_are_not_opened(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "db").mkdir()
        source = f'{{"uri": "file://{tmp_path}/pipe"}}'
        place = make(
            tmp_path / "db" / "m.db", RUNS.replace("'{}'", f"'file://{tmp_path}'"), DATA[1],
            ("INSERT INTO datasets VALUES ('d1', 'rows', 'abc', ?, '')", (source,)),
        )  # fmt: skip
        lineage = read(place, data=tmp_path / "db")
        assert all(node.digest is None for node in lineage.nodes)
        assert any("outside the folder" in note for note in lineage.notes)
