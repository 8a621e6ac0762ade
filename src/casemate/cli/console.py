"""`casemate console`: the cases as web pages, on this machine or for a team."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "console",
        help="the cases, the guard and what to do next, as web pages",
        description="Serve the responder's console. By default it answers on this machine alone, "
        "to whoever opens the link it prints; the link works once.",
    )
    parser.add_argument(
        "--listen", metavar="HOST:PORT", help="default: 127.0.0.1:0, which takes a free port"
    )
    parser.add_argument(
        "--tokens",
        type=options.path,
        metavar="FILE",
        help="who may sign in with a token, and as what",
    )
    parser.add_argument(
        "--new-token",
        metavar="NAME:ROLE",
        help="put a new token in the --tokens file, print it once, and do no more; "
        "roles: viewer, responder, admin",
    )
    parser.add_argument(
        "--url", metavar="URL", help="how browsers reach it, https://console.example"
    )
    parser.add_argument("--tls-cert", type=options.path, metavar="FILE", help="certificate, PEM")
    parser.add_argument("--tls-key", type=options.path, metavar="FILE", help="its key, PEM")
    parser.add_argument(
        "--behind-tls-proxy",
        action="store_true",
        help="a proxy of yours ends TLS before it and sets X-Forwarded-For",
    )
    options.add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    import msgspec

    from casemate.cli.terminal import printable
    from casemate.errors import MissingExtra, UsageError
    from casemate.workflows import config

    loaded = config.read(args.config)
    try:
        from casemate.console import serving, tokens
    except ModuleNotFoundError as error:
        raise MissingExtra("console", for_="the console") from error

    if args.new_token is not None:
        file = args.tokens or loaded.config.console.tokens
        if file is None:
            raise UsageError("a token is kept in a file", hint="--tokens FILE")
        name, _, role = args.new_token.rpartition(":")
        print(tokens.add(loaded.root / file if args.tokens is None else args.tokens, name, role))
        return 0
    given = {
        "listen": args.listen,
        "tokens": str(args.tokens.absolute()) if args.tokens else None,
        "url": args.url,
        "tls_cert": str(args.tls_cert) if args.tls_cert else None,
        "tls_key": str(args.tls_key) if args.tls_key else None,
        "behind_tls_proxy": args.behind_tls_proxy or None,
    }
    table = msgspec.structs.replace(
        loaded.config.console, **{name: value for name, value in given.items() if value is not None}
    )
    serving.run(loaded, table, args.store, lambda text: print(printable(text), flush=True))
    return 0
