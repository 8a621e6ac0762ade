"""The near-line analysis as a process of its own, and who looks after it.

`python -m casemate.workflows.analysis` reads the guard's events, says what they amount to and
tells people. It says it is alive on its standard output; when it falls silent or dies, the
supervisor inside the guard starts another and the guard puts on record that nobody was looking.
The new process reads the events of the time between, so they are looked at late, not never.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import CasemateError
from casemate.store.keys import key_folder
from casemate.workflows import config, exporting
from casemate.workflows.collecting import held_since
from casemate.workflows.page import AGAIN, NearLine, now_us

if TYPE_CHECKING:
    from casemate.guard.policy import GuardTable
    from casemate.notify.pager import Pager
    from casemate.store.streams.relay import Arrivals
    from casemate.store.telemetry.sink import EventQuery
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded

_log = logging.getLogger(__name__)
BEAT = 1.0
"""Seconds between two signs of life, about."""
SILENT = 30.0
"""Seconds of silence after which it is taken for dead."""
SEAL_EVERY = 30.0
_LONGEST_PAUSE = 30.0


class Blind(NamedTuple):
    """A time when nobody was looking."""

    began: int
    ended: int
    why: str


class Supervisor:
    """Starts the analysis, hears its signs of life, and starts it again."""

    def __init__(self, loaded: Loaded, store: Path, place: str) -> None:
        """Start nothing yet.

        Args:
            loaded: The configuration.
            store: Folder of the workspace.
            place: Where the events are.
        """
        self._words = [sys.executable, "-m", "casemate.workflows.analysis", str(store), place]
        if loaded.path is not None:
            self._words.append(str(loaded.path))
        self._log = store / "analysis.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._beat = now_us()
        self.heard = False
        """Whether the analysis has ever said that it is alive."""
        self._dark: tuple[int, str] | None = None
        self._started = 0.0
        self._pause = 1.0
        self._again = 0.0

    @property
    def pid(self) -> int | None:
        """Process id of the analysis, None while there is none."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                self._words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        self._started = time.monotonic()
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def turn(self, now: int) -> list[Blind]:
        """Hear signs of life; return the times nobody was looking that have ended by now."""
        if self._process is None:
            if time.monotonic() >= self._again:
                self.start()
            return []
        code = self._process.poll()
        if self._beats() and code is None:
            self.heard = True
            dark, self._dark = self._dark, None
            self._beat, self._pause = now, 1.0
            return [] if dark is None else [Blind(dark[0], now, dark[1])]
        silent = now - self._beat > SILENT * 1e6 and time.monotonic() - self._started > SILENT
        if code is None and not silent:
            return []
        if code is None:
            self._process.kill()
            self._process.wait()
        why = "fell silent" if code is None else f"ended with {code}"
        self._dark = self._dark or (self._beat, f"the analysis process {why}; another took over")
        self._close()
        self._again = time.monotonic() + self._pause
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause)
        return []

    def dark(self, now: int) -> list[Blind]:
        """Return the time nobody has been looking, if there is nobody at this moment."""
        return [] if self._dark is None else [Blind(self._dark[0], now, self._dark[1])]

    def stop(self) -> None:
        """End the process, kindly first."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()

    def _beats(self) -> bool:
        stream: Any = self._process.stdout if self._process else None
        try:
            return bool(stream.read())
        except (BlockingIOError, ValueError):
            return False

    def _close(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None


def main(store: str, place: str, configuration: str | None = None) -> int:
    """Look at events until told to stop; one byte on standard output is one sign of life."""
    from casemate.detect.watch import Watch
    from casemate.store.orders import OrderBook
    from casemate.store.telemetry.opening import open_query
    from casemate.workflows.job import Job, open_workspace

    loaded = config.read(Path(configuration) if configuration else None)
    parent = os.getppid()
    named = loaded.config.guard.witness
    witness = loaded.root / named if named else None
    with open_workspace(Path(store), loaded) as workspace:
        pager = pager_of(loaded, workspace)
        with (
            ExitStack() as alone,
            Job("guard", loaded, workspace, arguments={"events": place}) as job,
        ):
            query: EventQuery | Arrivals = open_query(place)
            if loaded.config.guard.stream is not None:
                query = _arrivals(loaded, workspace.folder)
            near = NearLine(
                query, Watch(), job=job, orders=OrderBook(workspace), pager=pager,
                policy=loaded.config.guard,
            )  # fmt: skip
            while not _alone(Path(store), alone) and os.getppid() == parent:
                os.write(1, b".")  # another looks already: stand by, and take over when it ends
                time.sleep(BEAT)
            exporting.start(loaded, workspace.folder, place, until=alone)
            near.begin(now_us())
            sealed = time.monotonic()
            while os.getppid() == parent:
                try:
                    done = near.turn(now_us())
                except CasemateError as error:
                    _log.error("%s", error)
                    done = None
                os.write(1, b".")
                if time.monotonic() - sealed > SEAL_EVERY and Path(place).is_dir():
                    _seal(Path(place), loaded.config.guard, witness, workspace)
                    sealed = time.monotonic()
                if done is None or done.events < 1000:
                    time.sleep(BEAT / 4)
    return 0


def pager_of(loaded: Loaded, workspace: Workspace) -> Pager | None:
    """Return who tells people, as `[notify]` says; None where nobody is to be told.

    Raises:
        UsageError: A channel that cannot be, such as one whose secret is not in the environment.
    """
    if not loaded.config.notify.channel:
        return None
    from casemate.notify.pager import Pager
    from casemate.store.pages import PageBook

    return Pager(loaded.config.notify, PageBook(workspace), ocsf=_ocsf(loaded))


def _alone(store: Path, until: ExitStack) -> bool:
    """Say whether this is the one process that looks at a workspace's events; it stays so."""
    import fcntl

    held = (store / "analysis.lock").open("ab")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        return False
    until.enter_context(held)
    return True


def _arrivals(loaded: Loaded, workspace: Path) -> Arrivals:
    from casemate.guard import keys
    from casemate.store.streams.opening import open_stream
    from casemate.store.streams.relay import Arrivals

    held = keys.read(os.environ, key_folder(os.environ) / "guard.key", workspace=workspace)
    stream = open_stream(str(loaded.config.guard.stream), key=held.derive("stream"))
    return Arrivals(stream, now_us() - AGAIN)


def _ocsf(loaded: Loaded) -> Any:
    if all(one.kind != "ocsf" for one in loaded.config.notify.channel):
        return None
    from casemate.export.ocsf import detection_line

    return detection_line


def _seal(place: Path, policy: GuardTable, witness: Path | None, workspace: Workspace) -> None:
    from casemate.store.telemetry.keys import key_path, signing_key
    from casemate.store.telemetry.seal import expire, seal

    try:
        key = signing_key(key_path(os.environ), place)
        sealed = seal(place, key, witness=witness)
        if sealed is not None and sealed.unwitnessed:
            _log.error("the second place of the checkpoints cannot be written")
        if policy.keep_days is not None:
            before = now_us() - policy.keep_days * 86_400_000_000
            held = held_since(workspace)
            if held is not None:  # what a case rests on is not deleted while it is open
                before = min(before, held)
            why = f"older than the {policy.keep_days} days of [guard] keep_days"
            expire(place, key, before, reason=why, witness=witness)
    except CasemateError as error:
        _log.error("sealing: %s", error)


if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(main(*sys.argv[1:]))
