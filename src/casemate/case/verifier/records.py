"""Records in a bundle that prove themselves: the chain of custody, and events in their log."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from typing import TYPE_CHECKING, Any

from casemate.case.verifier.curve import read_key
from casemate.case.verifier.faults import REMARKS
from casemate.case.verifier.notes import note_signed
from casemate.case.verifier.statements import CHECKPOINT
from casemate.case.verifier.tree import climb, hash_leaf, steps_of

if TYPE_CHECKING:
    from casemate.case.verifier.folder import Bundle

CUSTODY = "data/case/custody.jsonl"
EVENTS = "data/events/"
PROOF = ".proof.json"
LOG_KEY = "data/log/log.pub"
CUT = "withheld"
"""What a redacted custody log has in the place of a digest that could give a name away."""
_LOG_NOTE = re.compile(
    "[^\n]+\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*\n"
    "\u2014 [^\n ]+ [A-Za-z0-9+/]{91}=\n"
)
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_WIDTHS = {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4}


def check_custody(bundle: Bundle) -> None:
    """Follow the chain of custody."""
    previous: str | None = None
    sealed = _moment(bundle.checkpoint.sealed) if bundle.checkpoint else ""
    for place, line in enumerate(bundle.lines(CUSTODY) if CUSTODY in bundle.files else ()):
        body = line[:-1]
        where = f"{CUSTODY}, line {place + 1}"
        cut = False
        try:
            one = json.loads(body)
            cut = one["previous"] == CUT and bool(bundle.withheld)
            if one["number"] != place or (one["previous"] != previous and not cut):
                bundle.fault("custody-broken", where)
            if sealed and _moment(one["at"]) > sealed:
                bundle.fault("back-dated", CHECKPOINT, f"line {place + 1} of custody is later")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            bundle.fault("custody-broken", where, "it is no action")
        if cut and previous != CUT:
            bundle.fault("custody-cut", where)
        previous = CUT if cut else f"sha256:{hashlib.sha256(body).hexdigest()}"


def _moment(text: str) -> str:
    """Return a time in UTC so that later ones sort later."""
    head, _, part = text.rstrip("Z").partition(".")
    return f"{head}.{part:<06}"


def check_events(bundle: Bundle) -> None:
    """Follow each event's proof into the log of events."""
    proofs = sorted(p for p in bundle.files if p.startswith(EVENTS) and p.endswith(PROOF))
    keys = list(bundle.log_keys)
    if proofs and not keys:
        try:
            keys = [read_key(bundle.read(LOG_KEY))]
            bundle.fault("log-key-unconfirmed", LOG_KEY, REMARKS["log-key-unconfirmed"])
        except (OSError, ValueError):
            bundle.fault("event-unproven", LOG_KEY, "the key of the log is missing")
    signed: dict[str, bool] = {}
    for path in proofs:
        try:
            proof = json.loads(bundle.read(path))
            note = proof["checkpoint"]
            if note not in signed:
                signed[note] = any(note_signed(note.encode(), key) for key in keys)
            if not signed[note]:
                raise ValueError("the checkpoint of the log is not signed by its key")
            _event(proof, json.loads(bundle.read(path[: -len(PROOF)] + ".json")))
            bundle.events += 1
        except (OSError, ValueError, KeyError, TypeError, LookupError, RecursionError) as error:
            bundle.fault("event-unproven", path, str(error))


def _event(proof: dict[str, Any], shown: dict[str, Any]) -> None:
    head = _LOG_NOTE.fullmatch(proof["checkpoint"])
    if head is None:
        raise ValueError("not a checkpoint")
    line = proof["leaf"].encode()
    steps = steps_of(base64.b64decode(proof["leaf_path"]))
    root = climb(hash_leaf(line), proof["number"], int(head[1]), steps)
    if root != base64.b64decode(head[2]):
        raise ValueError("its segment is not in the log")
    segment = json.loads(line)
    row = base64.b64decode(proof["row"])
    steps = steps_of(base64.b64decode(proof["path"]))
    root = climb(hash_leaf(row), proof["index"], segment["events"], steps)
    names = proof["columns"]
    form = hashlib.sha256(",".join(names).encode()).hexdigest()[:16]
    if root is None or root.hex() != segment["root"] or form != segment["form"]:
        raise ValueError("it is not in its segment")
    flat = {**shown, **shown["measures"]}
    values, end = unpack(row, 0)
    if end != len(row) or [flat[name] for name in names] != values:
        raise ValueError("the event as it is shown is not the one that is proved")


def unpack(data: bytes, at: int) -> tuple[Any, int]:
    """Read one MessagePack value of those an event has; return it and where it ends."""
    head = data[at]
    at += 1
    if head < 0x80 or head >= 0xE0:
        return (head if head < 0x80 else head - 256), at
    if head in _CONSTANTS:
        return _CONSTANTS[head], at
    if head == 0xCB:
        return struct.unpack_from(">d", data, at)[0], at + 8
    if 0xCC <= head <= 0xD3:
        end = at + (1 << (head & 3))
        return int.from_bytes(data[at:end], "big", signed=head >= 0xD0), end
    width = _WIDTHS.get(head, 0)
    is_text = 0xA0 <= head < 0xC0 or 0xD9 <= head <= 0xDB
    if not is_text and not 0x90 <= head < 0xA0 and head not in (0xDC, 0xDD):
        raise ValueError("no value of an event")
    inline = head & (31 if is_text else 15)
    size = int.from_bytes(data[at : at + width], "big") if width else inline
    at += width
    if is_text:
        return data[at : at + size].decode("utf-8"), at + size
    values = []
    for _ in range(size):
        value, at = unpack(data, at)
        values.append(value)
    return values, at
