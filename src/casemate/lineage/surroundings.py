"""What a run stood on besides its data: code, packages, seeds, as far as they can be seen."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from casemate.lineage.digests import of_text
from casemate.lineage.places import package_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_GIT_SECONDS = 30.0
_SOURCE = 4 << 20
"""Bytes of a script that are read for seeds."""
_SECRET = re.compile(
    r"(pass(word|wd|phrase)?|token|secret|api[-_]?key|credential|auth)", re.IGNORECASE
)
_SEED_ARGUMENT = re.compile(r"(?:^|\s)-{0,2}([\w.-]*seed)[= ](-?\d+)\b", re.IGNORECASE)
_SEED_NAMES = frozenset({"seed", "random_state", "random_seed", "seed_everything", "set_seed"})
_SEED_CALLS = frozenset(
    {"seed", "manual_seed", "manual_seed_all", "set_seed", "seed_everything", "default_rng"}
    | {"RandomState", "PRNGKey", "set_random_seed"}
)
_NAME = re.compile(r"[-_.]+")
_INSTALLED = re.compile(r"(.+?)(?:-(\d[^-]*))?(?:-py[\d.]+)?\.(?:dist|egg)-info")
_LOADED = (".py", ".pyc", ".so", ".pyd")


class Environment(NamedTuple):
    """The packages of the interpreters a run used."""

    listing: str
    """`name==version` a line, sorted."""
    imported: dict[str, str]
    """Version by name, of those whose files were read."""


def git_state(folder: Path) -> dict[str, str | bool]:
    """Return `commit`, `branch`, `clean` and the digest `diff` of what is not committed.

    Empty where the folder is in no repository, or git is not there.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    state: dict[str, str | bool] = {"commit": commit.strip()}
    branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD")
    if branch is not None and branch.strip() != "HEAD":
        state["branch"] = branch.strip()
    diff = _git(folder, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--binary")
    if diff is not None:
        state["clean"] = not diff
        if diff:
            state["diff"] = of_text(diff)
    return state


def environment(paths: Iterable[str]) -> Environment:
    """Return the packages behind the files a run read.

    Args:
        paths: Files it read, those of packages among them.
    """
    read: dict[str, set[str]] = {}
    for path in paths:
        if path.endswith(_LOADED) and (package := package_of(path)) is not None:
            read.setdefault(package[0], set()).add(package[1])
    lines: set[str] = set()
    imported: dict[str, str] = {}
    for folder, names in read.items():
        installed = {}
        for place in Path(folder).glob("*-info"):
            if (match := _INSTALLED.fullmatch(place.name)) is not None:
                installed[_NAME.sub("-", match[1]).lower()] = (match[2] or "unknown", place)
        lines |= {f"{name}=={version}" for name, (version, _) in installed.items()}
        wanted = set()
        for name in names:
            if (plain := _NAME.sub("-", name).lower()) in installed:
                imported[plain] = installed[plain][0]
            elif not name.startswith("_"):
                wanted.add(name)
        # scikit-learn is imported as sklearn: the list of its files says so.
        for plain, (version, place) in installed.items():
            if wanted and (found := wanted & _tops(place)):
                imported[plain] = version
                wanted -= found
    return Environment("\n".join(sorted(lines)), imported)


def _tops(place: Path) -> set[str]:
    """Return the names that can be imported of a distribution, by its list of files."""
    try:
        lines = (place / "RECORD").read_text("utf-8", "replace").splitlines()
    except OSError:
        return set()
    return {line.split(",", 1)[0].split("/", 1)[0].split(".", 1)[0] for line in lines}


def seeds(
    command: Sequence[str], variables: Mapping[str, str], scripts: Iterable[Path], root: Path
) -> list[str]:
    """Return the seeds that can be seen, in words: in the command, the environment, the scripts."""
    found = [
        f"{name}={value} of the command"
        for name, value in _SEED_ARGUMENT.findall(" ".join(command))
    ]
    found += [
        f"{name}={value} of the environment"
        for name, value in sorted(variables.items())
        if "SEED" in name.upper() and re.fullmatch(r"-?\d{1,20}", value)
    ]
    for path in scripts:
        found += [f"{what} in {_name(path, root)} line {line}" for what, line in _seeds_of(path)]
    return list(dict.fromkeys(found))


def masked(command: Sequence[str]) -> list[str]:
    """Return a command without what looks like a secret."""
    shown = []
    hide = False
    for word in command:
        option, equals, _ = word.partition("=")
        if hide:
            shown.append("***")
        elif equals and _SECRET.search(option):
            shown.append(f"{option}=***")
        else:
            shown.append(re.sub(r"(?<=://)[^/@\s]+@", "***@", word))
        hide = not hide and not equals and word.startswith("-") and bool(_SECRET.search(word))
    return shown


def _seeds_of(path: Path) -> list[tuple[str, int]]:
    try:
        with path.open("rb") as source:
            tree = ast.parse(source.read(_SOURCE))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        if name in _SEED_CALLS and node.args and _number(node.args[0]) is not None:
            found.append((f"{name}({_number(node.args[0])})", node.lineno))
        found += [
            (f"{word.arg}={_number(word.value)}", word.value.lineno)
            for word in node.keywords
            if word.arg in _SEED_NAMES and _number(word.value) is not None
        ]
    return sorted(set(found), key=lambda one: one[1])


def _number(node: ast.expr) -> int | None:
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _git(folder: Path, *arguments: str) -> str | None:
    # fsmonitor names a program to run; a repository does not get to choose one here.
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - arguments of ours
            command, capture_output=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
