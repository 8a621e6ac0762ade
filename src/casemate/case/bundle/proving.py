"""Prove one item of a bundle to somebody who shall not see the rest: at most about 2 kB.

The form is https://c2sp.org/tlog-proof; its extra data is the item's line, whose hash is the leaf.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from casemate.case.verifier.proof import PROOF_HEAD
from casemate.errors import StoreError, UsageError
from casemate.store.telemetry import merkle

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def prove_item(folder: Path, which: str, withheld: Iterable[bytes] = ()) -> bytes:
    """Return the proof that an item is in a bundle.

    Args:
        folder: Of the bundle.
        which: Name or number of the item.
        withheld: Lines of withheld items, which only their maker has.

    Raises:
        UsageError: There is no such item, or it is withheld and its line is not given.
        StoreError: The bundle cannot be read.
    """
    try:
        lines = (folder / "seal" / "leaves.jsonl").read_bytes().splitlines()
        note = (folder / "seal" / "checkpoint").read_bytes()
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror}") from error
    hidden = {merkle.leaf(line).hex(): line for line in withheld}
    hashes = []
    found: tuple[int, bytes] | None = None
    for number, line in enumerate(lines):
        one = _read(line, folder)
        shown: bytes | None = line
        if "leaf" in one:
            shown = hidden.get(one["leaf"])
            hashes.append(bytes.fromhex(one["leaf"]))
            one = {} if shown is None else _read(shown, folder)
        else:
            hashes.append(merkle.leaf(line))
        if which in (str(number), one.get("name")):
            if shown is None:
                raise UsageError(
                    f"item {number} is withheld", hint="who made the bundle can prove it"
                )
            found = number, shown
    if found is None:
        raise UsageError(f"no item of {folder} is called '{which}'", hint="seal/leaves.jsonl")
    number, line = found
    steps = [base64.b64encode(step).decode() for step in merkle.path(hashes, number)]
    head = [PROOF_HEAD, f"extra {base64.b64encode(line).decode()}", f"index {number}", *steps]
    return "\n".join(head).encode() + b"\n\n" + note


def _read(line: bytes, folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(
            f"the items of {folder} cannot be read", hint="casemate verify says what is wrong"
        ) from error
