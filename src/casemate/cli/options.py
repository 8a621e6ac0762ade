"""Options several verbs share, so that each is spelled and explained once."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

import casemate

if TYPE_CHECKING:
    from pathlib import Path


def formats() -> tuple[str, ...]:
    """Return the ids of the catalog's exports: names of files, nothing is read."""
    # os.path and not pathlib, which would take a tenth of what `--help` may load.
    folder = os.path.join(os.path.dirname(casemate.__file__), "catalog", "exports")  # noqa: PTH118, PTH120
    found = (name.removesuffix(".toml") for name in os.listdir(folder) if name.endswith(".toml"))  # noqa: PTH208
    return tuple(sorted(found))


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add --config and --store."""
    parser.add_argument(
        "--config", type=path, metavar="FILE", help="casemate.toml (default: the nearest one)"
    )
    parser.add_argument(
        "--store",
        type=path,
        metavar="DIR",
        help="workspace that keeps runs (default: .casemate beside casemate.toml)",
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add --format and --output."""
    parser.add_argument(
        "--format",
        choices=("text", *formats()),
        default="text",
        help="what to write (default: text)",
    )
    parser.add_argument(
        "-o", "--output", type=path, metavar="FILE", help="write there instead of to stdout"
    )


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add --quiet."""
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no hints")


def path(text: str) -> Path:
    """Turn an argument into a path; pathlib is loaded only once there is one."""
    from pathlib import Path

    return Path(text)


def duration(text: str) -> float:
    """Turn `90`, `90s`, `5m` or `1h` into seconds."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time; try 90s, 5m or 1h") from None
    if not 0 < seconds < 1e7:
        raise argparse.ArgumentTypeError(f"'{text}' is not a usable time")
    return seconds
