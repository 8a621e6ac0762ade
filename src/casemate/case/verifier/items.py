"""The list of items: its tree against the checkpoint, each item's file against its line."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from casemate.case.verifier.tree import grow, hash_leaf, top

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.case.verifier.folder import Bundle

LEAVES = "seal/leaves.jsonl"
MANIFEST = "manifest-sha256.txt"
_HEX = re.compile(r"[0-9a-f]{64}")
_WITHHELD = {"leaf", "number", "producer", "sequence"}
_MOST_STRANGERS = 1000


def check_items(bundle: Bundle, progress: Callable[[str, int, int], None] | None) -> None:
    """Hold every item to its line, and the lines to the checkpoint."""
    manifest = hashlib.sha256()
    bad: dict[str, str | None] = {}
    peaks: list[bytes] = []
    total = bundle.checkpoint.size if bundle.checkpoint else 0
    try:
        for line in bundle.lines(LEAVES):
            body = line[:-1]
            leaf = b""
            path = ""
            try:
                one: dict[str, Any] = json.loads(body)
                leaf = hash_leaf(body) if "leaf" not in one else bytes.fromhex(one["leaf"])
                path = _line(bundle, one, body)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                what = f"{type(error).__name__}: {error}"
                bundle.fault("leaf-unreadable", f"{LEAVES}, line {bundle.items + 1}", what)
            grow(peaks, bundle.items, leaf)
            bundle.items += 1
            if progress is not None and not bundle.items & 1023:
                progress("verifying", bundle.items, max(total, bundle.items))
            if path in bundle.expected:
                bundle.fault("leaf-misplaced", path, "two items have one file")
            elif path:
                bundle.expected[path] = one["sha256"], one["bytes"]
                if path.startswith("data/"):
                    manifest.update(f"{one['sha256']}  {path}\n".encode())
                _file(bundle, path, one["sha256"], bad)
    except OSError as error:
        bundle.fault("file-missing", LEAVES, f"cannot be read: {error.strerror}")
    if bundle.checkpoint is not None:
        if bundle.items != total:
            what = f"{bundle.items} items are listed, {total} were sealed"
            bundle.fault("leaves-edited", LEAVES, what)
        elif top(peaks, bundle.items) != bundle.checkpoint.root:
            bundle.fault("leaves-edited", LEAVES)
    _explain(bundle, bad)
    _manifest(bundle, manifest.hexdigest())


def _line(bundle: Bundle, one: dict[str, Any], body: bytes) -> str:
    """Return the path of an item's file, empty when it has none."""
    number, producer, sequence = one["number"], one["producer"], one["sequence"]
    if number != bundle.items or sequence != bundle.counts.get(producer, 0):
        what = f"item {number!r}, {producer!r} {sequence!r}, stands in place {bundle.items}"
        bundle.fault("leaf-misplaced", f"{LEAVES}, line {bundle.items + 1}", what)
    bundle.counts[producer] = bundle.counts.get(producer, 0) + 1
    if "leaf" in one:
        again = json.dumps(one, sort_keys=True, separators=(",", ":")).encode()
        if again != body or set(one) != _WITHHELD or not _HEX.fullmatch(one["leaf"]):
            raise ValueError("not as it is written")
        bundle.withheld[number] = one
        return ""
    if len(one["salt"]) != 32:
        raise ValueError("it has no salt")
    if "path" not in one:
        bundle.fault("absent", str(one["name"]), str(one["why"]))
        return ""
    path: str = one["path"]
    if {"", ".", ".."} & set(path.split("/")) or "\\" in path or not _HEX.fullmatch(one["sha256"]):
        raise ValueError("it names no file of the bundle")
    if type(one["bytes"]) is not int:
        raise ValueError("it has no size")
    return path


def _file(bundle: Bundle, path: str, wanted: str, bad: dict[str, str | None]) -> None:
    if path not in bundle.files:
        bad[path] = None
        return
    try:
        size, digest = bundle.digest(path)
    except OSError as error:
        bundle.fault("file-missing", path, f"cannot be read: {error.strerror}")
        return
    bundle.files[path] = size
    bundle.shown += 1
    bundle.bytes += size
    if digest != wanted:
        bad[path] = digest


def _explain(bundle: Bundle, bad: dict[str, str | None]) -> None:
    """Say of each file that is not as it was what happened to it."""
    strangers: dict[str, str] = {}
    for path in bundle.files if None in bad.values() else ():
        if path not in bundle.expected and path.startswith("data/"):
            strangers[_digest(bundle, path)] = path
            if len(strangers) == _MOST_STRANGERS:
                break
    actual = set(bad.values())
    owners = {one[0]: path for path, one in bundle.expected.items() if one[0] in actual}
    for path, digest in bad.items():
        wanted, size = bundle.expected[path]
        if digest is None:
            there = strangers.get(wanted)
            what = f"it lies under another name: {there}" if there else ""
            bundle.fault("file-missing", path, what)
        elif digest in owners:
            bundle.fault("file-moved", path, f"it holds what belongs to {owners[digest]}")
        elif bundle.files[path] < size:
            bundle.fault("file-truncated", path, f"{bundle.files[path]} of {size} bytes")
        else:
            bundle.fault("file-edited", path)


def _digest(bundle: Bundle, path: str) -> str:
    try:
        return bundle.digest(path)[1]
    except OSError:
        return ""


def _manifest(bundle: Bundle, wanted: str) -> None:
    if MANIFEST not in bundle.files:
        bundle.fault("file-missing", MANIFEST)
    elif _digest(bundle, MANIFEST) != wanted:
        known = {f"{one[0]}  {name}\n".encode() for name, one in bundle.expected.items()}
        odd = next((line for line in bundle.lines(MANIFEST) if line not in known), None)
        what = "its lines are out of place" if odd is None else odd.decode("utf-8", "replace")
        bundle.fault("bag-file-edited", MANIFEST, f"not what the items give: {what.strip()}")
