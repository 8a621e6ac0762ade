"""Telemetry that is sealed, with its key and its witness."""

from pathlib import Path
from typing import NamedTuple

from casemate.store.telemetry.journal import Journal
from casemate.store.telemetry.keys import public_pem, signing_key
from casemate.store.telemetry.seal import seal
from tests.store.telemetry.samples import WRITER, events


class Place(NamedTuple):
    folder: Path
    witness: Path
    key: object
    public: Path

    def seal(self, **settings):
        return seal(self.folder, self.key, witness=self.witness, **settings)


def place(root):
    key = signing_key(root / "keys" / "log.pem", root / "telemetry")
    public = root / "keys" / "log.pub"
    public.write_bytes(public_pem(key.public_key()))
    return Place(root / "telemetry", root / "witness", key, public)


def sealed(root, rounds=5, each=40):
    """Return a place with a few checkpoints, the writer ended, and the events in it."""
    made = place(root)
    sent = []
    for number in range(rounds):
        writer = f"{WRITER[:-1]}{number:x}"
        batch = events(each, writer=writer, seed=number)
        journal = Journal(made.folder, writer, window=0)
        journal.append(batch)
        journal.close()
        made.seal()
        sent += batch
    return made, sent
