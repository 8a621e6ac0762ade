"""The verifier as a program, and what it says is proved."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from casemate.case.verifier.curve import name_key, read_key
from casemate.case.verifier.faults import INCOMPLETE, weight_of
from casemate.case.verifier.folder import Bundle
from casemate.case.verifier.items import check_items
from casemate.case.verifier.notes import note_signed, parse_checkpoint
from casemate.case.verifier.proof import check_proof
from casemate.case.verifier.records import check_custody, check_events
from casemate.case.verifier.statements import CHECKPOINT, check_statements

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEY = "seal/case.pub"
CODES = {"whole": 0, "changed": 1, "incomplete": 3}


def check(
    folder: str,
    keys: Sequence[bytes] = (),
    log_keys: Sequence[bytes] = (),
    witness: bytes | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Bundle:
    """Verify a bundle.

    Args:
        folder: Where it lies.
        keys: Public keys (32 bytes) that may have sealed it; none, and it remains open who did.
        log_keys: Likewise of the log of events.
        witness: Checkpoints of the case's bundles, one after another, from a second place.
        progress: Called with (what, done, total).
    """
    bundle = Bundle(folder, keys, log_keys)
    bundle.walk()
    _seal(bundle)
    check_items(bundle, progress)
    check_statements(bundle)
    check_custody(bundle)
    check_events(bundle)
    if witness is not None:
        _witnessed(bundle, witness)
    return bundle


def _seal(bundle: Bundle) -> None:
    own: bytes | None = None
    try:
        own = read_key(bundle.read(KEY))
    except (OSError, ValueError) as error:
        if not bundle.keys:
            bundle.fault("checkpoint-forged", KEY, f"the key it came with is unreadable: {error}")
    if not bundle.keys:
        named = f"; it names {name_key(own)}" if own else ""
        bundle.fault("unpinned", KEY, INCOMPLETE["unpinned"] + named)
    elif own is not None and own not in bundle.keys:
        bundle.fault("key-replaced", KEY, f"it is sealed with {name_key(own)}")
    try:
        bundle.checkpoint = parse_checkpoint(bundle.read(CHECKPOINT))
    except (OSError, ValueError) as error:
        bundle.fault("checkpoint-unreadable", CHECKPOINT, str(error))
        return
    for key in bundle.keys or ((own,) if own else ()):
        if note_signed(bundle.checkpoint.note, key):
            bundle.signer = key
            return
    bundle.fault("checkpoint-forged", CHECKPOINT)


def _witnessed(bundle: Bundle, witness: bytes) -> None:
    own = bundle.checkpoint
    same = []
    for text in re.split(rb"\n\n(?=casemate/bundle/)", witness.rstrip(b"\n")):
        try:
            note = parse_checkpoint(text + b"\n")
        except ValueError as error:
            bundle.fault("witness-differs", "the witness", str(error))
            return
        if own is not None and note.case == own.case:
            same.append(note)
    if own not in same:
        bundle.fault("witness-differs", CHECKPOINT)
    elif same[-1] != own:
        bundle.fault("rolled-back", CHECKPOINT, f"the last one is of {same[-1].sealed}")


def proved(bundle: Bundle) -> list[str]:
    """Return in words what is proved, and what is not."""
    note = bundle.checkpoint
    if bundle.answer == "changed" or note is None:
        kinds = {kind for kind in bundle.kinds if weight_of(kind) == "changed"}
        if kinds == {"rolled-back"}:
            return ["This was sealed so, but it is not the last bundle of the case."]
        return ["This is not what was sealed."]
    files = f"{bundle.shown} files ({bundle.bytes} bytes) are what was sealed for {note.case}"
    withheld = f"{len(bundle.withheld)} items are withheld by a signed statement"
    said = [f"Proved: {files}; {withheld}; {bundle.events} events are in the log of events."]
    if bundle.keys and bundle.signer:
        said.append(f"Proved: whoever holds {name_key(bundle.signer)} sealed it.")
    else:
        said.append(
            "Not proved: by whom. Whoever can write this folder can seal another one under another "
            "key. Compare the key with one you were given by another way, or verify with that one."
        )
    said.append(
        f"Not proved: the hour ({note.sealed} by its maker's clock), and that what was put on "
        "record is true."
    )
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description="Verify an evidence bundle, or a proof of an item")
    parser.add_argument("path", help="folder of the bundle, or a .tlog-proof")
    parser.add_argument("--key", action="append", default=[], help="file or text of a public key")
    parser.add_argument("--log-key", action="append", default=[], help="key of the log of events")
    parser.add_argument("--witness", help="checkpoints of the case from a second place")
    parser.add_argument("--file", help="for a proof: the item's file")
    args = parser.parse_args(arguments)
    is_proof = Path(args.path).is_file()
    try:
        keys, log_keys = ([_key(one) for one in given] for given in (args.key, args.log_key))
        if is_proof:
            item = check_proof(_read(args.path), keys, args.file)
            _say(f"whole: {item['name']} was sealed for {item['case']} on {item['sealed']}")
            return 0
        witness = None if args.witness is None else _read(args.witness)
        bundle = check(args.path, keys, log_keys, witness)
    except (OSError, ValueError) as error:
        _say(f"changed: {error}" if is_proof else f"error: {error}")
        return 1 if is_proof else 2
    for fault in sorted(bundle.faults, key=lambda one: one.weight == "remark"):
        _say(f"{fault.weight}: {fault.kind}: {fault.where}: {fault.what}")
    if bundle.left_out:
        _say(f"... and {bundle.left_out} more")
    for text in (bundle.answer, *proved(bundle)):
        _say(text)
    return CODES[bundle.answer]


def _key(named: str) -> bytes:
    return read_key(named.encode() if named.startswith("ed25519:") else _read(named))


def _read(path: str) -> bytes:
    folder, name = os.path.split(path)
    return Bundle(folder or ".", (), ()).read(name)


def _say(text: str) -> None:
    """Print text from a hostile source with control characters shown, not sent."""
    shown = (
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )
    line = "".join(shown) + "\n"
    sys.stdout.write(line.encode("ascii", "backslashreplace").decode() if _narrow() else line)


def _narrow() -> bool:
    return "utf" not in (sys.stdout.encoding or "").lower()
