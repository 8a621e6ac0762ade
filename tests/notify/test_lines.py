"""Lines go whole into a file or over TCP, or it is said that they did not."""

import threading
from pathlib import Path

import pytest

from casemate.errors import TargetError, UsageError
from casemate.notify.lines import Lines
from tests.notify import receivers


def test_lines_of_several_writers_stay_whole(tmp_path):
    path = tmp_path / "new" / "out.jsonl"
    line = b"x" * 20_000
    writers = [
        threading.Thread(target=lambda: [Lines(str(path)).send(line) for _ in range(20)])
        for _ in range(4)
    ]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert path.read_bytes().splitlines() == [line] * 80
    assert path.stat().st_mode & 0o777 == 0o600


def test_after_a_torn_line_the_next_one_stands_by_itself(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"torn')
    Lines(str(path)).send(b"{}")
    assert path.read_bytes() == b'{"torn\n{}\n'


def test_they_arrive_over_tcp():
    with receivers.tcp() as (to, heard):
        Lines(to).send(b"{}")
        assert heard.wait(1) == [b"{}\n"]


def test_what_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(TargetError):
        Lines(str(tmp_path)).send(b"{}")
    with pytest.raises(TargetError, match="refused"):
        Lines(receivers.nobody("tcp")).send(b"{}")
    with receivers.tcp(rude=True) as (to, _), pytest.raises(TargetError):
        Lines(to).send(b"{}" * 10_000_000)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_an_error():
    with pytest.raises(TargetError, match="space"):
        Lines("/dev/full").send(b"{}")


@pytest.mark.parametrize("to", ["udp://host:1", "tcp://host", "tcp://:1", "https://a", "tcp://h:x"])
def test_what_is_no_place_is_refused(to):
    with pytest.raises(UsageError, match="not a place"):
        Lines(to)
