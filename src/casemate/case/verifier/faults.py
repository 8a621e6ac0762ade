"""What can be wrong with a bundle, each by name."""

from __future__ import annotations

from typing import NamedTuple

CHANGED = {
    "back-dated": "it says it was sealed before something in it happened",
    "bag-file-edited": "a file of the bag is not what the items and the statement give",
    "checkpoint-forged": "the checkpoint is not signed by the key",
    "checkpoint-unreadable": "the checkpoint is missing or is none",
    "custody-broken": "a line of the custody log is missing, changed or out of place",
    "event-unproven": "the proof of an event does not lead to the log it is said to be in",
    "file-edited": "a file is not what was sealed",
    "file-inserted": "a file or folder is there that was not sealed",
    "file-missing": "a file is gone",
    "file-moved": "a file holds what belongs to another item",
    "file-truncated": "a file is shorter than it was",
    "key-replaced": "another key than yours has sealed it",
    "leaf-misplaced": "a line of the list of items is out of place, twice or of another number",
    "leaf-unreadable": "a line of the list of items is none",
    "leaves-edited": "the list of items is not the one that was signed",
    "link-inserted": "a link or a special file is there; nothing of the kind is ever sealed",
    "producer-dropped": "items of a producer are missing, or there are too many",
    "rolled-back": "a newer bundle of the case has been sealed than this one",
    "statement-forged": "a statement is not signed by a key that may",
    "statement-missing": "the statement on what was collected is missing",
    "statement-replayed": "a statement is about another bundle",
    "statement-unreadable": "a statement is none",
    "withheld-unstated": "an item was taken out and no signed statement says so",
    "witness-differs": "the witness has not seen this bundle",
}
"""Faults that mean that somebody, or a failing disk, changed the bundle."""
INCOMPLETE = {"unpinned": "no key was given: it proves that it fits itself, not who made it"}
REMARKS = {
    "absent": "nothing was collected here, and the maker says why",
    "custody-cut": "the custody log is a redacted copy; the chain of the original is withheld",
    "log-key-unconfirmed": "the key of the log of events was taken from the bundle",
    "noted": "what the maker noticed",
    "withheld": "an item is not shown; its hash is sealed",
}


def weight_of(kind: str) -> str:
    """Return `changed`, `incomplete` or `remark`."""
    if kind in CHANGED:
        return "changed"
    return "incomplete" if kind in INCOMPLETE else "remark"


class Fault(NamedTuple):
    """One thing that is not as it should be, or a remark."""

    kind: str
    where: str
    what: str

    @property
    def weight(self) -> str:
        """`changed`, `incomplete` or `remark`."""
        return weight_of(self.kind)
