"""Lines: detections as records on their way to a SIEM, one a line, into a file or over TCP.

Not a page: every detection goes, once, in whatever form the caller gave it (OCSF in casemate's own
composition); who is woken by it is the SIEM's business.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from casemate.errors import TargetError, UsageError
from casemate.notify.wording import short


class Lines:
    """A file that is appended to, or a receiver at `tcp://host:port`."""

    def __init__(self, to: str, *, timeout: float = 10.0) -> None:
        """Take the place lines go to.

        Raises:
            UsageError: Another scheme, or no port.
        """
        parts = urlsplit(to)
        self._timeout = timeout
        self._address: tuple[str, int] | None = None
        self._path = Path(to)
        if "://" not in to:
            return
        try:
            port = parts.port or 0
        except ValueError:
            port = 0
        if parts.scheme != "tcp" or not parts.hostname or not port:
            raise UsageError(
                f"not a place for detections: {short(to, 80)}", hint="a file, or tcp://host:port"
            )
        self._address = (parts.hostname, port)

    def send(self, line: bytes) -> None:
        """Send one line; a line feed is added.

        Raises:
            TargetError: The file cannot be written, or the receiver not reached.
        """
        try:
            if self._address is None:
                self._append(line + b"\n")
                return
            with socket.create_connection(self._address, self._timeout) as door:
                door.sendall(line + b"\n")
                door.shutdown(socket.SHUT_WR)
                door.settimeout(1.0)
                try:
                    while door.recv(4096):
                        pass
                except TimeoutError:
                    pass
        except (OSError, UnicodeError) as error:
            place = ":".join(map(str, self._address)) if self._address else self._path.name
            raise TargetError(f"{place}: {short(str(error), 200)}", retry=True) from error

    def _append(self, line: bytes) -> None:
        import fcntl  # not on Windows, where the guard does not run

        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                line = b"\n" + line  # a writer died half-way; its line stays by itself
            written = os.write(handle, line)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes could be written")
            os.fsync(handle)
        finally:
            os.close(handle)
