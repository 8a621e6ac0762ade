"""Am I affected? What is here, against published advisories and the weaknesses tracked here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import CasemateError
from casemate.export.coverage import is_complete
from casemate.scan import scan
from casemate.store.lineage import LineageBook
from casemate.store.vulnerabilities import VulnerabilityBook
from casemate.vuln import advisories, applies, inventory
from casemate.vuln.inventory import Thing
from casemate.workflows import callers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from casemate.export.csaf import Publisher
    from casemate.records.vulnerability import Applies
    from casemate.store.workspace import Workspace
    from casemate.vuln.inventory import Inventory
    from casemate.workflows.config import Loaded

_ORDER = ("affected", "under-investigation", "fixed", "not-affected")

_UNSEEN = "no model file was looked at"


class Answers(NamedTuple):
    """What concerns us, and how far was looked."""

    applies: tuple[Applies, ...]
    """The affected first."""
    looked_at: tuple[str, ...]
    """In words, what was held against what."""
    open: tuple[str, ...]
    """What could not be looked at, and why; each may hide something that is affected."""

    @property
    def exit_code(self) -> int:
        """1 where something is affected, 3 where that cannot be told, else 0.

        What was not looked at is open, and so never 0.
        """
        statuses = {one.product.status for one in self.applies}
        if "affected" in statuses:
            return 1
        return 3 if self.open or "under-investigation" in statuses else 0


def affected(
    loaded: Loaded,
    workspace: Workspace,
    *,
    environments: Sequence[Path] = (),
    requirements: Sequence[Path] = (),
    sboms: Sequence[Path] = (),
    files: Sequence[str | Path] = (),
    notices: Sequence[Path] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> Answers:
    """Hold everything that is here against everything that is known.

    Args:
        loaded: The configuration: its model, endpoints and components are things that are here.
        workspace: Its tracked weaknesses and its lineage.
        environments: Folders of Python environments; without any list of packages, the one that
            runs this.
        requirements: Requirements files.
        sboms: Bills of materials, CycloneDX or SPDX 2 in JSON.
        files: Model files and folders, which are scanned.
        notices: Further advisories in OSV's form, besides those of the catalog.
        progress: Called with (what, done, total).

    Raises:
        UsageError: A file or folder is not there or is not what it should be.
    """
    known = [*advisories.published(), *(it for one in notices for it in advisories.of_folder(one))]
    places = [inventory.environment(one) for one in environments]
    places += [inventory.requirements(one) for one in requirements]
    places += [inventory.sbom(one) for one in sboms]
    whole = not places and not files
    if not places:
        places = [inventory.environment()]
    found = [it for place in places for it in applies.to_packages(known, place)]
    looked = [f"{len(known)} advisories", *(_told(one) for one in places)]
    things = [*_configured(loaded), *_models(places)]
    unsure = [f"{one.where}: no package was found there" for one in places if not one.things]
    if files:
        report = scan(files, root=loaded.root, digest=True, progress=progress)
        found += applies.to_files(known, report.findings)
        things += [
            Thing("file", one.target.uri, "scanned", digest=one.target.digest)
            for one in report.verdicts
        ]
        unsure += [
            f"{one.target.uri}: {one.reasons[0] if one.reasons else 'not read whole'}"
            for one in report.verdicts
            if not is_complete(one)
        ]
        looked.append(f"{len(report.verdicts)} files")
        if not report.verdicts:
            unsure.append(_UNSEEN)
    nodes, trouble = _lineage(workspace)
    things += nodes
    unsure += trouble
    if whole and not things:
        unsure.append(_UNSEEN)
    tracked = VulnerabilityBook(workspace).all()
    concerned = {one.vulnerability for one in applies.to_tracked(tracked, things)}
    # Answers are handed on as VEX, which names nobody.
    told = [callers.weakness_without(workspace, it) for it in tracked if it.id in concerned]
    found += applies.to_tracked(told, things)
    looked.append(f"{len(tracked)} tracked weaknesses against {len(things)} models and files")
    found.sort(key=lambda one: (_ORDER.index(one.product.status), one.product.name))
    return Answers(tuple(found), tuple(looked), tuple(unsure))


def vex(answers: Answers, publisher: Publisher) -> bytes:
    """Return answers as VEX, in CSAF 2.0."""
    from casemate.export import vex as form

    now = datetime.now(UTC)
    return form.write(
        answers.applies, publisher, ident=f"casemate-vex-{now:%Y%m%dT%H%M%SZ}", at=now
    )


def _told(place: Inventory) -> str:
    rest = "" if place.complete else ", which need not be all"
    return f"{len(place.things)} packages and models of {place.where}{rest}"


def _models(places: Sequence[Inventory]) -> list[Thing]:
    return [thing for place in places for thing in place.things if thing.kind == "model"]


def _configured(loaded: Loaded) -> Iterator[Thing]:
    where = loaded.path.name if loaded.path else "no configuration"
    if loaded.config.model.target:
        yield Thing("model", loaded.config.model.target, where)
    for one in loaded.config.component:
        if one.kind == "model" or one.kind == "endpoint":
            for name in filter(None, (one.name, one.uri)):
                yield Thing(one.kind, name, where)


def _lineage(workspace: Workspace) -> tuple[list[Thing], list[str]]:
    """Return the models the lineage knows, or why they cannot be read."""
    try:
        nodes = LineageBook(workspace).nodes(
            ("model", "version", "checkpoint", "deployment", "file", "dataset")
        )
    except CasemateError as error:
        return [], [f"the lineage cannot be read: {error}"]
    return [Thing("model", one.name, one.id, digest=one.digest) for one in nodes], []
