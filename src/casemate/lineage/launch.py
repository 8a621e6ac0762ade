"""Start a command under a filter that asks before each file is opened; run as a program of its own.

    python -I -S launch.py SOCKET COMMAND ...

It installs a seccomp filter on itself (user_notif(2), Linux 5.5 and later), sends the filter's
descriptor over the socket, and becomes the command. The filter holds for every process the command
starts, in whatever language. It grants nothing and forbids nothing; setuid programs lose their
privilege under it. Standard library only.

Sources: seccomp(2), seccomp_unotify(2), `struct sock_filter` of linux/filter.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import socket
import struct
import sys

CALLS = {
    "x86_64": {
        "open": 2, "truncate": 76, "rename": 82, "creat": 85, "link": 86, "unlink": 87,
        "openat": 257, "unlinkat": 263, "renameat": 264, "linkat": 265, "renameat2": 316,
        "openat2": 437,
    },
    "aarch64": {
        "unlinkat": 35, "linkat": 37, "renameat": 38, "truncate": 45, "openat": 56,
        "renameat2": 276, "openat2": 437,
    },
}  # fmt: skip
"""Numbers of the calls that open, replace or remove a file by its path."""
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NO_NEW_PRIVS, _PARENT_DIED = 38, 1


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("body", ctypes.c_void_p))


def program(machine: str) -> bytes:
    """Return the filter: ask for the calls of this machine, let everything else pass."""
    calls = sorted(CALLS[machine].values())
    steps = [
        (_LOAD, 0, 0, 4),  # the architecture of `struct seccomp_data`
        (_EQUAL, 1, 0, _ARCHITECTURE[machine]),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, 0),  # the number of the call
    ]
    steps += [(_EQUAL, len(calls) - at, 0, call) for at, call in enumerate(calls)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOTIFY)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def install(machine: str) -> int:
    """Install the filter on this process for good and return its descriptor.

    Raises:
        OSError: The kernel has no such filters, or another one listens already.
    """
    library = ctypes.CDLL(None, use_errno=True)
    body = ctypes.create_string_buffer(program(machine))
    whole = _Filter((len(body) - 1) // 8, ctypes.addressof(body))
    if library.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    descriptor = library.syscall(
        _SECCOMP[machine], _SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(whole)
    )
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(descriptor)


def main(arguments: list[str]) -> None:
    """Install, tell the parent, become the command; without a filter where there can be none."""
    parent = socket.socket(fileno=int(arguments[0]))
    # Without anybody who answers it, a filtered call fails: when the recorder dies, so does this.
    ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGTERM, 0, 0, 0)
    machine = platform.machine()
    # Nothing is opened between these two lines: it would wait for a parent who cannot answer yet.
    try:
        descriptor = install(machine) if machine in CALLS else -1
    except OSError as error:
        parent.sendall(errno.errorcode.get(error.errno or 0, "unknown").encode())
        descriptor = -1
    if descriptor >= 0:
        socket.send_fds(parent, [b"watched"], [descriptor])
        os.close(descriptor)
    parent.close()
    os.execvp(arguments[1], arguments[1:])  # noqa: S606 - to run it is what was asked


if __name__ == "__main__":
    main(sys.argv[1:])
