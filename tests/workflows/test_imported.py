"""Files are known by their content; what is gone from the telemetry is known no more."""

import pytest

from casemate.guard.logs.stream import File
from casemate.records.event import Event
from casemate.store.telemetry.opening import new_writer, open_query, open_sink
from casemate.store.workspace import Workspace
from casemate.workflows.imported import Memory


@pytest.fixture
def memory(tmp_path):
    with Workspace.open(tmp_path / "store", create=True) as workspace:
        place = tmp_path / "telemetry"
        yield Memory(workspace, str(place), open_query(place))


def written(tmp_path, *sources):
    writer = new_writer()
    sink = open_sink(tmp_path / "telemetry", writer)
    sink.append(
        [Event(writer=writer, sequence=n, at=10**15, source=one) for n, one in enumerate(sources)]
    )
    sink.close()
    return writer


def test_the_longest_part_that_fits_is_known(tmp_path, memory):
    path = tmp_path / "f"
    writer = written(tmp_path, "f:1")
    for text, lines in ((b"a\n", 1), (b"a\nb\n", 2)):
        path.write_bytes(text)
        memory.finish(File(path, "f"), writer, (lines, len(text)), complete=True)
    path.write_bytes(b"a\nb\nc\n")
    assert (memory.known(path).lines, memory.known(path).size) == (2, 4)
    assert memory.grown(path, memory.known(path))
    path.write_bytes(b"a\nX\nc\n")
    assert memory.known(path).lines == 1
    path.write_bytes(b"X\nb\nc\n")
    assert memory.known(path) is None


def test_an_import_under_way_is_known_by_its_events(tmp_path, memory):
    path = tmp_path / "f"
    path.write_bytes(b"a\nb\n")
    writer = written(tmp_path, "f:1", "f:2")
    memory.begin(File(path, "f"), writer)
    assert memory.known(path) is None
    assert memory.unfinished(path) == [writer]
    assert memory.sources([writer]) == {"f:1", "f:2"}
    memory.finish(File(path, "f"), writer, (2, 4), complete=False)
    assert memory.unfinished(path) == []
    assert memory.known(path).complete is False


def test_a_writer_without_events_was_never_there(tmp_path, memory):
    path = tmp_path / "f"
    path.write_bytes(b"a\n")
    memory.begin(File(path, "f"), "w-0000000000000001")
    memory.finish(File(path, "f"), "w-0000000000000001", (1, 2), complete=True)
    assert memory.known(path) is None
    assert memory.unfinished(path) == []


def test_files_that_cannot_be_read_are_not_known(tmp_path, memory):
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8bxx")
    assert memory.known(tmp_path / "broken.gz") is None
    assert memory.known(tmp_path) is None
