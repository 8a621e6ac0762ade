"""What `casemate vuln affected` prints: statements, what could not be told, how far it looked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from casemate.export.csaf import Publisher
    from casemate.records.vulnerability import Applies
    from casemate.workflows.affected import Answers

_SHOWN = ("affected", "under-investigation")


def run(args: argparse.Namespace, publisher: Publisher) -> int:
    """Answer, and return 1 where something is affected, 3 where that cannot be told."""
    import msgspec

    from casemate.cli import terminal
    from casemate.workflows import config
    from casemate.workflows.affected import affected, vex
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    with (
        open_workspace(args.store, loaded) as workspace,
        terminal.progress(args.quiet or args.json or args.vex) as progress,
    ):
        found = affected(
            loaded,
            workspace,
            environments=args.environment,
            requirements=args.requirements,
            sboms=args.sbom,
            files=args.paths,
            notices=args.advisories,
            progress=progress,
        )
    if args.vex:
        write(vex(found, publisher), args.output)
    elif args.json:
        body = {"applies": found.applies, "looked_at": found.looked_at, "open": found.open}
        write(msgspec.json.format(msgspec.json.encode(body), indent=2) + b"\n", args.output)
    else:
        _print(found, whole=args.all)
    return found.exit_code


def write(body: bytes, output: Path | None) -> None:
    """Write bytes to a file or to stdout."""
    import sys

    from casemate.errors import UsageError

    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(body)
        return
    try:
        output.write_bytes(body)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from error
    print(f"wrote {output}", file=sys.stderr)


def _print(found: Answers, *, whole: bool) -> None:
    from casemate.cli import terminal
    from casemate.cli.terminal import printable

    shown = [one for one in found.applies if whole or one.product.status in _SHOWN]
    rows = _rows(shown, whole)
    if rows:
        terminal.table(("status", "what", "weakness", "cvss", "why", "what to do"), rows, wide=4)
        print()
    for one in found.open:
        print(f"cannot be told: {printable(one)}")
    counted = dict.fromkeys(("affected", "under-investigation", "fixed", "not-affected"), 0)
    for answer in found.applies:
        counted[answer.product.status] += 1
    told = ", ".join(f"{number} {word.replace('-', ' ')}" for word, number in counted.items())
    print(f"{told}{'' if whole else ' (--all shows each)'}")
    print(f"looked at: {printable('; '.join(found.looked_at))}")


def _rows(answers: Sequence[Applies], whole: bool) -> list[tuple[str, ...]]:
    """Return a row for each answer; a thing of which nothing is known stands there once."""
    groups: dict[tuple[str, ...], list[Applies]] = {}
    for one in answers:
        alone = whole or one.product.status != "under-investigation"
        reason = one.vulnerability if alone else ""
        key = (one.product.name, *one.product.versions, one.product.status, reason)
        groups.setdefault(key, []).append(one)
    return [_row(of[0], len(of)) for of in groups.values()]


def _row(one: Applies, times: int) -> tuple[str, ...]:
    version = f" {one.product.versions[0]}" if one.product.versions else ""
    score = "-" if one.score is None or one.score.value is None else f"{one.score.value:.1f}"
    name = next((it for it in one.aliases if it.startswith("CVE-")), one.vulnerability)
    status = one.product.status.replace("-", " ")
    what = f"{one.product.name}{version}"
    if times > 1:
        return (status, what, f"{times} of them", "-", f"{one.because}, and so on", "-")
    return (status, what, name, score, f"{one.title}: {one.because}", one.action or "-")
