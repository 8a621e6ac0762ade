"""The same questions put to ClickHouse, by its own engine in this process (chDB)."""

import pytest

from casemate.case.triage.report import Focus, triage
from casemate.store.telemetry.clickhouse import ClickHouseQuery, ClickHouseSink
from tests.case.triage.test_report import around
from tests.detect.traffic import World

clickhouse_connect = pytest.importorskip("clickhouse_connect")
pytest.importorskip("chdb")


def test_a_search_is_found_in_clickhouse_too(tmp_path):
    client = clickhouse_connect.get_client(interface="chdb", path=str(tmp_path))
    events = around(World(seed=3), lambda w: w.search(160, "mallory", labels_only=True))
    sink = ClickHouseSink(client, events[0].writer, window=0)
    sink.append(events)
    sink.close()
    found = triage(ClickHouseQuery(client), focus=Focus(model="m"))
    assert found.assessment == "attack"
    assert [one.principal for one in found.suspects] == ["mallory"]
    assert found.queries == 160
    client.close()
