"""Evidence first, never slowly: what a case needs is frozen at once, the bulk is copied later.

Freezing takes records, configuration, the position of the log and the digests of what can be
hashed in time. Collecting copies files and the events of the suspects, and says what it cannot.
"""

from __future__ import annotations

import platform
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from casemate.case import evidence
from casemate.errors import CasemateError, StoreError
from casemate.records.codec import encode
from casemate.records.make import make
from casemate.store.cases import CaseBook
from casemate.workflows import custody
from casemate.workflows.artifacts import Names, artifacts, relative, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from casemate.case.evidence import Item
    from casemate.records.incident import Incident
    from casemate.store.telemetry.sink import EventQuery
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded
    from casemate.workflows.sources import Sources

SECONDS = 60.0
"""Freezing must be done by then; what it cannot hash in that time is hashed when it is copied."""
_HASHING = 20.0
_WRITING = 5.0
"""Of the time for freezing, what is left for the list of items and the log."""
_MARGIN = 3600 * 1_000_000
_MOST_EVENTS = 2_000_000
_SUSPECTS = "events/suspects.jsonl"


def folder_of(workspace: Workspace, case: str) -> Path:
    """Return where a case's evidence and papers lie."""
    return workspace.folder / "cases" / case


def query_of(workspace: Workspace, case: Incident, loaded: Loaded) -> EventQuery | None:
    """Return the events of a case; None where there is no telemetry.

    Raises:
        StoreError: There is, and it cannot be reached or read.
    """
    return query_at(case.telemetry or telemetry_of(workspace, loaded))


def query_at(place: str) -> EventQuery | None:
    """Return the events of a place; None where there is no such folder.

    Raises:
        StoreError: There is, and it cannot be reached or read.
    """
    from casemate.store.telemetry.opening import open_query

    if "://" not in place:
        try:
            next(Path(place).iterdir(), None)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{place} cannot be read: {error.strerror}") from error
    return open_query(place, isolated=False)  # every text is our own


def telemetry_of(workspace: Workspace, loaded: Loaded) -> str:
    """Return where a workspace's events are."""
    return loaded.config.guard.telemetry or str(workspace.folder / "telemetry")


def held_since(workspace: Workspace) -> int | None:
    """Return from when on nothing may be deleted, as a case that is not closed needs it.

    In microseconds since the epoch; None when no case holds anything.
    """
    begins = [
        one.triage.began if one.triage is not None and one.triage.began is not None
        else custody.micros(one.opened)
        for one in CaseBook(workspace).all()
        if one.state != "closed"
    ]  # fmt: skip
    return min(begins) - _MARGIN if begins else None


def freeze(
    loaded: Loaded, workspace: Workspace, case: Incident, *, by: str, sources: Sources
) -> Incident:
    """Freeze what the case rests on, and put on its log what could not be frozen.

    Args:
        loaded: The configuration.
        workspace: Where the case is kept.
        case: The case.
        by: Who asked.
        sources: What it was opened from.

    Raises:
        StoreError: Nothing can be written.
    """
    return _freeze(loaded, workspace, case, by, lambda: sources, PARTS)[0]


PARTS = ("records", "configuration", "log position", "artifacts")
"""What is frozen, in that order; each may fail without the others."""


def _freeze(
    loaded: Loaded,
    workspace: Workspace,
    case: Incident,
    by: str,
    named: Callable[[], Sources],
    parts: Collection[str],
) -> tuple[Incident, dict[str, str]]:
    """Freeze some parts; return the case as it is now and why parts failed, by part."""
    began = time.monotonic()
    folder = folder_of(workspace, case.id)
    items: list[Item] = []
    failed: dict[str, str] = {}
    takes: dict[str, Callable[[], list[Item]]] = {
        "records": lambda: _records(workspace, case, named(), folder),
        "configuration": lambda: _configuration(loaded, folder),
        "log position": lambda: _position(workspace, case, loaded, folder),
        "artifacts": lambda: _artifacts(loaded, workspace, folder, began + SECONDS - _WRITING),
    }
    for name in parts:
        try:
            items += takes[name]()
        except (CasemateError, OSError) as error:
            failed[name] = str(error)
    try:
        evidence.write(folder, items)
    except (CasemateError, OSError) as error:
        failed = {**dict.fromkeys(parts, f"the list of items: {error}"), **failed}
    took = time.monotonic() - began
    waiting = sum(one.state == "frozen" for one in items)
    text = f"{len(items)} items of evidence frozen in {took:.1f} s; {waiting} still to be copied"
    if unread := [one.name for one in items if one.state == "failed"]:
        more = f" and {len(unread) - 4} more" if len(unread) > 4 else ""
        text += f"; cannot be read: {', '.join(unread[:4])}{more}"
    if failed:
        text += f"; not frozen: {'; '.join(f'{name}: {why}' for name, why in failed.items())}"
    changed = CaseBook(workspace).change(
        case.id,
        custody.action(
            by, "frozen", text, outcome="failed" if failed else "done",
            records=tuple(one.digest for one in items if one.digest)[:64],
            details={
                "items": len(items), "seconds": round(took, 3), "waiting": waiting,
                "failed": ", ".join(failed),
            },
        ),
    )  # fmt: skip
    return changed, failed


def _freeze_again(loaded: Loaded, workspace: Workspace, case: Incident, by: str) -> list[Item]:
    """Freeze what could not be when the case was opened; an item for each part that still fails."""
    from casemate.workflows import sources

    frozen = [one for one in CaseBook(workspace).log(case.id).actions if one.kind == "frozen"]
    if any(one.outcome == "done" for one in frozen):
        return []
    said = str(frozen[-1].details.get("failed", "")) if frozen else ""
    parts = [one for one in said.split(", ") if one in PARTS] or PARTS
    named = partial(sources.find, workspace, case.sources)
    failed = _freeze(loaded, workspace, case, by, named, parts)[1]
    now = datetime.now(UTC)
    return [
        evidence.Item(
            name=name, kind="record", state="failed", source=case.id, how="frozen again", at=now,
            why=why,
        )
        for name, why in failed.items()
    ]  # fmt: skip


def collect(
    loaded: Loaded,
    workspace: Workspace,
    case: Incident,
    *,
    by: str,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Item]:
    """Copy what was only frozen, and the events of the suspects around the window.

    What could not be frozen when the case was opened is frozen now. What is gone, changed, cannot
    be read or does not fit on the disk becomes an item that says so.
    """
    lost = _freeze_again(loaded, workspace, case, by)
    made: list[Item] = []
    whole = False
    try:
        for item in _copies(loaded, workspace, case, progress):
            evidence.write(folder_of(workspace, case.id), [item])
            made.append(item)
        whole = True
    finally:  # the log has a line of it however it ended
        if made or not whole:
            _log_copies(workspace, case, by, made, whole=whole)
    return [*lost, *made]


def _log_copies(
    workspace: Workspace, case: Incident, by: str, made: Sequence[Item], *, whole: bool
) -> None:
    bad = [one for one in made if one.state not in ("copied", "changed")]
    text = f"{len(made) - len(bad)} items of evidence copied"
    if bad:
        text += "; not copied: " + "; ".join(f"{one.name} ({one.why})" for one in bad)
    if not whole:
        text += "; it was broken off"
    CaseBook(workspace).change(
        case.id,
        custody.action(
            by, "collected", text, outcome="failed" if bad or not whole else "done",
            records=tuple(one.digest for one in made if one.digest)[:64],
            details={"items": len(made), "bytes": sum(one.bytes or 0 for one in made)},
        ),
    )  # fmt: skip


def _copies(
    loaded: Loaded,
    workspace: Workspace,
    case: Incident,
    progress: Callable[[str, int, int], None] | None,
) -> Iterator[Item]:
    """Yield each item that was only frozen, or could not be read then, as it is now."""
    folder = folder_of(workspace, case.id)
    now = datetime.now(UTC)
    known = evidence.read(folder)
    for item in known:
        if item.state == "frozen" or (item.state == "failed" and item.kind == "artifact"):
            path = loaded.root / item.source
            yield evidence.copy(folder, item, path, at=now, progress=progress)
    if not any(one.name == _SUSPECTS and one.copy for one in known):
        try:
            found = _suspects(workspace, case, loaded, folder, progress)
        except (CasemateError, OSError) as error:
            found = evidence.Item(
                name=_SUSPECTS, kind="events", state="failed", source="telemetry",
                how="queried from the telemetry", at=now, why=str(error),
            )  # fmt: skip
        if found is not None:
            yield found


def _records(workspace: Workspace, case: Incident, sources: Sources, folder: Path) -> list[Item]:
    from casemate.store.orders import OrderBook

    now = datetime.now(UTC)

    def put(name: str, data: bytes, source: str) -> Item:
        return evidence.keep(
            folder, name, data, kind="record", source=source, how="written from the workspace",
            at=now,
        )  # fmt: skip

    found = [put("records/incident-as-opened.json", encode(case), case.id)]
    for group in (sources.detections, sources.findings, sources.trials):
        for one in group:
            ident = getattr(one, "id", None) or getattr(one, "fingerprint", "")
            found.append(put(f"records/{ident}.json", encode(one), str(ident)))
    orders = OrderBook(workspace).active(now)
    found.append(put("records/orders-in-force.json", b"\n".join(map(encode, orders)), "orders"))
    return found


def _configuration(loaded: Loaded, folder: Path) -> list[Item]:
    import sys
    from importlib import metadata

    import casemate

    now = datetime.now(UTC)
    found = []
    names = Names(folder)
    for path in filter(None, (loaded.path, *_beside(loaded))):
        if not path.is_file():
            continue
        source = relative(path, loaded.root)
        found.append(
            evidence.keep(
                folder, names.of(f"config/{safe(path.name)}", source), path.read_bytes(),
                kind="config", source=source, how="copied", at=now,
            )
        )  # fmt: skip
    packages = {str(one.metadata["Name"]): one.version for one in metadata.distributions()}
    facts = {
        "casemate": casemate.__version__,
        "python": sys.version,
        "platform": platform.platform(),
        "packages": dict(sorted(packages.items())),
    }
    found.append(
        evidence.keep(
            folder, "environment.json", msgspec.json.format(msgspec.json.encode(facts)),
            kind="environment", source="this machine", how="asked of the interpreter", at=now,
        )
    )  # fmt: skip
    return found


def _beside(loaded: Loaded) -> Iterator[Path]:
    table = loaded.config
    for named in (table.guard.contract, table.gate.against):
        if named:
            yield loaded.root / named


def _position(workspace: Workspace, case: Incident, loaded: Loaded, folder: Path) -> list[Item]:
    """Freeze how far each writer's record goes and the newest signed checkpoint."""
    now = datetime.now(UTC)
    place = case.telemetry or telemetry_of(workspace, loaded)
    query = query_of(workspace, case, loaded)
    if query is None:
        return [_absent("log/position.json", "log", place, "there are no events on record", now)]
    rows = query.sql(
        'SELECT writer, min("sequence"), max("sequence"), min("at"), max("at"), count(*) '
        "FROM events GROUP BY writer ORDER BY writer"
    )[1]
    names = ("writer", "first", "last", "began", "ended", "events")
    body = [dict(zip(names, row, strict=True)) for row in rows]
    found = [
        evidence.keep(
            folder, "log/position.json", msgspec.json.format(msgspec.json.encode(body)),
            kind="log", source=place, how="queried from the telemetry", at=now,
        )
    ]  # fmt: skip
    note = Path(place) / "log" / "checkpoints"
    if "://" not in place and note.is_file():
        found.append(
            evidence.keep(
                folder, "log/checkpoints", note.read_bytes(), kind="log",
                source=relative(note, loaded.root), how="copied", at=now,
            )
        )  # fmt: skip
    else:
        found.append(
            _absent("log/checkpoints", "log", place, "nothing of it has been sealed yet", now)
        )
    return found


def _artifacts(loaded: Loaded, workspace: Workspace, folder: Path, until: float) -> list[Item]:
    """Freeze the files of model and data: the digest where it is had in time, else the place."""
    now = datetime.now(UTC)
    until = min(until, time.monotonic() + _HASHING)
    names = Names(folder)
    found = []
    for path in artifacts(loaded, workspace):
        source = relative(path, loaded.root)
        digest, size, why = None, None, None
        try:
            digest, size = evidence.digest_within(path, until)
        except OSError as error:
            why = str(error.strerror)
        found.append(
            make(
                evidence.Item, name=names.of(f"artifacts/{safe(source)}", source),
                kind="artifact", state="frozen" if why is None else "failed", source=source,
                how="hashed" if digest else "noted", at=now, digest=digest, frozen_digest=digest,
                bytes=size, why=why,
            )
        )  # fmt: skip
    return found


def _suspects(
    workspace: Workspace,
    case: Incident,
    loaded: Loaded,
    folder: Path,
    progress: Callable[[str, int, int], None] | None,
) -> Item | None:
    from casemate.store.telemetry.sink import Filter

    query = query_of(workspace, case, loaded)
    triage = case.triage
    if query is None or triage is None or triage.began is None or not triage.suspects:
        return None
    began, until = triage.began - _MARGIN, (triage.ended or triage.began) + _MARGIN
    count = 0

    def lines() -> Iterator[bytes]:
        nonlocal count
        for suspect in triage.suspects:
            wanted = Filter(since=began, until=until, principal=suspect.principal)
            for one in query.scan(wanted):
                if count >= _MOST_EVENTS:
                    return
                count += 1
                if progress is not None and count % 4096 == 0:
                    progress("copy: events of the suspects", count, max(count, triage.queries))
                yield encode(one) + b"\n"

    made = evidence.keep(
        folder, _SUSPECTS, lines(), kind="events", source="telemetry",
        how="queried from the telemetry", at=datetime.now(UTC),
    )  # fmt: skip
    if count >= _MOST_EVENTS:
        made = msgspec.structs.replace(made, why=f"only the first {_MOST_EVENTS:,} events")
    return made


def events_of(
    workspace: Workspace, case: Incident, loaded: Loaded, folder: Path, wanted: Sequence[str]
) -> list[Item]:
    """Keep the events that a triage names; an item, or none where it names none."""
    from casemate.workflows.sources import events_named

    query = query_of(workspace, case, loaded)
    if query is None or not wanted:
        return []
    events = events_named(query, wanted)
    return [
        evidence.keep(
            folder, "events/evidence.jsonl", (encode(one) + b"\n" for one in events),
            kind="events", source="telemetry", how="queried from the telemetry",
            at=datetime.now(UTC),
        )
    ]  # fmt: skip


def _absent(name: str, kind: Any, source: str, why: str, at: datetime) -> Item:
    return evidence.Item(
        name=name, kind=kind, state="absent", source=source, how="looked for", at=at, why=why
    )
