"""Pieces of a case: everything that belongs into its bundle, or the reason why it is not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from casemate.case import evidence
from casemate.case.bundle.piece import Piece
from casemate.errors import CasemateError, StoreError, UsageError
from casemate.records.codec import encode
from casemate.store.cases import CaseBook
from casemate.workflows.collecting import folder_of, query_of, telemetry_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from casemate.records.event import Event
    from casemate.records.incident import Incident
    from casemate.store.telemetry.proof import Proof
    from casemate.store.telemetry.sink import EventQuery
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded

BECAUSE = {
    "artifact": "no model or data file was collected for this case",
    "config": "no configuration was collected for this case",
    "detection": "the case was opened from no detection",
    "environment": "nothing of the environment was collected for this case",
    "events": "no events were collected for this case",
    "finding": "the case was opened from no finding or trial",
    "log": "nothing of the log's state was collected for this case",
    "order": "no containment was ordered for this case",
    "paper": "no paper was written for this case",
    "payload": "no payload was collected for this case",
    "record": "no record was collected for this case",
    "telemetry": "the case rests on no event on record",
    "vulnerability": "no vulnerability was tracked for this case",
}
"""For each producer that may have given nothing, what is said if so."""
_MOST_EVENTS = 512


def pieces_of(
    loaded: Loaded, workspace: Workspace, case: Incident, notes: list[str]
) -> Iterator[Piece]:
    """Yield everything that belongs to a case.

    Args:
        loaded: The configuration.
        workspace: Where the case is kept.
        case: The case.
        notes: What is odd is added to it.
    """
    folder = folder_of(workspace, case.id)
    book = CaseBook(workspace)
    now = book.get(case.id)
    notes += [f"custody log: {one}" for one in book.log(case.id).faults]
    custody_log = b"".join(line + b"\n" for line in book.lines(case.id))
    yield _piece("case/custody.jsonl", "custody", "case", custody_log)
    yield _piece("case/incident.json", "record", "case", encode(now) + b"\n")
    yield from _records(workspace, now)
    yield from _items(folder, notes)
    yield from _papers(folder)
    yield from _events(loaded, workspace, now, notes)


def _piece(name: str, kind: str, producer: str, data: bytes) -> Piece:
    return Piece(name=name, kind=kind, producer=producer, data=data, size=len(data))


def _absent(name: str, kind: str, producer: str, why: str) -> Piece:
    return Piece(name=name, kind=kind, producer=producer, why=why)


def _records(workspace: Workspace, case: Incident) -> Iterator[Piece]:
    from casemate.store.orders import OrderBook
    from casemate.store.vulnerabilities import VulnerabilityBook
    from casemate.workflows import sources

    for ident in case.sources:
        try:
            found = sources.find(workspace, [ident])
        except UsageError as error:
            yield _absent(f"case/sources/{ident}.json", "record", "case", str(error))
            continue
        for seen in found.detections:
            yield _piece(f"case/detections/{seen.id}.json", "record", "detection", encode(seen))
        for one in found.findings:
            name = f"case/findings/{one.fingerprint}.json"
            yield _piece(name, "record", "finding", encode(one))
        for trial in found.trials:
            yield _piece(f"case/trials/{trial.id}.json", "record", "finding", encode(trial))
    for _, order in OrderBook(workspace).history():
        if order.id in case.orders or order.undoes in case.orders:
            yield _piece(f"case/orders/{order.id}.json", "record", "order", encode(order))
    tracked = {one.id: one for one in VulnerabilityBook(workspace).all()}
    for name in case.vulnerabilities:
        if name in tracked:
            data = encode(tracked[name])
            yield _piece(f"case/vulnerabilities/{name}.json", "record", "vulnerability", data)


def _items(folder: Path, notes: list[str]) -> Iterator[Piece]:
    listed = folder / evidence.LIST
    if listed.exists():
        yield _piece("case/items.jsonl", "record", "case", listed.read_bytes())
    try:
        items = evidence.read(folder)
    except StoreError as error:
        notes.append(f"the list of items cannot be read, so all that lies there is here: {error}")
        for path in sorted((folder / evidence.COPIES).iterdir()):
            if path.is_file() and not path.is_symlink():
                size = path.stat().st_size
                yield Piece(
                    name=f"items/unlisted/{path.name}", kind="artifact", producer="artifact",
                    file=path, size=size,
                )  # fmt: skip
        return
    for item in items:
        name = f"items/{item.name}"
        copy = folder / evidence.COPIES / item.copy if item.copy else None
        if copy is None:
            digest = f": {item.frozen_digest}" if item.frozen_digest else ""
            why = item.why or f"it was {item.state}, its bytes were not copied{digest}"
        elif copy.is_symlink() or not copy.is_file():
            copy, why = None, "its copy is gone from the case's folder"
        else:
            yield Piece(
                name=name, kind=item.kind, producer=item.kind, file=copy,
                size=copy.stat().st_size, digest=item.digest, why=item.why,
            )  # fmt: skip
            continue
        yield _absent(name, item.kind, item.kind, why)


def _papers(folder: Path) -> Iterator[Piece]:
    papers = folder / "papers"
    for path in sorted(papers.rglob("*")) if papers.is_dir() else ():
        if path.is_file() and not path.is_symlink():
            shown = os.fsencode(path.relative_to(papers).as_posix())
            name = f"papers/{shown.decode('utf-8', 'backslashreplace')}"
            size = path.stat().st_size
            yield Piece(name=name, kind="paper", producer="paper", file=path, size=size)


def _events(
    loaded: Loaded, workspace: Workspace, case: Incident, notes: list[str]
) -> Iterator[Piece]:
    """Yield the events the case rests on, each with its proof, and what the proofs rest on."""
    from casemate.store.telemetry.columns import event, unpack
    from casemate.store.telemetry.proof import Proof, to_json

    wanted = _wanted(workspace, case, notes)
    if not wanted:
        return
    place = _local(case.telemetry or telemetry_of(workspace, loaded))
    proofs = _proofs(place, wanted)
    query = query_of(workspace, case, loaded)
    rest = [one for one in wanted if not isinstance(proofs.get(one), Proof)]
    try:
        events = _unproved(query, rest) if query is not None else {}
    except CasemateError as error:
        notes.append(f"events that no proof shows could not be asked for: {error}")
        events = {}
    for ident in wanted:
        name = f"events/{ident.replace(':', '-')}"
        proof = proofs.get(ident, "it is in no signed log")
        if isinstance(proof, Proof):
            shown = event(unpack(proof.row, proof.columns))
        elif ident in events:
            shown = events[ident]
        else:
            yield _absent(f"{name}.json", "event", "telemetry", "it is not on record any more")
            continue
        yield _piece(f"{name}.json", "event", "telemetry", encode(shown) + b"\n")
        if isinstance(proof, Proof):
            piece = _piece(f"{name}.proof.json", "proof", "telemetry", to_json(proof))
            yield msgspec.structs.replace(piece, beside=f"{name}.json")
        else:
            yield _absent(f"{name}.proof.json", "proof", "telemetry", proof)
    for source, name in (("checkpoints", "log/checkpoints"), ("log.pub", "log/log.pub")):
        path = None if place is None else place / "log" / source
        if path is not None and path.is_file():
            yield _piece(name, "log", "telemetry", path.read_bytes())


def _wanted(workspace: Workspace, case: Incident, notes: list[str]) -> list[str]:
    """Return the ids of the events the case names, each once."""
    from casemate.workflows import sources

    named = list(case.triage.events) if case.triage is not None else []
    for ident in case.sources:
        try:
            found = sources.find(workspace, [ident])
        except UsageError:
            continue
        named += found.events
        for seen in found.detections:
            named += seen.events
    wanted = list(dict.fromkeys(named))
    if len(wanted) > _MOST_EVENTS:
        notes.append(f"of {len(wanted)} events the case names, the first {_MOST_EVENTS} are here")
    return wanted[:_MOST_EVENTS]


def _unproved(query: EventQuery, wanted: Sequence[str]) -> dict[str, Event]:
    """Return the events that are on record but not in a signed log."""
    from casemate.store.telemetry.sink import Filter

    if not wanted:
        return {}
    pairs = [one.rpartition(":") for one in wanted]
    writers, sequences = {one[0] for one in pairs}, {int(one[2]) for one in pairs}
    marks = ", ".join("?" * len(writers)), ", ".join("?" * len(sequences))
    rows = query.sql(
        f'SELECT writer, "sequence", "at" FROM events '  # noqa: S608 - marks only
        f'WHERE writer IN ({marks[0]}) AND "sequence" IN ({marks[1]})',
        [*writers, *sequences],
    )[1]
    found = {}
    for writer, sequence, at in rows:
        ident = f"{writer}:{sequence}"
        for one in query.scan(Filter(since=int(at), until=int(at) + 1, writer=writer)):
            if ident in wanted and one.sequence == sequence:
                found[ident] = one
    return found


def _proofs(place: Path | None, wanted: Sequence[str]) -> dict[str, Proof | str]:
    """Return the proof of each event, or why there is none."""
    from casemate.store.telemetry.proof import Proof, prove_all

    if place is None:
        return {}
    pairs = [(writer, int(number)) for writer, _, number in (w.rpartition(":") for w in wanted)]
    try:
        proofs = prove_all(place, pairs)
    except (CasemateError, OSError) as error:
        return dict.fromkeys(wanted, str(error))
    return {
        f"{writer}:{sequence}": found if isinstance(found, Proof) else str(found)
        for (writer, sequence), found in proofs.items()
    }


def _local(place: str) -> Path | None:
    return None if "://" in place else Path(place)
