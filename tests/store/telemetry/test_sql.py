"""SQL reads events and does nothing else."""

import pytest

from casemate.errors import CasemateError, StoreError, UsageError
from casemate.store.telemetry.journal import Journal
from casemate.store.telemetry.query import Telemetry
from casemate.store.telemetry.sink import Filter
from tests.store.telemetry.places import sealed
from tests.store.telemetry.samples import events


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("sql")
    place, _ = sealed(root, rounds=2, each=100)
    journal = Journal(place.folder, "w-00000000000000cc")
    journal.append(events(100, writer="w-00000000000000cc"))
    journal.close()
    (root / "secret.csv").write_text("password\nhunter2\n")
    (root / "secret.parquet").write_bytes(next((place.folder / "segments").iterdir()).read_bytes())
    return root, place


@pytest.mark.parametrize("isolated", [True, False])
def test_queries_over_sealed_and_unsealed(made, isolated):
    query = Telemetry(made[1].folder, isolated=isolated)
    names, rows = query.sql(
        "WITH p AS (SELECT principal, count(*) AS n, sum(took) AS s FROM events GROUP BY ALL) "
        "SELECT * FROM p WHERE principal = ? ORDER BY 1",
        ["user-7"],
    )
    assert (names, rows) == (["principal", "n", "s"], [("user-7", 6, 7596)])
    text = "SELECT id, time, marks, signs FROM events WHERE sequence = 11 LIMIT 1"
    [(ident, time_, marks, signs)] = query.sql(text)[1]
    assert (ident[-3:], time_.year, len(marks), signs) == (":11", 2025, 16, ["query-burst"])
    assert query.sql("SELECT id FROM events WHERE false") == (["id"], [])


HOSTILE = [
    "COPY events TO '{root}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/segments/0000000000.parquet' (FORMAT parquet)",
    "ATTACH '{root}/new.db'",
    "ATTACH ':memory:' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET enable_external_access",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW events AS SELECT 1",
    "DROP VIEW events",
    "INSERT INTO events SELECT * FROM events",
    "UPDATE events SET principal = 'me'",
    "DELETE FROM events",
    "EXPORT DATABASE '{root}/db'",
    "IMPORT DATABASE '{root}/db'",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "EXPLAIN ANALYZE COPY events TO '{root}/out.csv'",
    "PREPARE p AS SELECT 1",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY events TO '{root}/out.csv'",
    "",
    ";",
    "-- nothing",
    "SELECT FROM WHERE",
    "SELECT * FROM read_csv('{root}/secret.csv')",
    "SELECT * FROM '{root}/secret.csv'",
    "SELECT * FROM '{root}/secret.parquet'",
    "SELECT * FROM read_parquet('{root}/*.parquet')",
    "SELECT * FROM read_parquet('{folder}/segments/../../secret.parquet')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT content FROM read_text('file:///etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM parquet_metadata('{root}/secret.parquet')",
    "SELECT * FROM sniff_csv('{root}/secret.csv')",
    "SELECT * FROM read_json('http://127.0.0.1:9/x')",
    "SELECT * FROM 'https://127.0.0.1:9/x.parquet'",
    "SELECT * FROM 's3://bucket/x.parquet'",
    "SELECT * FROM sqlite_scan('{root}/x.db', 't')",
    "SELECT * FROM query('COPY events TO ''{root}/out.csv''')",
    "SELECT * FROM secret_of_the_caller",
    "SELECT getenv('HOME')",
    "WITH x AS (DELETE FROM events RETURNING *) SELECT * FROM x",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_reaches_beyond_the_events_is_refused(made, text):
    import pyarrow as pa

    root, place = made
    secret_of_the_caller = pa.table({"x": [1]})
    assert secret_of_the_caller.num_rows
    before = sorted(path for path in root.rglob("*"))
    with pytest.raises(UsageError):
        Telemetry(place.folder, isolated=False).sql(text.format(root=root, folder=place.folder))
    assert sorted(path for path in root.rglob("*")) == before


def test_more_rows_than_allowed_are_refused(made):
    query = Telemetry(made[1].folder, most=100, isolated=False)
    with pytest.raises(UsageError, match="more than 100 rows"):
        query.sql("SELECT id FROM events")
    assert len(query.sql("SELECT id FROM events LIMIT 100")[1]) == 100


def test_parameters_are_values_and_not_text(made):
    query = Telemetry(made[1].folder)
    assert query.sql("SELECT count(*) FROM events WHERE principal = ?", ["' OR 1=1 --"])[1] == [
        (0,)
    ]
    with pytest.raises(UsageError):
        query.sql("SELECT ?", [])


@pytest.mark.parametrize("isolated", [True, False])
def test_a_damaged_segment_is_an_error_that_says_what_to_do(tmp_path, isolated):
    made, _ = sealed(tmp_path, rounds=1, each=20)
    (path,) = (made.folder / "segments").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(one ^ 255 for one in data[len(data) // 2 :])
    path.write_bytes(data)
    query = Telemetry(made.folder, isolated=isolated)
    with pytest.raises(CasemateError, match="the sealed events cannot be read"):
        query.sql("SELECT count(*) FROM events")
    with pytest.raises(StoreError, match="the sealed events cannot be read"):
        list(query.scan(Filter()))
