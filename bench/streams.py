"""What carrying events costs: CPU per event on the request path, events a second, an order's way.

    python bench/streams.py [--events 100000]

NATS is the real server with its store on disk; Kafka is librdkafka's mock broker, which keeps
nothing on disk, so its rate is an upper bound. Wall time depends on what else runs.
"""

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.servers.kafka import KafkaCluster
from tests.servers.nats import NatsServer

from casemate.records.event import Event, Measures
from casemate.records.make import make, new_id
from casemate.records.order import Order, Scope
from casemate.store.streams.opening import open_stream

KEY = b"k" * 32
BATCH = 100


def events(count):
    return [
        Event(
            writer="w-0123456789abcdef", sequence=n, at=1_795_230_725_000_000 + n,
            principal=f"user-{n % 1000}",
            model="fraud", version="3", route="/v2/models/fraud/infer", protocol="oip",
            request=str(n), status=200, took=1234, bytes_in=7000, bytes_out=90,
            input_digest="0" * 32,
            output_digest="1" * 32,
            measures=Measures(
                marks=tuple(range(2**60, 2**60 + 16)), near=0.1, label=1, margin=0.3, asked=n
            ),
        )
        for n in range(count)
    ]  # fmt: skip


def order():
    now = datetime.now(UTC)
    return make(
        Order, id=new_id("ord"), at=now, expires=now + timedelta(hours=1), action="block",
        scope=Scope(principal="eve"), author="bench", reason="bench",
    )  # fmt: skip


def measure(server, made):
    with (
        open_stream(server.url, key=KEY, room=2**32) as writing,
        open_stream(server.url, key=KEY) as reading,
    ):
        feed, orders = reading.events(), reading.orders()
        writing.send(order())
        while not orders.take(0.2):
            pass
        start, path, spent = time.perf_counter(), 0.0, time.process_time()
        for n in range(0, len(made), BATCH):
            before = time.thread_time()
            writing.append(made[n : n + BATCH])
            path += time.thread_time() - before
        got = 0
        while got < len(made):
            got += len(feed.take(0.5))
        wall, cpu = time.perf_counter() - start, time.process_time() - spent
        ways = []
        for _ in range(20):
            begun = time.perf_counter()
            writing.send(order())
            while not orders.take(0.05):
                pass
            ways.append(time.perf_counter() - begun)
        return (
            path / len(made) * 1e6,
            len(made) / cpu,
            len(made) / wall,
            sorted(ways)[10],
            max(ways),
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    made = events(parser.parse_args().events)
    print(f"{len(made):,} events in batches of {BATCH}, written and read by one process\n")
    print(
        "| broker | us CPU/event on the path | events/CPU s, both ways | events/s "
        "| order p50 s | max s |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder, NatsServer(Path(folder)) as server:
        rows = [("NATS JetStream", *measure(server, made))]
    with KafkaCluster() as cluster:
        rows.append(("Kafka (mock)", *measure(cluster, made)))
    for name, path, cpu, wall, middle, longest in rows:
        print(f"| {name} | {path:.1f} | {cpu:,.0f} | {wall:,.0f} | {middle:.2f} | {longest:.2f} |")
    print(f"\nratio events/CPU s, NATS to Kafka: {rows[0][2] / rows[1][2]:.2f}")


if __name__ == "__main__":
    main()
