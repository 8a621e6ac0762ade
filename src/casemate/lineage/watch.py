"""Watch: every file a command and all its children open, asked for by the kernel as it happens.

Linux only (see `launch`). A call waits until this has noted it, so nothing is missed and what is
about to be overwritten can still be read. It records and never forbids: a program that wants to
hide can change a path between our look and the kernel's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

from casemate.lineage import launch
from casemate.lineage.files import Files, now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_NOTICE = struct.Struct("=QIIiIQ6Q")
"""`struct seccomp_notif`: id, pid, flags, call, architecture, instruction, six arguments."""
_ANSWER = struct.Struct("=QqiI")
_RECEIVE = 0xC0002100 | _NOTICE.size << 16
_SEND = 0xC0002101 | _ANSWER.size << 16
_CONTINUE = 1
_HERE = -100
_PATH = 4096
_PAGE = 4096
_PROBE_S = 10.0


class Call(NamedTuple):
    """What one system call is about to do, by where its arguments are."""

    name: str
    folder: int | None
    """Descriptor of the folder its path is relative to; None for the working folder."""
    path: int
    """Address of the path."""
    flags: int = os.O_RDONLY
    other: tuple[int | None, int] | None = None
    """The same of the path something is renamed or linked to."""


class Watch:
    """A command under watch: start it once, then wait."""

    def __init__(self, files: Files) -> None:
        """Tell `files` of each file; it is called from a thread of its own."""
        self._files = files
        self._thread: threading.Thread | None = None
        self.refused: str | None = None
        """Why the kernel would not have it; None when it did."""

    def start(self, command: Sequence[str], *, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start the command; `refused` says whether it is watched."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours:
            with theirs:
                launcher = [sys.executable, "-I", "-S", launch.__file__, str(theirs.fileno())]
                started = subprocess.Popen(  # noqa: S603 - to run it is what was asked
                    [*launcher, *command], env=dict(env), pass_fds=[theirs.fileno()]
                )
            message, descriptors, _, _ = socket.recv_fds(ours, 64, 1)
            if not descriptors:
                self.refused = message.decode() or "it is not of a kind of machine we know"
                return started
        self._thread = threading.Thread(
            target=self._serve, args=(descriptors[0],), name="lineage-watch", daemon=True
        )
        self._thread.start()
        return started

    def wait(self, seconds: float | None) -> bool:
        """Wait until every process of the command has ended (None: however long); say if so."""
        if self._thread is not None:
            self._thread.join(seconds)
            return not self._thread.is_alive()
        return True

    def _serve(self, descriptor: int) -> None:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        try:
            while True:
                ((_, events),) = poller.poll() or ((0, 0),)
                if events & select.POLLIN:
                    self._one(descriptor)
                elif events:
                    return  # POLLHUP: nobody is left under the filter
        finally:
            os.close(descriptor)

    def _one(self, descriptor: int) -> None:
        notice = bytearray(_NOTICE.size)
        try:
            fcntl.ioctl(descriptor, _RECEIVE, notice)
        except OSError:
            return  # it was killed before we looked
        ident, pid, _, number, _, _, *arguments = _NOTICE.unpack(notice)
        try:
            self._note(pid, number, arguments)
        except (OSError, ValueError):
            pass  # it was killed, or its memory is not ours to read
        finally:
            with contextlib.suppress(OSError):
                fcntl.ioctl(descriptor, _SEND, _ANSWER.pack(ident, 0, 0, _CONTINUE))

    def _note(self, pid: int, number: int, arguments: Sequence[int]) -> None:
        call = _call(_NAMES.get(number, ""), arguments)
        if call is None:
            return
        path = _path(pid, call.folder, call.path)
        if call.other is not None:
            other = _path(pid, *call.other)
            self._files.replaced(path, other, now(other))
        elif call.name.startswith("unlink"):
            self._files.removed(path)
        else:
            self._files.opened(path, _flags(pid, call), now(path))


def why_not() -> str | None:
    """Return why nothing can be watched on this machine; None where it can."""
    if sys.platform != "linux":
        return "only Linux has system calls that ask"
    watch = Watch(Files(lambda _: True))
    watch.start([sys.executable, "-I", "-S", "-c", ""], env={}).wait()
    watch.wait(_PROBE_S)
    return watch.refused


_NAMES = (
    {number: name for name, number in launch.CALLS.get(os.uname().machine, {}).items()}
    if hasattr(os, "uname")
    else {}
)


def _call(name: str, given: Sequence[int]) -> Call | None:
    first = struct.unpack("=i", struct.pack("=I", given[0] & 0xFFFFFFFF))[0]
    third = struct.unpack("=i", struct.pack("=I", given[2] & 0xFFFFFFFF))[0]
    create = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    match name:
        case "open":
            return Call(name, None, given[0], given[1])
        case "creat":
            return Call(name, None, given[0], create)
        case "truncate":
            return Call(name, None, given[0], os.O_WRONLY | os.O_TRUNC)
        case "openat" | "openat2":
            return Call(name, first, given[1], given[2])
        case "unlink":
            return Call(name, None, given[0])
        case "unlinkat":
            return Call(name, first, given[1])
        case "rename" | "link":
            return Call(name, None, given[0], other=(None, given[1]))
        case "renameat" | "renameat2" | "linkat":
            return Call(name, first, given[1], other=(third, given[3]))
    return None


def _flags(pid: int, call: Call) -> int:
    if call.name != "openat2":
        return call.flags
    return int.from_bytes(_memory(pid, call.flags, 8), sys.byteorder)  # of `struct open_how`


def _path(pid: int, folder: int | None, address: int) -> str:
    text = bytearray()
    while len(text) < _PATH and b"\0" not in text:
        # Page by page: the one behind the path may not be there.
        text += _memory(pid, address + len(text), _PAGE - (address + len(text)) % _PAGE)
    path = os.fsdecode(bytes(text).partition(b"\0")[0])
    if path.startswith("/"):
        return os.path.normpath(path)
    at = "cwd" if folder is None or folder == _HERE else f"fd/{folder}"
    return os.path.normpath(f"{os.readlink(f'/proc/{pid}/{at}')}/{path}")  # noqa: PTH115 - as text


def _memory(pid: int, address: int, length: int) -> bytes:
    # Opened anew each time: after an exec the old descriptor shows the old program.
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        found = os.pread(memory, length, address)
    finally:
        os.close(memory)
    if not found:
        raise OSError("no memory there")
    return found
