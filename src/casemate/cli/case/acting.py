"""What each sub-verb of `casemate case` does: one call of a workflow, and its answer printed."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from casemate.records.incident import Incident
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded

    Progress = Callable[[str, int, int], None] | None
    Value = str | int | float | bool

_BEAT = 2.0


@contextmanager
def _opened(args: argparse.Namespace) -> Iterator[tuple[Loaded, Workspace, Progress]]:
    from casemate.cli import terminal
    from casemate.workflows import config
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    with (
        open_workspace(args.store, loaded) as workspace,
        terminal.progress(args.quiet) as progress,
    ):
        yield loaded, workspace, progress


def _by(args: argparse.Namespace) -> str:
    from casemate.workflows import custody

    return custody.named(args.by) if args.by else custody.author()


def open_case(args: argparse.Namespace) -> int:
    """Open a case and print its first report; 1 for an attack, 3 where it cannot be told."""
    from datetime import UTC, datetime

    from casemate.cli.case import showing
    from casemate.workflows import cases, custody, hunting

    now = time.time_ns() // 1000
    since = None if args.since is None else hunting.begin_of(args.since, now)
    aware: datetime | None = None
    if args.aware is not None:
        aware = custody.moment(hunting.begin_of(args.aware, now)).astimezone(UTC)
    with _opened(args) as (loaded, workspace, progress):
        made = cases.open_case(
            loaded, workspace, args.sources, by=_by(args), title=args.title, place=args.telemetry,
            since=since, model=args.model, threat=args.threat, aware=aware, copy=args.copy,
            progress=progress,
        )  # fmt: skip
        view = cases.view(workspace, made.id)
    showing.case(view)
    return _code(made)


def collect(args: argparse.Namespace) -> int:
    """Copy frozen evidence; 3 where something could not be copied."""
    from casemate.cli.terminal import printable
    from casemate.store.cases import CaseBook
    from casemate.workflows import collecting

    with _opened(args) as (loaded, workspace, progress):
        found = CaseBook(workspace).get(args.case)
        made = collecting.collect(loaded, workspace, found, by=_by(args), progress=progress)
    for one in made:
        why = f": {one.why}" if one.why else ""
        print(f"{one.state} {printable(one.name)}{printable(why)}")
    if not made:
        print("nothing was left to copy")
    return 3 if any(one.state in ("absent", "failed") for one in made) else 0


def list_cases(args: argparse.Namespace) -> int:
    """Print the cases."""
    from casemate.cli.case import showing
    from casemate.store.cases import CaseBook

    with _opened(args) as (_, workspace, _progress):
        found = CaseBook(workspace).all()
    showing.cases([one for one in found if args.all or one.state != "closed"], args.format)
    return 0


def show(args: argparse.Namespace) -> int:
    """Print a case, again whenever it changes if that is wanted; 1 where its log was changed."""
    from casemate.cli.case import showing
    from casemate.workflows import cases

    with _opened(args) as (_, workspace, _progress):
        seen = None
        while True:
            view = cases.view(workspace, args.case)
            state = (view.incident.version, len(view.actions), view.orders)
            if state != seen:
                if seen is not None:
                    print("-" * 72)
                if args.format == "json":
                    print(showing.as_json(view), flush=True)
                else:
                    showing.case(view, log=args.log, items=args.evidence)
                    sys.stdout.flush()
                seen = state
            if not args.watch:
                return 1 if view.faults else 0
            time.sleep(_BEAT)


def contain(args: argparse.Namespace) -> int:
    """Contain, or say what it would do; 3 where no guard obeys."""
    from casemate.cli.case import showing
    from casemate.workflows import containing

    given: dict[str, Any] = {
        "by": _by(args),
        "for_": args.for_,
        "reach": args.reach,
        "principals": args.principal,
        "settings": _values(args.settings),
        "approver": args.approver,
    }
    with _opened(args) as (loaded, workspace, progress):
        if args.patch is not None or args.mlflow is not None:
            return _elsewhere(args, loaded, workspace)
        if args.dry_run:
            seen = containing.preview(loaded, workspace, args.case, args.action, **given)
            showing.preview(seen)
            print("nothing was done: this was a dry run")
            return 0
        made = containing.contain(
            loaded, workspace, args.case, args.action, **given, emergency=args.emergency,
            progress=progress,
        )  # fmt: skip
    showing.contained(made)
    acting = {one.writer for one in made.preview.guards if one.mode == "enforce"}
    return 0 if acting & set(made.obeyed) and not made.waiting else 3


def _elsewhere(args: argparse.Namespace, loaded: Loaded, workspace: Workspace) -> int:
    from casemate.cli.terminal import printable
    from casemate.workflows import operating

    if args.patch is not None:
        change = operating.patch(
            loaded, workspace, args.case, args.action, args.patch, by=_by(args),
            principals=args.principal, settings=_values(args.settings),
        )  # fmt: skip
        print(change.text, end="")
        for line in (change.how, *change.notes):
            print(printable(line), file=sys.stderr)
        return 0
    if args.action != "last-good":
        from casemate.errors import UsageError

        raise UsageError("--mlflow sets an alias back", hint="--action last-good")
    moved = operating.set_alias(
        loaded, workspace, args.case, args.mlflow, to=args.to, dry_run=args.dry_run, by=_by(args),
        emergency=args.emergency, settings=_values(args.settings),
    )  # fmt: skip
    for line in moved:
        print(printable(line))
    return 0


def undo(args: argparse.Namespace) -> int:
    """End containments; 3 where a guard has not said that it knows."""
    from casemate.cli.case import showing
    from casemate.workflows import containing

    with _opened(args) as (loaded, workspace, _progress):
        made = containing.undo(loaded, workspace, args.case, args.order, by=_by(args), why=args.why)
    showing.undone(made)
    return 3 if made.waiting else 0


def radius(args: argparse.Namespace) -> int:
    """Print what a case reaches; 3 where something beyond it is not known."""
    import json

    from casemate.cli.case import showing
    from casemate.workflows import lineage, operating

    with _opened(args) as (loaded, workspace, _progress):
        blast = operating.radius(
            loaded, workspace, args.case, by=_by(args), data=args.data, rows=args.rows,
            nodes=args.node,
        )  # fmt: skip
    if args.format == "json":
        print(json.dumps(lineage.blast_as_json(blast), indent=1))
    else:
        showing.radius(blast)
    return 3 if blast.radius.unknown or blast.radius.cut or blast.notes else 0


def playbook(args: argparse.Namespace) -> int:
    """Take steps of the playbook and print where it stands; 3 where a check failed or waits."""
    from casemate.cli.case import showing
    from casemate.workflows import playbooks

    with _opened(args) as (loaded, workspace, _progress):
        made = playbooks.playbook(
            loaded, workspace, args.case, by=_by(args), step=args.step, answer=args.answer,
            skip=args.skip, every=args.all, dry_run=args.dry_run, import_file=args.import_file,
            export=args.export,
        )  # fmt: skip
    showing.playbook(made)
    checked = [one.id for one in made.plan.steps if one.id in made.ran and one.check]
    return 3 if any(made.steps[one].state in ("failed", "waiting") for one in checked) else 0


def check(args: argparse.Namespace) -> int:
    """Make one check; 0 where it is done, 1 where it failed, 3 where it cannot be made yet."""
    import json

    from casemate.cli.terminal import printable
    from casemate.errors import UsageError
    from casemate.workflows import playbooks

    pairs = [word.partition("=") for word in args.arguments]
    for name, sign, _ in pairs:
        if not name or not sign:
            raise UsageError(f"'{name}' is no NAME=VALUE", hint="actions=throttle,block")
    given = {name: value for name, _, value in pairs}
    with _opened(args) as (loaded, workspace, _progress):
        made = playbooks.check(loaded, workspace, args.case, args.name, given)
    if args.format == "json":
        print(json.dumps(made._asdict()))
    else:
        print(printable(f"{made.state}: {made.answer}"))
    return {"done": 0, "failed": 1, "waiting": 3}[made.state]


def paper(args: argparse.Namespace) -> int:
    """Write a paper and say where it lies."""
    from casemate.workflows import papers

    with _opened(args) as (loaded, workspace, _progress):
        path = papers.write_paper(loaded, workspace, args.case, args.kind, by=_by(args))
    print(f"a draft, for a person to check and sign: {path}")
    return 0


def bundle(args: argparse.Namespace) -> int:
    """Pack a case and say how to verify it."""
    from pathlib import Path

    from casemate.cli.terminal import printable
    from casemate.store.cases import CaseBook
    from casemate.workflows import bundling

    with _opened(args) as (loaded, workspace, progress):
        case = CaseBook(workspace).get(args.case)
        out = args.output or Path(case.id)
        made = bundling.bundle(
            loaded, workspace, case, out=out, redact=_listed(args.redact),
            withhold=_listed(args.withhold), by=_by(args), progress=progress,
        )  # fmt: skip
    for remark in made.notes:
        print(f"note: {printable(remark)}")
    print(f"{made.items} items, {made.withheld} withheld, in {made.folder}")
    print(f"root {made.root}")
    print(f"sealed with {made.key}")
    print("verify it anywhere, with the key by another way than the bundle:")
    print(f"  python3 -I -S {made.folder}/verify_bundle.py {made.folder} --key {made.key}")
    return 0


def _listed(given: list[str]) -> list[str]:
    return [one.strip() for part in given for one in part.split(",") if one.strip()]


def note(args: argparse.Namespace) -> int:
    """Put a remark on the log."""
    from casemate.workflows import cases

    return _change(args, lambda workspace, by: cases.note(workspace, args.case, args.text, by=by))


def assign(args: argparse.Namespace) -> int:
    """Give the case to somebody."""
    from casemate.workflows import cases

    return _change(
        args, lambda workspace, by: cases.assign(workspace, args.case, args.owner, by=by)
    )


def tell(args: argparse.Namespace) -> int:
    """Keep what people know."""
    from casemate.workflows import cases

    facts = _values(args.facts)
    return _change(args, lambda workspace, by: cases.tell(workspace, args.case, facts, by=by))


def retype(args: argparse.Namespace) -> int:
    """Handle the case as another type."""
    from casemate.workflows import cases

    return _change(
        args, lambda workspace, by: cases.retype(workspace, args.case, args.threat, by=by)
    )


def close(args: argparse.Namespace) -> int:
    """Close the case."""
    from casemate.workflows import cases

    return _change(args, lambda workspace, by: cases.close(workspace, args.case, args.why, by=by))


def reopen(args: argparse.Namespace) -> int:
    """Open a closed case again."""
    from casemate.workflows import cases

    return _change(args, lambda workspace, by: cases.reopen(workspace, args.case, args.why, by=by))


def _change(args: argparse.Namespace, change: Callable[[Workspace, str], Incident]) -> int:
    from casemate.cli.terminal import printable
    from casemate.store.cases import CaseBook

    with _opened(args) as (_, workspace, _progress):
        made = change(workspace, _by(args))
        last = CaseBook(workspace).log(made.id).actions[-1]
    print(f"{made.id} {made.state}: {printable(last.text)}")
    return 0


def _values(pairs: list[str]) -> dict[str, Value]:
    from casemate.errors import UsageError

    found: dict[str, Value] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or not name:
            raise UsageError(f"'{pair}' is not NAME=VALUE", hint="people_affected=120")
        found[name] = _value(text)
    return found


def _value(text: str) -> Value:
    if text.lower() in ("true", "yes"):
        return True
    if text.lower() in ("false", "no"):
        return False
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if abs(value) < float("inf") else text
    return text


def _code(case: Incident) -> int:
    if case.triage is None or case.triage.assessment == "cannot-tell":
        return 3
    return 1 if case.triage.assessment in ("attack", "probe") else 0
