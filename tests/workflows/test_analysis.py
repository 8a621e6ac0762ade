"""The analysis process is looked after: its end is noticed, told, and made good."""

from __future__ import annotations

import os
import signal
import time

import pytest

from casemate.workflows.analysis import Supervisor
from casemate.workflows.config import Config, Loaded
from casemate.workflows.page import now_us


@pytest.fixture
def supervisor(tmp_path, monkeypatch):
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))
    store = tmp_path / ".casemate"
    store.mkdir()
    made = Supervisor(Loaded(config=Config(), root=tmp_path), store, str(store / "telemetry"))
    made.start()
    yield made
    made.stop()


def until(supervisor, done, seconds=60):
    """Turn until something is so; return the times nobody was looking."""
    end = time.monotonic() + seconds
    found = []
    while not done(found):
        assert time.monotonic() < end
        found += supervisor.turn(now_us())
        time.sleep(0.05)
    return found


def test_a_killed_analysis_is_started_again_and_the_time_between_is_told(supervisor):
    until(supervisor, lambda _: supervisor.heard)
    first = supervisor.pid
    before = now_us()
    os.kill(first, signal.SIGKILL)
    (gap,) = until(supervisor, lambda found: found)
    assert "-9" in gap.why
    assert gap.began <= before + 2_000_000
    assert gap.ended > before
    assert supervisor.pid not in (None, first)
    assert supervisor.dark(now_us()) == []


def test_an_analysis_that_cannot_run_stays_on_record_as_dark(tmp_path):
    loaded = Loaded(config=Config(), root=tmp_path, path=tmp_path / "missing.toml")
    made = Supervisor(loaded, tmp_path, str(tmp_path / "telemetry"))
    made.start()
    end = time.monotonic() + 30
    while not made.dark(now_us()):
        assert time.monotonic() < end
        assert made.turn(now_us()) == []
        time.sleep(0.05)
    assert "ended with" in made.dark(now_us())[0].why
    assert "missing.toml" in (tmp_path / "analysis.log").read_text()
    made.stop()
