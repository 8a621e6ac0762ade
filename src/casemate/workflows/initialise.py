"""`casemate init`: see what is here, learn what can be learned, write a commented casemate.toml.

Asks nothing and runs nothing of the user's: models are recognised by name and leading bytes,
factories by the syntax tree, and data files are only read.
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import CasemateError, UsageError
from casemate.targets.address import refuse_credentials
from casemate.workflows import config
from casemate.workflows.discover import discover, model_uri

if TYPE_CHECKING:
    from pathlib import Path

    from casemate.records.column import Column
    from casemate.targets.data import Data

_LABELS = (
    "label", "target", "class", "y", "outcome", "diagnosis", "species", "default", "churn",
    "fraud", "is_fraud", "isfraud", "spam", "survived", "response", "result",
)  # fmt: skip


class Initialised(NamedTuple):
    """What init wrote and what is still missing, one line each."""

    path: Path
    model: str | None
    data: str | None
    columns: int
    missing: tuple[str, ...]


def initialise(
    root: Path,
    *,
    model: str | None = None,
    data: str | None = None,
    label: str | None = None,
    force: bool = False,
) -> Initialised:
    """Write `casemate.toml` in `root`.

    Args:
        root: Folder the configuration describes.
        model: Model file or target URI; found when not given.
        data: Data file, image folder or `file.py:function`; found when not given.
        label: Label column of a table; guessed when not given.
        force: Replace an existing file.

    Raises:
        UsageError: There is a casemate.toml already, or what was named does not exist.
    """
    path = root / config.NAME
    if path.exists() and not force:
        raise UsageError(f"{path} exists already", hint="edit it, or casemate init --force")
    found = discover(root)
    missing: list[str] = []
    target = _named_model(model, root) if model else next(iter(found.models), None)
    if target is None:
        missing.append("no model was found here: casemate init MODEL names one")
    uri = data or next(iter(found.data), None)
    if uri is None:
        missing.append("no data was found here: casemate init --data FILE names it")
    elif ":" not in uri and not (root / uri).exists():
        raise UsageError(f"{uri} does not exist")
    is_table = uri is not None and uri.lower().endswith((".csv", ".parquet"))
    if is_table and uri and label is None:
        label = _guess_label(root / uri)
        if label is None:
            missing.append(f"which column of {uri} is the label? casemate init --label COLUMN")
    learned = None
    if uri and (label or not is_table) and ".py:" not in uri:
        learned, trouble = _learn(root, uri, label)
        if trouble:
            missing.append(trouble)
    others = [m for m in found.models if m != target], [d for d in found.data if d != uri]
    artifacts = found.artifacts or tuple([] if model is None or ":" in model else [model])
    text = _render(target, uri, label if is_table else None, learned, others, artifacts)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    config.read(path)  # what init writes must always be readable
    columns = len(learned.columns) if learned else 0
    return Initialised(path, target, uri, columns, tuple(missing))


def _named_model(model: str, root: Path) -> str:
    path = root / model
    if path.is_file():
        uri = model_uri(path, root)
        if uri:
            return uri
        if uri == "":
            raise UsageError(
                f"{model} holds weights only",
                hint="name what builds the model: casemate init torch:file.py:function",
            )
        raise UsageError(
            f"{model} is not a model file casemate knows",
            hint="name it with its scheme, for instance torch:file.py:function",
        )
    if ":" in model:
        refuse_credentials(model)
        return model
    raise UsageError(f"{model} does not exist")


def _guess_label(path: Path) -> str | None:
    """Return the label column a table most likely has, None when nothing points to one."""
    if path.suffix.lower() != ".csv":
        return None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            head = next(rows, [])
            sample = [row for _, row in zip(range(500), rows, strict=False)]
    except (OSError, csv.Error, UnicodeDecodeError):
        return None
    lowered = {name.strip().lower(): name for name in head}
    for name in _LABELS:
        if name in lowered:
            return lowered[name]
    last = len(head) - 1
    values = {row[last] for row in sample if len(row) == len(head)}
    if last > 0 and 2 <= len(values) <= max(2, min(20, len(sample) // 5)):
        return head[last]
    return None


def _learn(root: Path, uri: str, label: str | None) -> tuple[Data | None, str]:
    from casemate.targets.data import open_data

    try:
        return open_data(str(root / uri), label=label), ""
    except UsageError as error:
        if "bounds" not in f"{error} {error.hint}":
            return None, f"{uri}: {error}"
    except CasemateError as error:
        return None, f"{uri}: {error} ({error.hint})"
    return None, f"{uri} has values outside 0..1: set bounds in casemate.toml to the legal range"


def _render(
    target: str | None,
    data: str | None,
    label: str | None,
    learned: Data | None,
    others: tuple[list[str], list[str]],
    artifacts: tuple[str, ...],
) -> str:
    lines = [
        "# What casemate knows of this system. Paths are relative to this file.",
        "version = 1",
        "",
        "[model]",
        _line("target", target, "scheme:file or scheme:file.py:function"),
        *(f"# also here: {json.dumps(other)}" for other in others[0][:5]),
        _line(
            "data", data, "what the model is attacked with: .npz with x and y, image folder, table"
        ),
        *(f"# also here: {json.dumps(other)}" for other in others[1][:5]),
    ]
    if label:
        lines.append(_line("label", label, ""))
    lines += [
        "# bounds = [0.0, 1.0]        # legal range of an input; uint8 data are divided by 255",
        "# threshold = 0.5            # two classes: class 1 is answered from this probability on",
        '# train = "train.py:train"   # (x, y) -> model; lets assess try poisoning',
        "",
        "[scan]",
        f"paths = {json.dumps(list(artifacts))}",
        "",
        "[attack]",
        "# eps = { linf = 0.03 }      # how far an attacker may change an input, by norm",
        "# inputs = 200               # attack at most this many",
        "",
        "[gate]",
        'bar = "no-regressions"       # casemate explain no-regressions; or your own TOML',
        '# against = "casemate-baseline.json"   # written by casemate gate accept',
        "",
        "# [[component]]              # describe the system, so that threats fit it",
        '# name = "scorer"',
        '# kind = "endpoint"',
        '# answers = "scores"         # what callers see: labels, scores or gradients',
        '# callers = ["public"]',
        "",
        "# [[waiver]]",
        '# fingerprint = "fp-..."',
        '# reason = "why this is accepted"',
        "# expires = 2027-01-31",
    ]
    if learned and learned.columns:
        lines += [
            "",
            "# What an attacker can do to each column: learned from the data, yours to correct.",
            '# mutable = false for what cannot be changed; direction = "up" or "down" for what can',
            "# only grow or shrink. Every attack honours this in every row it returns.",
        ]
        words = {each.name: each.strings for each in learned.encodings}
        for column in learned.columns:
            lines += ["", *_column(column, words.get(column.name, ()))]
    return "\n".join(lines) + "\n"


def _line(key: str, value: str | None, comment: str) -> str:
    tail = f"  # {comment}" if comment else ""
    return f"# {key} = ...{tail}" if value is None else f"{key} = {json.dumps(value)}{tail}"


def _column(column: Column, words: tuple[str, ...]) -> list[str]:
    lines = ["[[column]]", f"name = {json.dumps(column.name)}", f'type = "{column.type}"']
    if column.low is not None and column.high is not None:
        lines.append(f"low = {column.low!r}")
        lines.append(f"high = {column.high!r}")
    if column.values:
        meant = ", ".join(f"{code} = {json.dumps(word)}" for code, word in enumerate(words[:12]))
        lines.append(f"values = {list(column.values)!r}" + (f"  # {meant}" if meant else ""))
    if column.group:
        lines.append(f"group = {json.dumps(column.group)}")
    if not column.mutable:
        lines.append("mutable = false")
    return lines
