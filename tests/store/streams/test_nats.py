"""NATS in particular: kills in full swing, a server that lost everything, a name already taken."""

import asyncio
import signal
import threading

import pytest

from casemate.store.streams.nats import Nats
from casemate.store.streams.opening import open_stream
from tests.servers.nats import NatsServer
from tests.store.streams.made import ANA, BO, KEY, events, taken, until


@pytest.fixture
def server(tmp_path):
    with NatsServer(tmp_path / "nats") as running:
        yield running


def test_killed_again_and_again_it_loses_and_repeats_nothing(server):
    stop = threading.Event()
    sent = 0

    def write(stream):
        nonlocal sent
        while not stop.is_set():
            stream.append(events(ANA, sent, sent + 20))
            sent += 20
            stop.wait(0.002)

    with (
        open_stream(server.url, key=KEY) as writing,
        open_stream(server.url, key=KEY) as reading,
    ):
        feed = reading.events()
        worker = threading.Thread(target=write, args=(writing,))
        worker.start()
        found = []
        for how in (signal.SIGKILL, signal.SIGTERM):
            found += taken(feed, 100, 3)
            server.stop(how)
            server.start()
        stop.set()
        worker.join()
        assert writing.flush(20)
        found += taken(feed, sent - len(found), 20)
        found += feed.take(0.3)
        assert [one.sequence for one in found] == list(range(sent))
        assert sent > 200
        assert writing.lost == 0


def test_a_server_that_lost_everything_is_read_from_its_new_start(server):
    with (
        open_stream(server.url, key=KEY) as writing,
        open_stream(server.url, key=KEY) as reading,
    ):
        feed = reading.events()
        for n in range(5):
            writing.append(events(ANA, n, n + 1))
            assert writing.flush()
        assert len(taken(feed, 5)) == 5
        server.stop()
        server.forget()
        server.start()
        writing.append(events(BO, 0, 2))
        assert writing.flush(20)
        assert [one.writer for one in taken(feed, 2)] == [BO, BO]


def test_settings_the_owner_gave_the_stream_stay(server):
    async def prepare():
        import nats

        client = await nats.connect(server.url)
        await client.jetstream().add_stream(
            name="casemate-events", subjects=["casemate.events"], max_msgs=7
        )
        await client.close()

    asyncio.run(prepare())
    with open_stream(server.url, key=KEY) as stream:
        for n in range(20):
            stream.append(events(ANA, n, n + 1))
            assert stream.flush()
        found = taken(stream.events(), 7)
    assert [one.sequence for one in found] == list(range(13, 20))


def test_trouble_is_said_and_taken_back(server):
    with open_stream(server.url, key=KEY) as stream:
        stream.events()
        server.stop()
        assert until(lambda: stream.trouble.startswith("NATS: "), 10)
        server.start()
        assert until(lambda: stream.trouble == "", 10)


def test_two_streams_on_one_server_do_not_meet(server):
    with (
        open_stream(f"{server.url}/fraud", key=KEY) as fraud,
        open_stream(f"{server.url}/churn", key=KEY) as churn,
    ):
        feed = churn.events()
        fraud.append(events(ANA, 0, 1))
        assert fraud.flush()
        assert feed.take(0.5) == []


def test_nothing_is_opened_before_it_is_needed():
    asyncio.run(Nats(["nats://127.0.0.1:1"], "casemate").close())
