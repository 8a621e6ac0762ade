"""`casemate verify PATH`: is the record of what happened whole, and where is it not?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from casemate.store.telemetry.verify import Verification

_CODE = {"whole": 0, "changed": 1, "incomplete": 3}


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "verify",
        help="check that the telemetry is whole, or say where it is not",
        description="Check telemetry against its signed log, or the proof of one event. "
        "Exit code 0: whole; 1: something was changed; 3: something is open.",
    )
    parser.add_argument(
        "path", type=options.path, metavar="PATH", help="telemetry, a workspace, or a proof"
    )
    parser.add_argument(
        "--witness", type=options.path, metavar="DIR", help="second place of the checkpoints"
    )
    parser.add_argument(
        "--public-key", type=options.path, metavar="FILE", help="key that signs the log"
    )
    parser.add_argument(
        "--events", action="store_true", help="hash every event on its own as well; slower"
    )
    parser.add_argument(
        "--prove", metavar="ID", help="write the proof that event WRITER:SEQUENCE is in the log"
    )
    parser.add_argument(
        "-o", "--output", type=options.path, metavar="FILE", help="write the proof there"
    )
    parser.add_argument("--json", action="store_true", help="write the result as JSON")
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify, print, return the exit code."""
    from casemate.cli import terminal
    from casemate.workflows import verifying

    if args.prove is not None:
        return _prove(verifying.prove_event(args.path, args.prove), args.output)
    if args.path.is_file():
        return _proof(args.path, args.public_key)
    with terminal.progress(args.quiet) as progress:
        found = verifying.verify_telemetry(
            args.path,
            witness=args.witness or verifying.witness_of(args.path),
            public_key=args.public_key,
            events=args.events,
            progress=progress,
        )
    if args.json:
        _json(found)
    else:
        _print(found)
    return _CODE[found.answer]


def _prove(proof: bytes, output: Path | None) -> int:
    from casemate.errors import UsageError

    if output is None:
        print(proof.decode(), end="")
        return 0
    try:
        output.write_bytes(proof)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from error
    return 0


def _proof(path: Path, public_key: Path | None) -> int:
    from casemate.cli.terminal import printable
    from casemate.errors import StoreError
    from casemate.workflows import verifying

    try:
        event = verifying.check_proof(path, public_key)
    except StoreError as error:
        print(f"changed: {printable(str(error))}")
        return 1
    who = printable(event.principal) or "nobody named"
    print(f"whole: event {event.writer}:{event.sequence} by {who} is in the log")
    return 0


def _print(found: Verification) -> None:
    from casemate.cli.terminal import printable, table

    if found.faults:
        table(
            ("weight", "fault", "where", "what"),
            [(fault.weight, fault.kind, fault.where, fault.what) for fault in found.faults],
            wide=3,
        )
        print()
    print(
        f"{printable(found.answer)}: {found.events} sealed events in {found.segments} segments "
        f"({found.bytes} bytes) under {found.checkpoints} checkpoints; "
        f"{found.unsealed} not sealed yet"
    )


def _json(found: Verification) -> None:
    import json

    body = {**found._asdict(), "answer": found.answer}
    body["faults"] = [{**fault._asdict(), "weight": fault.weight} for fault in found.faults]
    print(json.dumps(body, indent=2))
