"""The same two doors on ClickHouse, by its own engine in this process (chDB)."""

import time

import pytest

from casemate.errors import StoreError, UsageError
from casemate.store.telemetry.clickhouse import (
    ClickHouseQuery,
    ClickHouseSink,
    connect,
    create,
)
from casemate.store.telemetry.sink import Filter
from tests.store.telemetry.samples import START, WRITER, events

clickhouse_connect = pytest.importorskip("clickhouse_connect")
pytest.importorskip("chdb")
OTHER = "w-00000000000000aa"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clickhouse")
    first = clickhouse_connect.get_client(interface="chdb", path=str(folder))
    yield lambda: clickhouse_connect.get_client(interface="chdb", path=str(folder))
    first.close()


@pytest.fixture(scope="module")
def sent(engine):
    one = engine()
    batches = events(300), events(200, writer=OTHER, start=START + 500)
    for batch in batches:
        sink = ClickHouseSink(one, batch[0].writer, window=0)
        sink.append(batch[:100])
        assert sink.flush().durable
        sink.append(batch[100:])
        sink.close()
    return batches


@pytest.fixture
def query(sent, engine):
    return ClickHouseQuery(engine(), seconds=2, most=1000)


def test_events_come_back_as_they_went_in(sent, query):
    assert list(query.scan(Filter())) == sorted(sent[0] + sent[1], key=lambda e: e.at)
    assert list(query.tail({})) == sent[1] + sent[0]
    assert list(query.tail({WRITER: 290, OTHER: 199})) == sent[0][291:]


def test_filters(sent, query):
    both = sorted(sent[0] + sent[1], key=lambda e: e.at)
    cluster = both[7].measures.cluster
    for wanted, test in (
        (Filter(principal="user-3"), lambda e: e.principal == "user-3"),
        (Filter(since=START + 5000, until=START + 9000), lambda e: 5000 <= e.at - START < 9000),
        (Filter(writer=OTHER, kinds=("inference",)), lambda e: e.writer == OTHER),
        (Filter(kinds=("gap",)), lambda e: False),
        (Filter(model="other"), lambda e: False),
        (Filter(model=""), lambda e: False),
        (Filter(cluster=cluster), lambda e: e.measures.cluster == cluster),
    ):
        assert list(query.scan(wanted)) == [e for e in both if test(e)]
    assert list(query.scan(Filter(limit=5))) == both[:5]


def test_the_same_events_again_count_once(sent, query, engine):
    sink = ClickHouseSink(engine(), WRITER)
    sink.append(sent[0][:50])
    sink.close()
    assert len(list(query.scan(Filter()))) == 500


def test_sql(query):
    text = "SELECT principal, count() AS n FROM events FINAL WHERE principal = ? GROUP BY ALL"
    assert query.sql(text, ["user-7"]) == (["principal", "n"], [("user-7", 10)])
    [(ident, when)] = query.sql("SELECT id, time FROM events WHERE sequence = 11 LIMIT 1")[1]
    assert ident.endswith(":11")
    assert when.year == 2025
    assert query.sql("SELECT '?', count() FROM events WHERE principal = ?", ["' OR 1 --"])[1] == [
        ("?", 0)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO events SELECT * FROM events",
        "DROP TABLE events",
        "SET max_execution_time = 0",
        "CREATE TABLE x (a Int8) ENGINE = Memory",
        "SELECT 1 INTO OUTFILE '/tmp/out'",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT file('/etc/passwd')",
        "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', 'system.one')",
        "SELECT * FROM executable('id', 'LineAsString', 'x String')",
        "SELECT * FROM system.settings",
        "SELECT * FROM events WHERE principal IN (SELECT name FROM system.tables)",
        "WITH t AS (SELECT * FROM s3('http://127.0.0.1:9/x')) SELECT * FROM t",
        "SELECT 1; SELECT 2",
        "SELECT FROM",
        "SELECT count() FROM numbers(10000000000000) SETTINGS max_execution_time = 0",
        "SELECT number FROM numbers(5000)",
        "SELECT ?",
        "",
    ],
)
def test_what_reaches_beyond_the_events_is_refused(query, text):
    with pytest.raises(UsageError):
        query.sql(text)


def test_a_query_without_end_is_stopped(query):
    began = time.monotonic()
    with pytest.raises(UsageError, match="TIMEOUT"):
        query.sql("SELECT sum(number) FROM numbers(100000000000000)")
    assert time.monotonic() - began < 20


class Failing:
    """A server that is away for a while."""

    def __init__(self, real):
        self.real, self.away = real, True

    def command(self, text):
        return self.real.command(text)

    def insert_arrow(self, *args):
        if self.away:
            raise ConnectionError("server is away")
        return self.real.insert_arrow(*args)


def test_what_does_not_fit_while_the_server_is_away_is_one_gap(query, engine):
    writer = "w-00000000000000bb"
    server = Failing(engine())
    create(server)
    sink = ClickHouseSink(server, writer, window=0, held=100)
    for first in range(0, 600, 50):
        sink.append(events(50, first=first, writer=writer))
        time.sleep(0.01)
    with pytest.raises(StoreError, match="server is away"):
        sink.flush()
    assert sink.dropped
    server.away = False
    sink.flush()
    sink.append(events(50, first=600, writer=writer))
    sink.close()
    found = list(query.scan(Filter(writer=writer)))
    gaps = [e for e in found if e.kind == "gap"]
    assert len(gaps) == 1
    assert gaps[0].lost == gaps[0].rows == sink.dropped
    assert len(found) - 1 + sink.dropped == 650
    with pytest.raises(StoreError, match="closed"):
        sink.append([])


def test_credentials_do_not_belong_in_urls():
    with pytest.raises(UsageError, match="no credentials"):
        connect("clickhouse://me:secret@host/db")
    with pytest.raises(StoreError):
        connect("clickhouse://127.0.0.1:9/db")
