"""`casemate attack TARGET`: run one catalog attack on a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse

    from casemate.records.trial import Measure, Trial


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "attack",
        help="run one catalog attack on a model; runs the model's code",
        description="Run one catalog attack. This opens and runs the model you name.",
    )
    parser.add_argument("target", nargs="?", help="target URI (default: casemate.toml's)")
    parser.add_argument("--data", help="data to attack with (default: casemate.toml's)")
    parser.add_argument("--label", metavar="COLUMN", help="label column of a table")
    parser.add_argument("--attack", required=True, metavar="ID", help="see casemate explain --list")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the attack"
    )
    parser.add_argument("--budget", type=int, metavar="N", help="evaluations allowed to each input")
    parser.add_argument("--inputs", type=int, metavar="N", help="attack at most N inputs")
    parser.add_argument("--seed", type=int, metavar="S", help="default: casemate.toml's, else 0")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--fresh", action="store_true", help="measure again what is kept already")
    options.add_format(parser)
    options.add_config(parser)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Attack and print the figures."""
    from casemate.cli import terminal
    from casemate.errors import UsageError
    from casemate.workflows import attacking, config
    from casemate.workflows.job import open_workspace

    for name in ("budget", "inputs"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} {value} is less than 1")
    loaded = config.read(args.config)
    with (
        open_workspace(args.store, loaded) as workspace,
        terminal.progress(args.quiet) as progress,
    ):
        attacked = attacking.attack_once(
            loaded,
            args.attack,
            target=args.target,
            data=args.data,
            label=args.label,
            params=attacking.parse_settings(args.set),
            budget=args.budget,
            inputs=args.inputs,
            seed=args.seed,
            device=args.device,
            workspace=workspace,
            progress=progress,
            fresh=args.fresh,
        )
        if args.format != "text" or args.output is not None:
            form = "md" if args.format == "text" else args.format
            terminal.emit(attacked.bundle, form, args.output)
    if args.format == "text" and args.output is None:
        show_trials((attacked.trial,))
        for note in attacked.trial.notes:
            print(f"note: {terminal.printable(note)}")
    return attacked.exit_code


def show_trials(trials: tuple[Trial, ...]) -> None:
    """Print one line of figures per trial."""
    from casemate.cli.terminal import table

    table(
        (
            "attack",
            "norm",
            "eps",
            "inputs",
            "measure",
            "clean",
            "under attack",
            "evals/input",
            "state",
        ),
        [_row(trial) for trial in trials],
    )


def _row(trial: Trial) -> tuple[str, ...]:
    attacked = max(1, trial.inputs)
    spent = (trial.cost.forward + trial.cost.backward) / attacked
    figure = None if trial.eps is None and trial.norm else trial.robust
    if trial.state == "failed":
        figure = None  # what the target did not answer says nothing for it
    extra = next(iter(trial.measures), None)
    shown = figure or extra
    name = trial.clean.name if figure or extra is None else extra.name
    return (
        trial.attack,
        trial.norm or "-",
        "-" if trial.eps is None else f"{trial.eps:.4g}",
        str(trial.inputs),
        name,
        _percent(trial.clean.value),
        "-" if shown is None else _figure(shown),
        f"{spent:.0f}",
        trial.state,
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _figure(measure: Measure) -> str:
    if measure.name == "median-distance":
        return "none fooled" if measure.value is None else f"half within {measure.value:.3g}"
    value, low, high = measure.value, measure.low, measure.high
    if value is None or low is None or high is None:
        return _percent(value)
    return f"{100 * value:.1f} % ({100 * low:.0f}-{100 * high:.0f})"
