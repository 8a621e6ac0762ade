"""A workspace keeps what it is given, under two processes, a full disk and a damaged file."""

import os
import sqlite3
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from casemate.errors import StoreError, UsageError
from casemate.records.codec import encode
from casemate.records.make import make, new_id
from casemate.records.run import Run
from casemate.records.target import Target
from casemate.records.verdict import Verdict
from casemate.store import filesystem
from casemate.store.schema import STEPS
from casemate.store.workspace import Workspace


def a_run(verb: str = "scan", ident: str | None = None) -> Run:
    return make(Run, id=ident or new_id("run"), verb=verb, started=datetime.now(UTC))


def a_target(uri: str) -> Target:
    return make(Target, kind="artifact", uri=uri)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".casemate"


def python(body: str, *arguments: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(body), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_records_come_back_in_order_and_by_kind(folder):
    with Workspace.open(folder) as workspace:
        run = a_run()
        workspace.begin(run)
        verdict = make(
            Verdict, question="artifact-is-clean", answer="yes", target=a_target("m.bin")
        )
        workspace.add(run.id, a_target("a"), verdict, a_target("b"))
        workspace.add(run.id, a_target("c"))
        assert [one.uri for one in workspace.records(run.id, Target)] == ["a", "b", "c"]
        assert workspace.records(run.id, Verdict) == [verdict]
        assert workspace.records("run-other", Target) == []


def test_records_are_kept_as_the_bytes_written(folder):
    target = a_target("naïve \U0001f40d.pkl")
    with Workspace.open(folder) as workspace:
        run = a_run()
        workspace.begin(run)
        workspace.add(run.id, target)
    raw = sqlite3.connect(folder / "workspace.db")
    assert raw.execute("SELECT schema, body FROM records").fetchall() == [
        ("target/1", encode(target))
    ]
    raw.close()


def test_a_name_that_is_not_text_is_kept_with_its_bytes_escaped(folder):
    with Workspace.open(folder) as workspace:
        run = a_run()
        workspace.begin(run)
        workspace.add(run.id, a_target("raw\udcff.pkl"))
        assert workspace.records(run.id, Target) == [a_target("raw\\udcff.pkl")]


def test_a_run_ends_with_its_state_and_notes_and_can_be_resumed(folder):
    with Workspace.open(folder) as workspace:
        run = a_run()
        workspace.begin(msgspec.structs.replace(run, notes=("one",)))
        ended = workspace.end(run.id, "interrupted", ("two",))
        assert (ended.state, ended.notes) == ("interrupted", ("one", "two"))
        assert ended.ended is not None
        assert workspace.run(run.id) == ended
        assert workspace.resume(run.id).state == "running"
        richer = msgspec.structs.replace(run, versions={"torch": "2.13.0"})
        assert workspace.update(richer) == workspace.run(run.id)


def test_runs_are_found_by_id_prefix_verb_and_latest(folder):
    with Workspace.open(folder) as workspace:
        runs = [a_run("scan", "run-aa1"), a_run("assess", "run-ab1"), a_run("scan", "run-ab2")]
        for run in reversed(runs):
            workspace.begin(run)
        assert [run.id for run in workspace.runs()] == ["run-aa1", "run-ab1", "run-ab2"]
        assert workspace.run().id == "run-ab2"
        assert workspace.run("latest", "assess").id == "run-ab1"
        assert workspace.run("aa").id == "run-aa1"
        assert workspace.run("run-ab1").id == "run-ab1"
        with pytest.raises(UsageError, match="2 runs begin with 'ab'"):
            workspace.run("ab")
        with pytest.raises(UsageError, match="no run 'zz'") as caught:
            workspace.run("zz")
        assert "run-ab2" in caught.value.hint
        with pytest.raises(UsageError, match="no run of 'gate'"):
            workspace.run("latest", "gate")


def test_a_run_is_begun_once_and_before_its_records(folder):
    with Workspace.open(folder) as workspace:
        run = a_run()
        with pytest.raises(StoreError):
            workspace.add(run.id, a_target("a"))
        workspace.begin(run)
        with pytest.raises(StoreError) as caught:
            workspace.begin(run)
        assert caught.value.hint
        with pytest.raises(StoreError, match="no run"):
            workspace.end("run-none", "complete")


def test_all_records_of_one_call_are_kept_or_none(folder):
    class Foreign(msgspec.Struct, tag_field="schema", tag="foreign/1"):
        body: object

    with Workspace.open(folder) as workspace:
        run = a_run()
        workspace.begin(run)
        with pytest.raises(TypeError):
            workspace.add(run.id, a_target("a"), Foreign(body=object()))
        assert workspace.records(run.id, Target) == []


def test_the_cache_keeps_the_last_bytes_of_a_key(folder):
    with Workspace.open(folder) as workspace:
        assert workspace.cached("k") is None
        workspace.cache("k", b"one")
        workspace.cache("k", b"two")
    with Workspace.open(folder) as workspace:
        assert workspace.cached("k") == b"two"


def test_opening_without_a_workspace_is_the_callers_mistake(folder):
    with pytest.raises(UsageError, match="no workspace"):
        Workspace.open(folder, create=False)
    assert not folder.exists()


def test_the_workspace_keeps_itself_out_of_version_control(folder):
    Workspace.open(folder).close()
    assert (folder / ".gitignore").read_text() == "*\n"


def test_two_processes_write_at_once(folder):
    body = """
        import sys
        from datetime import UTC, datetime
        from pathlib import Path
        from casemate.records.make import make
        from casemate.records.run import Run
        from casemate.records.target import Target
        from casemate.store.workspace import Workspace

        name = sys.argv[2]
        with Workspace.open(Path(sys.argv[1])) as workspace:
            run = make(Run, id=f"run-{name}", verb="scan", started=datetime.now(UTC))
            workspace.begin(run)
            for i in range(60):
                workspace.add(run.id, make(Target, kind="artifact", uri=f"{name}-{i}"))
                workspace.put_blob(f"shared {i}".encode())
                workspace.cache("shared", name.encode())
            workspace.end(run.id, "complete")
    """
    workers = [python(body, str(folder), name) for name in "abcd"]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    with Workspace.open(folder, create=False) as workspace:
        assert [run.state for run in workspace.runs()] == ["complete"] * 4
        for name in "abcd":
            uris = [one.uri for one in workspace.records(f"run-{name}", Target)]
            assert uris == [f"{name}-{i}" for i in range(60)]
    assert len(list((folder / "blobs").glob("*/*"))) == 60


def test_a_process_killed_in_the_middle_leaves_what_was_committed(folder):
    body = """
        import os, sys
        from datetime import UTC, datetime
        from pathlib import Path
        from casemate.records.make import make
        from casemate.records.run import Run
        from casemate.records.target import Target
        from casemate.store.workspace import Workspace

        workspace = Workspace.open(Path(sys.argv[1]))
        workspace.begin(make(Run, id="run-a", verb="scan", started=datetime.now(UTC)))
        workspace.add("run-a", make(Target, kind="artifact", uri="kept"))
        workspace._database.execute("BEGIN IMMEDIATE")
        workspace._database.execute("DELETE FROM records")
        os._exit(9)
    """
    worker = python(body, str(folder))
    worker.communicate(timeout=60)
    assert worker.returncode == 9
    with Workspace.open(folder, create=False) as workspace:
        assert [one.uri for one in workspace.records("run-a", Target)] == ["kept"]
        assert workspace.run("a").state == "running"


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is POSIX")
def test_a_full_disk_is_one_line_and_keeps_what_was_there(folder):
    body = """
        import resource, sys
        from pathlib import Path
        from casemate.errors import StoreError
        from casemate.store.workspace import Workspace

        with Workspace.open(Path(sys.argv[1])) as workspace:
            workspace.cache("before", b"kept")
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
            for what in (lambda: workspace.cache("big", bytes(1_000_000)),
                         lambda: workspace.put_blob(bytes(1_000_000))):
                try:
                    what()
                except StoreError as error:
                    print(error.hint)
            assert workspace.cached("before") == b"kept"
            assert workspace.cached("big") is None
    """
    worker = python(body, str(folder))
    output, errors = worker.communicate(timeout=60)
    assert worker.returncode == 0, errors
    assert output.count("free some space") == 2
    assert not list((folder / "blobs").glob("*/*"))
    with Workspace.open(folder, create=False) as workspace:
        assert workspace.cached("before") == b"kept"


def test_sqlites_own_word_for_a_full_disk_has_the_same_hint(folder):
    with Workspace.open(folder) as workspace:
        pages = workspace._database.execute("PRAGMA page_count").fetchone()[0]
        workspace._database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="full") as caught:
            workspace.cache("big", bytes(1_000_000))
        assert "free some space" in caught.value.hint


UNPRIVILEGED = """
    import os, sys
    from pathlib import Path
    from casemate.errors import StoreError
    from casemate.records.target import Target
    from casemate.store.workspace import Workspace
    if os.getuid() == 0:
        os.setuid(65534)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX")
def test_a_folder_that_cannot_be_written_is_read(folder, tmp_path):
    with Workspace.open(folder) as workspace:
        run = a_run()
        workspace.begin(run)
        workspace.add(run.id, a_target("a"))
    for path in (folder / "workspace.db", folder):
        path.chmod(0o555)
    for path in (tmp_path, *tmp_path.parents[:3]):  # a worker's folder is one deeper
        if path.name.startswith(("pytest", "popen", "test")):
            path.chmod(0o755)
    body = (
        UNPRIVILEGED
        + """
    with Workspace.open(Path(sys.argv[1]), create=False) as workspace:
        run = workspace.run()
        print([one.uri for one in workspace.records(run.id, Target)])
        try:
            workspace.cache("k", b"v")
        except StoreError as error:
            print(error.hint)
    try:
        Workspace.open(Path(sys.argv[1]) / "new")
    except StoreError as error:
        print(error)
    """
    )
    worker = python(body, str(folder))
    output, errors = worker.communicate(timeout=60)
    folder.chmod(0o755)
    assert worker.returncode == 0, errors
    read, refused, made = output.splitlines()
    assert read == "['a']"
    assert "must be writable" in refused
    assert made.startswith("cannot make a workspace in")


@pytest.mark.parametrize("damage", ["text", "middle"])
def test_a_damaged_file_is_said_and_left_as_it_is(folder, damage):
    with Workspace.open(folder) as workspace:
        workspace.begin(a_run())
        workspace.cache("k", bytes(100_000))
    path = folder / "workspace.db"
    data = bytearray(path.read_bytes())
    if damage == "text":
        data = bytearray(b"this is not a database, whatever its name says\n" * 100)
    else:
        data[100:4096] = os.urandom(3996)
    path.write_bytes(data)
    with pytest.raises(StoreError) as caught, Workspace.open(folder) as workspace:
        workspace.runs()
    assert "left as it is" in caught.value.hint
    assert path.read_bytes() == data


def test_a_newer_workspace_is_refused_with_what_to_do(folder):
    Workspace.open(folder).close()
    raw = sqlite3.connect(folder / "workspace.db")
    raw.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    raw.close()
    with pytest.raises(StoreError, match="newer casemate") as caught:
        Workspace.open(folder)
    assert "upgrade" in caught.value.hint


def test_an_older_workspace_is_upgraded_once(folder, monkeypatch):
    with Workspace.open(folder) as workspace:
        workspace.cache("k", b"v")
    longer = (*STEPS, ("CREATE TABLE later (name TEXT)",))
    monkeypatch.setattr("casemate.store.workspace.STEPS", longer)
    for _ in range(2):
        with Workspace.open(folder) as workspace:
            assert workspace.cached("k") == b"v"
            assert workspace._database.execute("SELECT count(*) FROM later").fetchone() == (0,)


def test_someone_elses_database_is_not_taken_over(folder):
    folder.mkdir()
    raw = sqlite3.connect(folder / "workspace.db")
    raw.execute("CREATE TABLE theirs (name TEXT)")
    raw.close()
    with pytest.raises(StoreError, match="not a casemate workspace"):
        Workspace.open(folder)


def test_a_record_of_a_version_this_casemate_lacks_is_an_error_not_a_gap(folder):
    with Workspace.open(folder) as workspace:
        run = a_run()
        workspace.begin(run)
        workspace._database.execute(
            "INSERT INTO records (run, schema, body) VALUES (?, 'target/9', ?)",
            (run.id, b'{"schema":"target/9"}'),
        )
        with pytest.raises(StoreError, match="not a record"):
            workspace.records(run.id, Target)


def test_a_network_file_system_is_refused(folder, monkeypatch):
    monkeypatch.setattr("casemate.store.workspace.network_kind", lambda place: "nfs4")
    with pytest.raises(StoreError, match="network file system") as caught:
        Workspace.open(folder)
    assert "local disk" in caught.value.hint
    assert filesystem.network_kind(folder) is None
