"""The signed statements: what each producer gave, what is withheld and why, the bag's own files."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from casemate.case.verifier.curve import ed25519, name_key
from casemate.case.verifier.items import LEAVES, MANIFEST

if TYPE_CHECKING:
    from casemate.case.verifier.folder import Bundle

COLLECTION = "urn:casemate:statement:collection:1"
"""Predicate type: what was collected, by whom, how many items of each producer."""
REDACTION = "urn:casemate:statement:redaction:1"
"""Predicate type: which items are withheld, why, and what stands in their place."""
IN_TOTO = "application/vnd.in-toto+json"
CHECKPOINT = "seal/checkpoint"
COLLECTED = "seal/collection.dsse.json"
REDACTED = "seal/redaction.dsse.json"
TAGS = "tagmanifest-sha256.txt"
BAGIT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_KINDS = {COLLECTED: COLLECTION, REDACTED: REDACTION}


def check_statements(bundle: Bundle) -> None:
    """Hold the bundle to its statements, and the statements to the keys."""
    _strangers(bundle)
    found: dict[str, dict[str, Any]] = {}
    stated: dict[int, dict[str, Any]] = {}
    for path, wanted in _KINDS.items():
        try:
            kind, predicate = _opened(bundle, path) if path in bundle.files else ("", {})
            if kind == wanted:
                found[path] = predicate
                stated.update((one["number"], one) for one in predicate.get("withheld", ()))
            elif kind:
                raise ValueError(f"it states {kind}")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            bundle.fault("statement-unreadable", path, f"{type(error).__name__}: {error}")
    collection = found.get(COLLECTED)
    for number, one in bundle.withheld.items():
        said = stated.get(number)
        if said is None or (said["leaf"], said["producer"]) != (one["leaf"], one["producer"]):
            bundle.fault("withheld-unstated", f"item {number}")
        else:
            bundle.fault("withheld", f"item {number} of {one['producer']}", str(said["why"]))
    if collection is not None:
        _producers(bundle, collection)
        for note in collection["notes"]:
            bundle.fault("noted", "its maker", str(note))
        if collection["redaction"] != (REDACTED in bundle.files):
            bundle.fault("statement-missing", REDACTED, "there is one too many, or it is missing")
    elif COLLECTED not in bundle.files:
        bundle.fault("statement-missing", COLLECTED)
    _bag(bundle, collection["bag_info"] if collection is not None else None)


def _strangers(bundle: Bundle) -> None:
    known = {MANIFEST, TAGS, "bagit.txt", "bag-info.txt", LEAVES, CHECKPOINT, *_KINDS}
    for path in bundle.files:
        if path not in bundle.expected and path not in known:
            bundle.fault("file-inserted", path)


def _opened(bundle: Bundle, path: str) -> tuple[str, dict[str, Any]]:
    """Return predicate type and predicate; a type of "" when a fault has been named."""
    text = bundle.read(path)
    envelope = json.loads(text)
    again = json.dumps(envelope, indent=1, sort_keys=True).encode() + b"\n"
    if again != text or envelope["payloadType"] != IN_TOTO or not envelope["signatures"]:
        raise ValueError("not as a statement is written")
    payload = base64.b64decode(envelope["payload"], validate=True)
    if base64.b64encode(payload).decode() != envelope["payload"]:
        raise ValueError("its base64 is not canonical")
    kind = IN_TOTO.encode()
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    trusted = {name_key(key): key for key in (*bundle.keys, bundle.signer) if key}
    for one in envelope["signatures"]:
        key = trusted.get(one["keyid"])
        signature = base64.b64decode(one["sig"], validate=True)
        canonical = base64.b64encode(signature).decode() == one["sig"]
        if key is None or not canonical or not ed25519(key, message, signature):
            bundle.fault("statement-forged", path)
            return "", {}
    body = json.loads(payload)
    note = bundle.checkpoint.note if bundle.checkpoint else b""
    if [one["digest"]["sha256"] for one in body["subject"]] != [hashlib.sha256(note).hexdigest()]:
        bundle.fault("statement-replayed", path)
        return "", {}
    return str(body["predicateType"]), dict(body["predicate"])


def _producers(bundle: Bundle, collection: dict[str, Any]) -> None:
    counts = dict(bundle.counts)
    for one in collection["producers"]:
        found = counts.pop(one["name"], 0)
        if found != one["items"]:
            what = f"{found} of {one['items']} items are listed"
            bundle.fault("producer-dropped", one["name"], what)
        elif not found:
            bundle.fault("absent", one["name"], one["because"])
    for name, found in counts.items():
        bundle.fault("producer-dropped", name, f"{found} items, and none are stated")


def _bag(bundle: Bundle, bag_info: dict[str, str] | None) -> None:
    """Hold the files that are BagIt's own to what the items and the statement give."""
    wanted = {"bagit.txt": BAGIT}
    if bag_info is not None:
        sizes = [one[1] for path, one in bundle.expected.items() if path.startswith("data/")]
        info = {**bag_info, "Payload-Oxum": f"{sum(sizes)}.{len(sizes)}"}
        lines = "".join(f"{name}: {value}\n" for name, value in sorted(info.items()))
        wanted["bag-info.txt"] = lines.encode()
    tags = sorted(path for path in bundle.files if not path.startswith("data/") and path != TAGS)
    try:
        digests = "".join(f"{bundle.digest(path)[1]}  {path}\n" for path in tags)
        wanted[TAGS] = digests.encode("utf-8", "surrogateescape")
        for path, text in wanted.items():
            if path not in bundle.files:
                bundle.fault("file-missing", path)
            elif bundle.read(path) != text:
                bundle.fault("bag-file-edited", path)
    except (OSError, ValueError) as error:
        bundle.fault("bag-file-edited", TAGS, f"cannot be read: {error}")
