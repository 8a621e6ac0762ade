"""Note the files a Python process opens; loaded by the interpreter itself when it starts.

The recorder puts this folder first on PYTHONPATH where it cannot watch system calls. What opens
files without Python's help (C++ readers, other programs) is not seen. Standard library only;
nothing that goes wrong here may reach the script.
"""

import contextlib
import importlib
import json
import os
import sys

_NOTES = "CASEMATE_LINEAGE_NOTES"
_OTHERS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system")


def begin(notes: str) -> None:
    """Note each file once, as one line of JSON at the end of the file `notes`."""
    seen: set[tuple[object, ...]] = set()
    writing = False

    def note(*what: object) -> None:
        nonlocal writing
        if what in seen or writing:
            return
        seen.add(what)
        writing = True
        try:
            # Opened anew each time: a script may close every descriptor it did not open.
            line = json.dumps(what, ensure_ascii=True) + "\n"
            handle = os.open(notes, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(handle, line.encode())
            finally:
                os.close(handle)
        finally:
            writing = False

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        with contextlib.suppress(Exception):
            if event == "open" and not writing:
                path, _, flags = arguments
                if isinstance(path, str | bytes) and isinstance(flags, int):
                    where = _whole(path)
                    note("open", where, flags, *_mark(where))
            elif event in {"os.rename", "os.link"}:
                target = _whole(arguments[1])
                note("replace", _whole(arguments[0]), target, *_mark(target))
            elif event in {"os.remove", "os.truncate"}:
                note("remove", _whole(arguments[0]))
            elif event in _OTHERS:
                note("program", str(arguments[0]))
            elif event == "ctypes.dlopen":
                note("library", str(arguments[0]))

    sys.addaudithook(hook)


def _whole(path: object) -> str:
    return os.path.abspath(os.fsdecode(path))  # type: ignore[arg-type]  # noqa: PTH100 - pathlib is not loaded yet


def _mark(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)  # noqa: PTH116 - likewise
    except OSError:
        return ()
    is_file = found.st_mode & 0o170000 == 0o100000
    return (found.st_ino, found.st_size, found.st_mtime_ns) if is_file else ()


def _hand_over() -> None:
    """Load the sitecustomize that this one stands in front of."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - likewise
    sys.path[:] = [one for one in sys.path if os.path.abspath(one) != here]  # noqa: PTH100
    mine = sys.modules.pop("sitecustomize")
    try:
        importlib.import_module("sitecustomize")
    except ImportError:
        sys.modules["sitecustomize"] = mine


if _NOTES in os.environ:
    begin(os.environ[_NOTES])
    _hand_over()
