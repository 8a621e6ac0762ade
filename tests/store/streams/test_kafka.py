"""Kafka in particular: several partitions and brokers, and nothing opened before it is needed."""

import asyncio

from casemate.store.streams.kafka import Kafka
from casemate.store.streams.opening import open_stream
from tests.servers.kafka import KafkaCluster
from tests.store.streams.made import KEY, events, taken


def test_many_writers_over_many_partitions_each_stay_in_order():
    writers = [f"w-{n:016x}" for n in range(12)]
    with KafkaCluster(brokers=3) as cluster:
        cluster.topic("casemate.events", 8)
        with open_stream(cluster.url, key=KEY) as stream:
            for n in range(0, 40, 4):
                for writer in writers:
                    stream.append(events(writer, n, n + 4))
            assert stream.flush(20)
            found = taken(stream.events(), 480, 20)
    for writer in writers:
        assert [one.sequence for one in found if one.writer == writer] == list(range(40))


def test_nothing_is_opened_before_it_is_needed():
    async def use():
        await Kafka(["127.0.0.1:1"], "casemate").close()

    asyncio.run(use())
