"""Workspace: every run and its records, kept and comparable, in `.casemate/`.

SQLite in WAL mode holds runs, records and a cache; payloads lie beside it by digest. Workflows
write here; report, gate and the command line read. Two processes may use one workspace at once.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec

from casemate.errors import StoreError, UsageError
from casemate.records.codec import decode, encode
from casemate.records.run import Run, RunState
from casemate.store.blobs import Blobs
from casemate.store.filesystem import network_kind
from casemate.store.schema import APPLICATION_ID, STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T = TypeVar("T", bound=msgspec.Struct)
_FILE = "workspace.db"
_WAIT_S = 30.0


class Workspace:
    """An opened workspace; use it as a context manager, or `close` it."""

    def __init__(self, folder: Path, database: sqlite3.Connection) -> None:
        """Take an open database; callers use `open`."""
        self.folder = folder
        self._database = database
        self._blobs = Blobs(folder / "blobs")
        self._lock = threading.RLock()

    @classmethod
    def open(cls, folder: Path, create: bool = True) -> Workspace:
        """Open the workspace in `folder`, making or upgrading it where needed.

        A folder that cannot be written is opened for reading alone.

        Raises:
            UsageError: There is none and `create` is false.
            StoreError: On a network file system, corrupt, not ours, or of a newer casemate.
        """
        path = folder / _FILE
        if not path.exists() and not create:
            raise UsageError(
                f"no workspace in {folder}", hint="casemate scan or casemate assess makes one"
            )
        kind = network_kind(folder)
        if kind:
            raise StoreError(
                f"{folder} is on a network file system ({kind}), where SQLite's locks do not hold",
                hint="name a folder on a local disk with --store",
            )
        try:
            if not path.exists():
                folder.mkdir(parents=True, exist_ok=True)
                (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"cannot make a workspace in {folder}: {error.strerror}",
                hint="name a folder you can write to with --store",
            ) from error
        with _explained(path):
            return cls(folder, _connect(path))

    def begin(self, run: Run) -> None:
        """Keep a new run; its records are added under its id."""
        with self.writing() as database:
            database.execute(
                "INSERT INTO runs (id, verb, state, body) VALUES (?, ?, ?, ?)",
                (run.id, run.verb, run.state, encode(run)),
            )

    def add(self, run_id: str, *records: msgspec.Struct) -> None:
        """Keep records of a run, all of them or, when it fails, none."""
        rows = [(run_id, str(type(one).__struct_config__.tag), encode(one)) for one in records]
        with self.writing() as database:
            database.executemany("INSERT INTO records (run, schema, body) VALUES (?, ?, ?)", rows)

    def end(self, run_id: str, state: RunState, notes: tuple[str, ...] = ()) -> Run:
        """Mark a run as ended in `state`, add `notes` to its own, and return it."""
        run = self._one(run_id)
        return self._change(
            msgspec.structs.replace(
                run, state=state, ended=datetime.now(UTC), notes=(*run.notes, *notes)
            )
        )

    def update(self, run: Run) -> Run:
        """Replace what is kept of a run, where more has become known: versions, classes, notes."""
        self._one(run.id)
        return self._change(run)

    def resume(self, run_id: str) -> Run:
        """Mark an ended run as running again and return it; its records stay."""
        return self._change(msgspec.structs.replace(self._one(run_id), state="running", ended=None))

    def run(self, which: str = "latest", verb: str | None = None) -> Run:
        """Return one run by id, by the start of its id, or the `latest` (of a verb).

        Raises:
            UsageError: There is none, or more than one begins so.
        """
        runs = self.runs(verb)
        if which == "latest":
            if not runs:
                what = f"run of '{verb}'" if verb else "run"
                raise UsageError(f"no {what} in {self.folder}", hint="casemate assess makes one")
            return runs[-1]
        start = which if which.startswith("run-") else f"run-{which}"
        found = [run for run in runs if run.id.startswith(start)]
        if len(found) == 1 or (found and found[0].id == start):
            return found[0]
        if found:
            raise UsageError(
                f"{len(found)} runs begin with '{which}'",
                hint=f"give more of the id: {found[0].id} or {found[1].id}",
            )
        hint = f"the latest is {runs[-1].id}" if runs else "there are no runs yet"
        raise UsageError(f"no run '{which}' in {self.folder}", hint=hint)

    def runs(self, verb: str | None = None) -> list[Run]:
        """Return all runs (of a verb), oldest first."""
        with self.reading() as database:
            rows = database.execute(
                "SELECT body FROM runs WHERE ?1 IS NULL OR verb = ?1 ORDER BY id", (verb,)
            ).fetchall()
        return [run for (body,) in rows if isinstance(run := decode(body), Run)]

    def records(self, run_id: str, kind: type[T]) -> list[T]:
        """Return the records of one type kept under a run, in the order they were added."""
        name = str(kind.__struct_config__.tag).partition("/")[0]
        with self.reading() as database:
            rows = database.execute(
                "SELECT body FROM records WHERE run = ? AND schema LIKE ? ORDER BY number",
                (run_id, f"{name}/%"),
            ).fetchall()
        return [record for (body,) in rows if isinstance(record := decode(body), kind)]

    def newest(self, kind: type[T], most: int) -> list[T]:
        """Return the records of one type kept last, of whatever run, the newest first."""
        name = str(kind.__struct_config__.tag).partition("/")[0]
        with self.reading() as database:
            rows = database.execute(
                "SELECT body FROM records WHERE schema LIKE ? ORDER BY number DESC LIMIT ?",
                (f"{name}/%", most),
            ).fetchall()
        return [record for (body,) in rows if isinstance(record := decode(body), kind)]

    def put_blob(self, data: bytes) -> str:
        """Keep a payload beside the database and return its `sha256:` digest."""
        return self._blobs.put(data)

    def get_blob(self, digest: str) -> bytes:
        """Return a payload, verified against its digest."""
        return self._blobs.get(digest)

    def cached(self, key: str) -> bytes | None:
        """Return what was cached under `key`, None when nothing was."""
        with self.reading() as database:
            row = database.execute("SELECT body FROM cache WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def cache(self, key: str, body: bytes) -> None:
        """Keep `body` under `key`: a digest of everything it depends on."""
        with self.writing() as database:
            database.execute("REPLACE INTO cache (key, body) VALUES (?, ?)", (key, body))

    def close(self) -> None:
        """Close the database; safe to call twice."""
        with self._lock:
            self._database.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _one(self, run_id: str) -> Run:
        with self.reading() as database:
            row = database.execute("SELECT body FROM runs WHERE id = ?", (run_id,)).fetchone()
        run = decode(row[0]) if row else None
        if not isinstance(run, Run):
            raise StoreError(f"no run '{run_id}' in {self.folder}")
        return run

    def _change(self, run: Run) -> Run:
        with self.writing() as database:
            database.execute(
                "UPDATE runs SET state = ?, body = ? WHERE id = ?", (run.state, encode(run), run.id)
            )
        return run

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the database to another part of the store; errors come out as StoreError."""
        with self._lock, _explained(self.folder / _FILE):
            yield self._database

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend the database under the one write lock: all that is done holds, or nothing."""
        with self.reading() as database, _transaction(database):
            yield database


def _connect(path: Path) -> sqlite3.Connection:
    writable = _can_write(path)
    # Without write permission SQLite cannot make the shared-memory file that WAL needs; `immutable`
    # reads the database file alone, which is right once the writer has closed it.
    query = "mode=rwc" if writable else "mode=ro&immutable=1"
    database = sqlite3.connect(
        f"{path.resolve().as_uri()}?{query}",
        uri=True,
        timeout=_WAIT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _prepare(path, database, writable)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(path: Path, database: sqlite3.Connection, writable: bool) -> None:
    version, tables = _version(path, database)
    if not writable:
        if version < len(STEPS):
            raise StoreError(f"{path} is of an older casemate and cannot be written to upgrade it")
        return
    mode = database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(
            f"the file system of {path.parent} does not support SQLite's write-ahead log",
            hint="name a folder on a local disk with --store",
        )
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA foreign_keys = ON")
    if version == len(STEPS) and tables:
        return
    with _transaction(database):
        # Looked at again under the lock: another process may have just done the same.
        version, _ = _version(path, database)
        for step in STEPS[version:]:
            for statement in step:
                database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {len(STEPS)}")


def _version(path: Path, database: sqlite3.Connection) -> tuple[int, int]:
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    owner = int(database.execute("PRAGMA application_id").fetchone()[0])
    tables = int(database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if tables and owner != APPLICATION_ID:
        raise StoreError(
            f"{path} is not a casemate workspace", hint="name another folder with --store"
        )
    if version > len(STEPS):
        raise StoreError(
            f"{path} is of a newer casemate: schema {version}, and this one knows {len(STEPS)}",
            hint="upgrade casemate: pip install --upgrade casemate",
        )
    return version, tables


def _can_write(path: Path) -> bool:
    try:
        with path.open("ab"):
            pass
        probe = path.with_name(f".probe-{threading.get_ident()}-{id(path)}")
        probe.touch()
        probe.unlink()
    except PermissionError:
        return not path.exists()
    except OSError:
        return not path.exists()
    return True


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled back already; a second ROLLBACK would hide the reason.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}", hint=_hint(error)) from error


def _hint(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_FULL") or name == "SQLITE_IOERR_WRITE":
        return "free some space and run the same command again; what was kept stays"
    if name.startswith("SQLITE_BUSY"):
        return (
            f"another casemate has held the workspace for {_WAIT_S:.0f} s; try again when it ends"
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return "the workspace folder must be writable; name another one with --store"
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return "the file is damaged and was left as it is; move it away to start a new workspace"
    if name.startswith("SQLITE_CONSTRAINT"):
        return "a run is begun once, before its records are added"
    return ""
