"""A case with evidence and events, made for tests of bundles without any model."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from casemate.case import evidence
from casemate.case.verifier import one_file
from casemate.records.incident import Triage
from casemate.store.cases import CaseBook
from casemate.store.workspace import Workspace
from casemate.workflows import bundling, config, custody
from casemate.workflows.collecting import folder_of
from tests.case.made import incident
from tests.store.telemetry.places import sealed

CSV = b"name,age,score\nAlice Meyer,41,0.5\nBob Stone,33,0.25\n"


class Made(NamedTuple):
    """A workspace with one case."""

    root: Path
    workspace: Workspace
    case: object
    loaded: object
    folder: Path
    place: object

    def bundle(self, name="bundle", **given):
        case = CaseBook(self.workspace).get(self.case.id)
        given = {"out": self.root / name, "by": "ada", **given}
        return bundling.bundle(self.loaded, self.workspace, case, **given)

    def note(self, text, by="ada"):
        CaseBook(self.workspace).change(self.case.id, custody.action(by, "noted", text))

    def keep(self, name, data, kind="artifact"):
        item = evidence.keep(
            self.folder, name, data, kind=kind, source=name, how="copied", at=datetime.now(UTC)
        )
        evidence.write(self.folder, [item])
        return item


def case(root, monkeypatch, *, rounds=1, **given):
    """Return a workspace with a case that has items, a paper, notes and sealed events."""
    monkeypatch.setenv("CASEMATE_KEYS", str(root / "keys"))
    (root / "casemate.toml").write_text("version = 1\n")
    loaded = config.read(root / "casemate.toml")
    place, sent = sealed(root, rounds=rounds, each=20)
    ids = [f"{one.writer}:{one.sequence}" for one in sent[3:6]]
    triage = Triage(assessment="attack", confidence="firm", events=tuple(ids))
    workspace = Workspace.open(root / ".casemate")
    body = {"triage": triage, "telemetry": str(place.folder), **given}
    found = CaseBook(workspace).open(
        2026,
        lambda ident: (
            incident(id=ident, **body),
            custody.action("ada", "opened", "opened", case=ident),
        ),
    )
    folder = folder_of(workspace, found.id)
    made = Made(root, workspace, found, loaded, folder, place)
    made.note("the first look")
    made.keep("artifacts/model.bin", bytes(range(256)) * 40)
    made.keep("artifacts/people.csv", CSV)
    made.keep("config/casemate.toml", b"version = 1\n", "config")
    (folder / "papers").mkdir()
    (folder / "papers" / "handover.md").write_text("# Handover\nAsk ada.\n")
    return made


def verify(folder, *arguments, program=None):
    """Run the one-file verifier on the system's own Python, isolated; return code and output."""
    program = program or folder / one_file.NAME
    done = subprocess.run(
        [stock(), "-I", "-S", program, folder, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={"PATH": os.defpath},
        cwd="/",
    )
    return done.returncode, done.stdout + done.stderr


def stock():
    """Return a Python that knows nothing of this project."""
    system = Path("/usr/bin/python3")
    return str(system) if system.exists() else sys.executable
