"""`casemate guard`: stand between callers and a model server; record, detect, and act when told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "guard",
        help="stand before a model server: record every inference, see attacks, act when told",
        description="A reverse proxy before a model server. It observes by default: bodies pass "
        "unchanged and nothing is refused. [guard] in casemate.toml says the rest.",
    )
    parser.add_argument("--upstream", metavar="URL", help="the model server, http://127.0.0.1:8080")
    parser.add_argument("--listen", metavar="HOST:PORT", help="default: 127.0.0.1:9090")
    parser.add_argument("--admin", metavar="HOST:PORT", help="health and metrics; none for none")
    parser.add_argument(
        "--principal",
        metavar="KIND:NAME",
        help="who asks: header:X-User, claim:sub or field:user (default: the connection)",
    )
    parser.add_argument(
        "--enforce", action="store_true", help="carry out orders and rules, not only record them"
    )
    parser.add_argument(
        "--no-analysis", action="store_true", help="record only; look at the events elsewhere"
    )
    parser.add_argument(
        "--envoy", action="store_true", help="answer Envoy's external processor filter instead"
    )
    parser.add_argument(
        "--erase", metavar="NAME", help="destroy what was captured of a principal, and do no more"
    )
    parser.add_argument(
        "--learn-contract",
        type=options.path,
        metavar="FILE",
        help="learn from casemate.toml's data what inputs look like, write it, and do no more",
    )
    options.add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from casemate.cli.terminal import printable
    from casemate.workflows import composing, config, serve

    loaded = config.read(args.config)
    if args.erase is not None:
        print(f"erased {composing.erase(loaded, args.erase, args.store)} payloads; events stay")
        return 0
    if args.learn_contract is not None:
        rows = serve.learn_contract(loaded, args.learn_contract)
        print(f"learned from {rows} inputs; in casemate.toml, under [guard]:")
        print(f'  contract = "{printable(str(args.learn_contract))}"')
        return 0
    policy = serve.changed(
        loaded.config.guard,
        upstream=args.upstream,
        listen=args.listen,
        admin=args.admin,
        principal=args.principal,
        enforce=args.enforce,
    )
    serve.run(
        loaded,
        policy,
        store=args.store,
        envoy=args.envoy,
        analysis=not args.no_analysis,
        say=lambda text: print(printable(text), flush=True),
    )
    return 0
