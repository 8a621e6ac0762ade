"""Killed writers, full and slow disks: every sequence has its event or a gap that names it."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from casemate.errors import StoreError
from casemate.store.telemetry import journal as journals
from casemate.store.telemetry.journal import Journal
from casemate.store.telemetry.query import Telemetry
from casemate.store.telemetry.verify import verify
from tests.store.telemetry.places import place
from tests.store.telemetry.samples import WRITER, events


def accounted(found, start=0):
    """Return the sequence that follows `found`, having checked that none is missing or twice."""
    expected = start
    for event in found:
        assert event.sequence == expected, event
        expected += max(1, event.rows) if event.kind == "gap" else 1
    return expected


APPENDS = """
import sys
from pathlib import Path
from casemate.store.telemetry.journal import Journal
from tests.store.telemetry.samples import WRITER, events
import msgspec
journal = Journal(Path(sys.argv[1]), WRITER, roll_bytes=2_000_000)
block = events(1000)
durable = -1
for number in range(1000):
    first = number * 1000
    journal.append([msgspec.structs.replace(e, sequence=first + i) for i, e in enumerate(block)])
    if number % 5 == 0:
        print(journal.flush().last, flush=True)
"""


@pytest.mark.parametrize("seed", [2, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 3))])
def test_kill_9_in_the_middle_of_a_million_appends(tmp_path, seed):
    made = place(tmp_path)
    writer = subprocess.Popen(
        [sys.executable, "-c", APPENDS, made.folder], stdout=subprocess.PIPE, text=True
    )
    lines = 1 + random.Random(seed).randrange(8)
    durable = [int(writer.stdout.readline()) for _ in range(lines)][-1]
    time.sleep(random.Random(seed).random() / 20)
    writer.send_signal(signal.SIGKILL)
    durable = max([durable, *map(int, writer.communicate()[0].splitlines())])
    found = list(Telemetry(made.folder).tail({}))
    assert accounted(found) > durable + 1
    assert [event.kind for event in found].count("gap") == 1
    assert found[-1].kind == "gap"
    assert "stopped without notice" in found[-1].note
    made.seal()
    assert list(Telemetry(made.folder).tail({})) == found
    assert verify(made.folder, witness=made.witness).answer == "whole"
    with pytest.raises(StoreError, match="before"):
        Journal(made.folder, WRITER)


@pytest.mark.parametrize("cut", [1, 5, 9, 10, 11, 200, 401])
def test_a_torn_tail_is_a_gap(tmp_path, cut):
    journal = Journal(tmp_path, WRITER)
    sent = events(20)
    journal.append(sent)
    journal.flush()
    path = next((tmp_path / "journal").iterdir())
    whole = path.read_bytes()
    journal.close()
    path.write_bytes(whole[:-cut])
    found = list(Telemetry(tmp_path).tail({}))
    assert found[:-1] == sent[:19]
    assert (found[-1].kind, found[-1].sequence) == ("gap", 19)
    path.write_bytes(whole + bytes(4096))  # what some file systems leave after a power failure
    found = list(Telemetry(tmp_path).tail({}))
    assert found[:-1] == sent
    assert found[-1].kind == "gap"


def test_damage_in_the_middle_is_a_gap_of_its_size(tmp_path):
    rng = random.Random(0)
    sent = events(60)
    journal = Journal(tmp_path, WRITER)
    journal.append(sent)
    journal.close()
    path = next((tmp_path / "journal").iterdir())
    whole = path.read_bytes()
    for _ in range(150):
        data = bytearray(whole)
        at = rng.randrange(len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at : at + rng.randrange(1, 2000)]
        elif kind == 2:
            data[at:at] = rng.randbytes(rng.randrange(1, 2000))
        else:
            data = data[:at]
        path.write_bytes(data)
        found = list(Telemetry(tmp_path).tail({}))
        accounted(found)
        kept = [event for event in found if event.kind != "gap"]
        assert all(event == sent[event.sequence] for event in kept)
        if len(kept) < 60:
            assert any(event.kind == "gap" for event in found)
        elif bytes(data) != whole:
            assert len(kept) == 60


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small disk: {done.stderr}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_one_gap_with_the_number_lost(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(700_000))
    journal = Journal(small_disk, WRITER, held_bytes=100_000, window=0)
    first = 0
    slowest = 0.0
    while not journal.dropped and first < 20_000:
        batch = events(50, first=first)
        began = time.perf_counter()
        journal.append(batch)
        slowest = max(slowest, time.perf_counter() - began)
        first += 50
        time.sleep(0.002)
    assert journal.dropped
    for _ in range(4):
        journal.append(events(50, first=first))
        first += 50
    assert journal.trouble == "No space left on device"
    with pytest.raises(StoreError, match="No space left"):
        journal.flush()
    ballast.unlink()
    journal.flush()
    journal.append(events(50, first=first))
    first += 50
    journal.close()
    assert slowest < 1.0
    found = list(Telemetry(small_disk).tail({}))
    assert accounted(found) == first
    gaps = [event for event in found if event.kind == "gap"]
    assert len(gaps) == 1
    assert gaps[0].lost == gaps[0].rows == journal.dropped
    assert "No space left on device" in gaps[0].note
    assert found[-50:] == events(50, first=first - 50)


def test_a_disk_that_stays_full_leaves_a_gap_when_the_writer_ends(small_disk):
    journal = Journal(small_disk, WRITER, held_bytes=100_000, window=0)
    (small_disk / "ballast").write_bytes(bytes(1_000_000 - 300_000))
    for first in range(0, 3000, 50):
        journal.append(events(50, first=first))
        time.sleep(0.001)
    with pytest.raises(StoreError, match="No space left"):
        journal.close()
    found = list(Telemetry(small_disk).tail({}))
    accounted(found)
    assert found[-1].kind == "gap"


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "journal").write_text("a file")
    with pytest.raises(StoreError, match="cannot write"):
        Journal(tmp_path, WRITER)
    (tmp_path / "other").mkdir()
    full = tmp_path / "other" / "journal"
    full.symlink_to("/dev/full")
    with pytest.raises(StoreError, match="cannot write"):
        Journal(tmp_path / "other", WRITER)


def test_a_file_at_its_largest_goes_on_in_the_next(tmp_path):
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from casemate.store.telemetry.journal import Journal\n"
        "from tests.store.telemetry.samples import WRITER, events\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))\n"
        "journal = Journal(Path(sys.argv[1]), WRITER)\n"
        "for first in range(0, 12_000, 500):\n"
        "    journal.append(events(500, first=first)); journal.flush()\n"
        "journal.close()"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    found = list(Telemetry(tmp_path).tail({}))
    assert len(found) == accounted(found) == 12_000
    assert len(list((tmp_path / "journal").iterdir())) >= 3


def test_a_slow_disk_never_holds_the_caller(tmp_path, monkeypatch):
    real = os.fsync
    journal = Journal(tmp_path, WRITER, held_bytes=200_000)

    def slow(handle):
        time.sleep(0.4)
        real(handle)

    monkeypatch.setattr(journals.os, "fsync", slow)
    waits = []
    for first in range(0, 6000, 20):
        batch = events(20, first=first)
        began = time.perf_counter()
        journal.append(batch)
        waits.append(time.perf_counter() - began)
    monkeypatch.setattr(journals.os, "fsync", real)
    journal.close()
    assert sorted(waits)[-3] < 0.2
    found = list(Telemetry(tmp_path).tail({}))
    assert accounted(found) == 6000
    lost = sum(event.lost for event in found if event.kind == "gap")
    assert lost == journal.dropped
    assert len([event for event in found if event.kind != "gap"]) == 6000 - lost


def test_a_failing_sync_goes_on_in_a_new_file(tmp_path, monkeypatch):
    real = os.fsync
    journal = Journal(tmp_path, WRITER, window=0)
    journal.append(events(10))
    journal.flush()
    left = 3

    def failing(handle):
        nonlocal left
        left -= 1
        if left >= 0:
            raise OSError(5, "Input/output error")
        real(handle)

    monkeypatch.setattr(journals.os, "fsync", failing)
    journal.append(events(10, first=10))
    limit = time.monotonic() + 20
    while journal._synced < 20 and time.monotonic() < limit:
        time.sleep(0.01)
    journal.append(events(5, first=20))
    journal.close()
    assert list(Telemetry(tmp_path).tail({})) == events(10) + events(10, first=10) + events(
        5, first=20
    )
