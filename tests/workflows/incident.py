"""A workspace in which something happened: ordinary callers, a search, and its detections."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.records.event import Event
from casemate.store.telemetry.opening import new_writer, open_sink
from casemate.store.workspace import Workspace
from casemate.workflows import hunting
from casemate.workflows.config import Loaded, read
from tests.detect.traffic import World

if TYPE_CHECKING:
    from pathlib import Path

    from casemate.records.detection import Detection

CONFIG = """
version = 1
[guard]
mode = "enforce"
principal = { header = "x-user" }
[model]
data = "rows.csv"
[scan]
paths = ["weights"]
"""


class Scene(NamedTuple):
    """Where it happened, and what was detected."""

    root: Path
    loaded: Loaded
    detections: tuple[Detection, ...]

    def open(self) -> Workspace:
        return Workspace.open(self.root / ".casemate")


def happen(root: Path) -> Scene:
    """Let 40 people ask 300 times and mallory search 300 times; hunt through it."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "casemate.toml").write_text(CONFIG)
    (root / "rows.csv").write_text("a,b\n1,2\n")
    (root / "weights").mkdir()
    (root / "weights" / "w.bin").write_bytes(b"weights" * 1000)
    loaded = read(root / "casemate.toml")
    world = World()
    with Workspace.open(root / ".casemate") as workspace:
        keep(
            workspace.folder / "telemetry",
            world.crowd(300, users=40) + world.search(300, principal="mallory"),
        )
        found = hunting.hunt(loaded, workspace)
    return Scene(root, loaded, found.detections)


def keep(place: Path, made: list[Event]) -> None:
    """Write events to a place as one writer."""
    writer = new_writer()
    sink = open_sink(place, writer)
    kept = []
    for n, event in enumerate(made):
        fields = {name: getattr(event, name) for name in event.__struct_fields__}
        kept.append(Event(**{**fields, "writer": writer, "sequence": n}))
    sink.append(kept)
    sink.close()
