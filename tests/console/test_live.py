"""Open pages hear of a change once, and of nothing when nothing changed."""

import asyncio

import pytest

from casemate.console import live
from casemate.console.live import Watch, stream
from casemate.console.people import Person, Sessions


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(live, "EVERY", 0.01)


def test_a_change_is_told_to_every_listener():
    async def run():
        state = ["a"]
        watch = Watch(lambda: state[0])
        first, second = watch.changes(), watch.changes()
        assert await anext(first) == "a"
        assert await anext(second) == "a"
        await asyncio.sleep(0.05)
        state[0] = "b"
        assert await asyncio.wait_for(anext(first), 10) == "b"
        assert await asyncio.wait_for(anext(second), 10) == "b"
        await first.aclose()
        await second.aclose()
        await asyncio.sleep(0.05)
        assert watch._task.done()

    asyncio.run(run())


def test_silence_is_told_now_and_then(monkeypatch):
    monkeypatch.setattr(live, "_BEAT", 0.05)

    async def run():
        changes = Watch(lambda: "same").changes()
        assert [await anext(changes) for _ in range(3)] == ["same", None, None]
        await changes.aclose()

    asyncio.run(run())


def test_a_session_that_ended_hears_nothing_more():
    async def run():
        sessions = Sessions()
        _, session = sessions.open(Person("ann", "viewer", "token"))
        state = ["a"]
        found = stream(Watch(lambda: state[0]), session, sessions)
        lines = found.body_iterator
        assert "retry" in await anext(lines)
        assert "data: a" in await anext(lines)
        sessions.close(session)
        state[0] = "b"
        assert "event: over" in await asyncio.wait_for(anext(lines), 10)
        with pytest.raises(StopAsyncIteration):
            await anext(lines)
        assert session.listening == 0

    asyncio.run(run())


def test_one_session_has_only_so_many():
    async def run():
        sessions = Sessions()
        _, session = sessions.open(Person("ann", "viewer", "token"))
        watch = Watch(lambda: "a")
        open_ = []
        for _ in range(live._EACH):
            lines = stream(watch, session, sessions).body_iterator
            await anext(lines)
            open_.append(lines)
        assert stream(watch, session, sessions) is None
        for lines in open_:
            await lines.aclose()
        assert stream(watch, session, sessions) is not None

    asyncio.run(run())
