"""`casemate verify PATH`: is the record of what happened whole, and where is it not?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from casemate.case.verifier.folder import Bundle
    from casemate.store.telemetry.verify import Verification

_CODE = {"whole": 0, "changed": 1, "incomplete": 3}


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "verify",
        help="check that telemetry or a bundle is whole, or say where it is not",
        description="Check telemetry against its signed log, an evidence bundle against its seal, "
        "or the proof of one event or item. "
        "Exit code 0: whole; 1: something was changed; 3: something is open.",
    )
    parser.add_argument(
        "path",
        type=options.path,
        metavar="PATH",
        help="telemetry, a workspace, a bundle, or a proof",
    )
    parser.add_argument(
        "--witness", type=options.path, metavar="DIR", help="second place of the checkpoints"
    )
    parser.add_argument(
        "--public-key",
        metavar="KEY",
        help="key that signs the log or the bundle: a file, or ed25519:...",
    )
    parser.add_argument(
        "--log-key", metavar="KEY", help="for a bundle: key of the log its events are from"
    )
    parser.add_argument(
        "--events", action="store_true", help="hash every event on its own as well; slower"
    )
    parser.add_argument(
        "--prove",
        metavar="ID",
        help="write the proof that event WRITER:SEQUENCE is in the log, or an item in the bundle",
    )
    parser.add_argument(
        "-o", "--output", type=options.path, metavar="FILE", help="write the proof there"
    )
    parser.add_argument(
        "--file", type=options.path, metavar="FILE", help="for the proof of an item: its file"
    )
    parser.add_argument(
        "--verifier",
        type=options.path,
        metavar="FILE",
        help="for a bundle: write the one-file verifier there, for those without casemate",
    )
    parser.add_argument("--json", action="store_true", help="write the result as JSON")
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify, print, return the exit code."""
    from casemate.cli import terminal
    from casemate.workflows import verifying

    if args.verifier is not None:
        return _prove(verifying.verifier(), args.verifier)
    is_bundle = args.path.is_dir() and verifying.is_bundle(args.path)
    if args.prove is not None:
        prove = verifying.prove_item if is_bundle else verifying.prove_event
        return _prove(prove(args.path, args.prove), args.output)
    if args.path.is_file():
        if verifying.is_item_proof(args.path):
            return _item(args)
        return _proof(args.path, options.path(args.public_key) if args.public_key else None)
    if is_bundle:
        return _bundle(args)
    with terminal.progress(args.quiet) as progress:
        found = verifying.verify_telemetry(
            args.path,
            witness=args.witness or verifying.witness_of(args.path),
            public_key=options.path(args.public_key) if args.public_key else None,
            events=args.events,
            progress=progress,
        )
    if args.json:
        _json(found)
    else:
        _print(found)
    return _CODE[found.answer]


def _bundle(args: argparse.Namespace) -> int:
    from casemate.cli import terminal
    from casemate.workflows import verifying

    with terminal.progress(args.quiet) as progress:
        found = verifying.verify_bundle(
            args.path,
            keys=[args.public_key] if args.public_key else [],
            log_keys=[args.log_key] if args.log_key else [],
            witness=args.witness,
            progress=progress,
        )
    if args.json:
        _bundle_json(found)
    else:
        _faults([fault for fault in found.faults if fault.weight != "remark"])
        remarks = [fault for fault in found.faults if fault.weight == "remark"]
        for fault in remarks:
            print(terminal.printable(f"{fault.kind}: {fault.where}: {fault.what}"))
        if found.left_out:
            print(f"... and {found.left_out} more")
        print(terminal.printable(found.answer))
        print("\n".join(map(terminal.printable, verifying.proved(found))))
    return _CODE[found.answer]


def _bundle_json(found: Bundle) -> None:
    import json

    from casemate.workflows import verifying

    body = {
        "answer": found.answer,
        "case": found.checkpoint.case if found.checkpoint else None,
        "sealed": found.checkpoint.sealed if found.checkpoint else None,
        "items": found.items,
        "files": found.shown,
        "bytes": found.bytes,
        "withheld": len(found.withheld),
        "events": found.events,
        "faults": [{**fault._asdict(), "weight": fault.weight} for fault in found.faults],
        "faults_left_out": found.left_out,
        "proved": verifying.proved(found),
    }
    print(json.dumps(body, indent=2))


def _item(args: argparse.Namespace) -> int:
    from casemate.cli.terminal import printable
    from casemate.errors import StoreError
    from casemate.workflows import verifying

    keys = [args.public_key] if args.public_key else []
    try:
        item = verifying.check_item(args.path, keys, args.file)
    except StoreError as error:
        print(f"changed: {printable(str(error))}")
        return 1
    said = f"{item['name']} was sealed for {item['case']} on {item['sealed']}"
    print(f"whole: {printable(said)}")
    return 0


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
    from casemate.cli.terminal import printable

    _faults(found.faults)
    print(
        f"{printable(found.answer)}: {found.events} sealed events in {found.segments} segments "
        f"({found.bytes} bytes) under {found.checkpoints} checkpoints; "
        f"{found.unsealed} not sealed yet"
    )


def _faults(faults: Sequence[Any]) -> None:
    from casemate.cli.terminal import table

    if faults:
        rows = [(fault.weight, fault.kind, fault.where, fault.what) for fault in faults]
        table(("weight", "fault", "where", "what"), rows, wide=3)
        print()


def _json(found: Verification) -> None:
    import json

    body = {**found._asdict(), "answer": found.answer}
    body["faults"] = [{**fault._asdict(), "weight": fault.weight} for fault in found.faults]
    print(json.dumps(body, indent=2))
