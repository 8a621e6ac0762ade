"""Names of archive members and link targets: which of them lead out of the folder unpacked into."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from casemate.formats.seen import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

_DRIVE = re.compile(r"[A-Za-z]:")


def escapes(name: str, within: str = "") -> bool:
    """Say whether `name`, taken from the folder `within`, leads out of the top folder.

    Backslashes and drive letters count as on Windows, since nobody knows where it will be unpacked.
    """
    name = name.replace("\\", "/")
    if name.startswith("/") or _DRIVE.match(name) or "\0" in name:
        return True
    depth = len([step for step in within.split("/") if step not in {"", "."}])
    for step in name.split("/"):
        if step == "..":
            depth -= 1
        elif step not in {"", "."}:
            depth += 1
        if depth < 0:
            return True
    return False


def trouble_with_name(name: str) -> Iterator[Trouble]:
    """Report a member whose name leads out of the folder it is unpacked into."""
    if escapes(name):
        said = f"'{name[:200]}' leads out of the folder the archive is unpacked into"
        yield Trouble("archive-path-traversal", name[:200], said, member=name)


def trouble_with_link(name: str, target: str) -> Iterator[Trouble]:
    """Report a link member that points out of the folder it is unpacked into."""
    folder = name.replace("\\", "/").rpartition("/")[0]
    if escapes(target, folder):
        said = f"the link '{name[:200]}' points to '{target[:200]}', out of the archive's folder"
        yield Trouble("archive-link-escapes", f"{name[:200]} -> {target[:200]}", said, member=name)
