"""The proof that one item is in a bundle, for somebody who has not the bundle."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

from casemate.case.verifier.folder import Bundle
from casemate.case.verifier.notes import note_signed, parse_checkpoint
from casemate.case.verifier.tree import climb, hash_leaf

if TYPE_CHECKING:
    from collections.abc import Sequence

PROOF_HEAD = "c2sp.org/tlog-proof@v1"


def check_proof(text: bytes, keys: Sequence[bytes], file: str | None = None) -> dict[str, Any]:
    """Return the item that a proof (c2sp.org/tlog-proof) shows to be sealed.

    Args:
        text: Of the proof; its extra data is the item's line.
        keys: Public keys that may have signed.
        file: The item's file, to be held to it.

    Raises:
        ValueError: It proves nothing.
        OSError: The file cannot be read.
    """
    head, _, note = text.partition(b"\n\n")
    lines = head.decode("ascii").split("\n")
    if len(lines) < 3 or lines[0] != PROOF_HEAD or lines[1][:6] != "extra ":
        raise ValueError("not a proof of an item")
    checkpoint = parse_checkpoint(note)
    if not any(note_signed(note, key) for key in keys):
        raise ValueError("no key that was given has signed it")
    leaf = base64.b64decode(lines[1][6:], validate=True)
    steps = [base64.b64decode(one, validate=True) for one in lines[3:]]
    number = int(lines[2][6:]) if lines[2][:6] == "index " else -1
    if climb(hash_leaf(leaf), number, checkpoint.size, steps) != checkpoint.root:
        raise ValueError("the item is not in the bundle")
    item: dict[str, Any] = json.loads(leaf)
    if file is not None:
        folder, name = os.path.split(file)
        size, digest = Bundle(folder or ".", (), ()).digest(name)
        if (size, digest) != (item.get("bytes"), item.get("sha256")):
            raise ValueError("the file is not the item's")
    return {**item, "case": checkpoint.case, "sealed": checkpoint.sealed}
