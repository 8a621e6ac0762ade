"""Which file system a folder is on, so that SQLite is not put where its locks do not hold.

WAL mode shares memory between processes of one machine; over a network file system two machines
would each see their own, and the database would be lost (https://sqlite.org/wal.html, "Overview").
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

_NAMES = """
9p_net acfs afp afpfs afs beegfs ceph cifs coda davfs fhgfs ftp glusterfs gpfs lustre mfs ncpfs nfs
nfs3 nfs4 orangefs osxfuse panfs pvfs2 smb smb2 smb3 smbfs webdav
fuse.ceph fuse.curlftpfs fuse.davfs2 fuse.gcsfuse fuse.glusterfs fuse.goofys fuse.juicefs
fuse.mountpoint-s3 fuse.rclone fuse.s3fs fuse.seaweedfs fuse.sshfs macfuse.sshfs
"""
NETWORK = frozenset(_NAMES.split())
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_kind(folder: Path) -> str | None:
    """Return the name of the network file system `folder` is on, None for a local one.

    A folder that does not exist yet is judged by its nearest parent that does. Where the system
    does not say what it is, the answer is None: SQLite's own refusal of WAL is the second line.
    """
    try:
        place = folder.resolve()
        while not place.exists() and place != place.parent:
            place = place.parent
        if sys.platform == "win32":
            return _windows(place)
        if sys.platform == "linux":
            mounts = read_mountinfo(Path("/proc/self/mountinfo").read_text(errors="replace"))
        else:
            done = subprocess.run(
                ["/sbin/mount"], capture_output=True, text=True, timeout=10, check=False
            )
            mounts = read_mount_listing(done.stdout)
    except (OSError, subprocess.SubprocessError):
        return None
    kind = _kind_at(place, mounts)
    return kind if kind in NETWORK else None


def read_mountinfo(text: str) -> list[tuple[str, str]]:
    """Return (mount point, file system type) of each line of Linux's mountinfo (proc(5))."""
    mounts = []
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if dash and len(fields) > 4:
            point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
            mounts.append((point, after.split(" ")[0]))
    return mounts


def read_mount_listing(text: str) -> list[tuple[str, str]]:
    """Return (mount point, file system type) of each line printed by mount(8) on macOS and BSD."""
    found = re.finditer(r"^.* on (.*) \(([\w.]+)[,)]", text, re.MULTILINE)
    return [(match[1], match[2]) for match in found]


def _kind_at(place: Path, mounts: list[tuple[str, str]]) -> str | None:
    # A later mount on the same point hides the earlier one, hence `>=`.
    best, kind = -1, None
    for point, name in mounts:
        inside = place == Path(point) or Path(point) in place.parents
        if inside and len(point) >= best:
            best, kind = len(point), name
    return kind


def _windows(place: Path) -> str | None:
    if sys.platform == "win32":
        import ctypes

        drive = os.path.splitdrive(place)[0]
        if drive.startswith("\\\\"):
            return "network share"
        remote = 4  # DRIVE_REMOTE of GetDriveTypeW
        if ctypes.windll.kernel32.GetDriveTypeW(drive + "\\") == remote:
            return "network drive"
    return None
