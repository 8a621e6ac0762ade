"""Record a training run: start its command, see what it reads and writes, tell the lineage of it.

The first stage of lineage; what is told goes into the workspace's book. On Linux the kernel says
what is opened (`watch`), whoever opens it; elsewhere Python itself does (`hook`), and what other
programs open is not seen. Declared data and outputs are looked at before and after in any case.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from casemate.errors import UsageError
from casemate.lineage.account import Account, Ended, Recorded
from casemate.lineage.files import Files, Mark, now
from casemate.lineage.places import is_noise
from casemate.lineage.surroundings import git_state
from casemate.lineage.watch import Watch, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from casemate.lineage.found import Lineage
    from casemate.records.edge import Node

How = Literal["auto", "calls", "python", "none"]
"""`calls`: system calls. `python`: what Python opens. `none`: declared files alone. `auto`: the
first of them that can be had."""
HOOK = Path(__file__).with_name("hook")
VARIABLE = "CASEMATE_LINEAGE_NOTES"
_PATIENCE_S = 5.0
_PASSED_ON = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")


def record(
    command: Sequence[str],
    *,
    root: Path,
    data: Sequence[Path] = (),
    out: Sequence[str] = (),
    parents: Sequence[Node] = (),
    how: How = "auto",
    begun: Callable[[Lineage], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Recorded:
    """Run a command and return what it read, wrote and stood on.

    Args:
        command: Program and arguments.
        root: Folder that names are relative to.
        data: Files and folders it learns from, whether or not it is seen to open them.
        out: Patterns of files it writes, relative to `root`.
        parents: Models it starts from.
        how: How to see what it opens.
        begun: Called with what is known before it starts, so that a recorder that is killed
            leaves a trace.
        say: Called with what a person at the terminal should know.

    Raises:
        UsageError: No such program, or declared data is not there.
    """
    files = Files(is_noise)
    account = Account(command, root, _declared(data, files), tuple(parents), git_state(root))
    before = {path: now(path) for path in _matching(root, out)}
    begun(account.beginning())
    started = time.time_ns()
    code, notes = _run(command, files, how, say)
    written = [path for path in _matching(root, out) if now(path) != before.get(path)]
    ended = Ended(code, started, time.time_ns(), notes, written)
    return account.ending(files, ended)


def _run(
    command: Sequence[str], files: Files, how: How, say: Callable[[str], None]
) -> tuple[int, list[str]]:
    """Run the command to its end; return its code and what could not be seen."""
    if how == "none":
        with _started(subprocess.Popen(list(command))) as process:  # noqa: S603 - as asked
            return process.wait(), ["only declared files were looked at"]
    refused = why_not() if how in {"auto", "calls"} else ""
    if refused is None:
        watch = Watch(files)
        with _started(watch.start(command, env=os.environ)) as process:
            code = process.wait()
            if not watch.wait(_PATIENCE_S):
                # Without us they could open nothing any more.
                say("waiting for processes that the command left running; they are still seen")
                watch.wait(None)
        return code, []
    if how == "calls":
        raise UsageError(f"system calls cannot be watched here: {refused}", hint="--watch python")
    with tempfile.TemporaryDirectory(prefix="casemate-") as folder:
        notes = Path(folder, "notes.jsonl")
        notes.touch()
        hooked = {
            **os.environ,
            VARIABLE: str(notes),
            "PYTHONPATH": os.pathsep.join(
                filter(None, (str(HOOK), os.environ.get("PYTHONPATH", "")))
            ),
        }
        with _started(subprocess.Popen(list(command), env=hooked)) as process:  # noqa: S603 - as asked
            code = process.wait()
        why = [f"system calls could not be watched: {refused}"] if refused else []
        return code, [*why, *_replay(notes, files)]


@contextlib.contextmanager
def _started(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Stay until the command ends: signals are its to answer, not ours."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in _PASSED_ON:
            if (number := getattr(signal, name, None)) is not None:
                before[number] = signal.signal(number, lambda got, _: process.send_signal(got))
        # The terminal sends this to the command as well.
        before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield process
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _replay(notes: Path, files: Files) -> list[str]:
    """Take in what the hook noted; return what it could not see, in words."""
    programs: set[str] = set()
    lines = 0
    with notes.open(encoding="ascii", errors="replace") as found:
        for line in found:
            lines += 1
            try:
                what, *parts = json.loads(line)
                if what == "open":
                    files.opened(parts[0], parts[1], Mark(*parts[2:]) if parts[2:] else None)
                elif what == "replace":
                    files.replaced(parts[0], parts[1], Mark(*parts[2:]) if parts[2:] else None)
                elif what == "program":
                    programs.add(Path(str(parts[0])).name)
            except (ValueError, TypeError, IndexError, RecursionError):
                continue  # the script may write there too; what it says is not ours
    said = ["files opened by native code (pyarrow, torch.save, xgboost ...) were not seen"]
    if not lines:
        said.append("no Python was seen to start: what the command read was not seen")
    if programs:
        some = ", ".join(sorted(programs)[:8])
        said.append(f"it started other programs, whose files were not seen: {some}")
    return said


def _declared(data: Sequence[Path], files: Files) -> tuple[Path, ...]:
    """Note declared data as read, digests and all, before anything can change it."""
    for place in data:
        if not place.exists():
            raise UsageError(f"{place} does not exist", hint="--data names a file or a folder")
        inside = [place] if place.is_file() else (one for one in place.rglob("*") if one.is_file())
        for one in inside:
            files.declared(str(one.resolve()))
    return tuple(place.resolve() for place in data)


def _matching(root: Path, out: Sequence[str]) -> list[str]:
    found: set[str] = set()
    for pattern in out:
        whole = pattern if Path(pattern).is_absolute() else str(root / pattern)
        found.update(glob.iglob(whole, recursive=True))  # noqa: PTH207 - absolute patterns too
    return sorted(str(Path(one).resolve()) for one in found if Path(one).is_file())
