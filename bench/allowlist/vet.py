"""Vet the classes and functions of a Python package by reading its source; nothing is imported.

A class passes when no method that loading a pickle can reach has an effect on the world outside the
objects being built: construction, state, attribute and item access, comparison, hashing, deletion.
What is called is followed through the package. `SINKS` says what counts as an effect.
"""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

ORDER = ("exec", "process", "native", "import", "unpickle", "network", "files", "state", "apply")
"""Effects, worst first."""

LISTS = tomllib.loads((Path(__file__).parent / "lists.toml").read_text("utf-8"))
SINKS = {name: effect for effect, names in LISTS["sinks"].items() for name in names.split()}
METHODS = {name: effect for effect, names in LISTS["methods"].items() for name in names.split()}
PLAIN_BASES = frozenset(LISTS["plain_bases"].split())
HARMLESS_METHODS = {"model.eval", "self.eval", "module.eval"}
MAKES = ("__new__", "__setstate__", "__setattr__", "__getattr__", "__getattribute__", "__del__")
MAKES += ("__setitem__", "__hash__", "__eq__", "append", "extend", "add", "update", "items")
MAKES += ("__set_name__", "__init_subclass__", "__len__", "__bool__", "__iter__", "__getitem__")
CALLS = ("__init__", "__post_init__", "__attrs_post_init__", "_missing_")


class Vetted(NamedTuple):
    """What a package offers, by module."""

    classes: dict[str, set[str]]
    """Can be called and given any state."""
    states: dict[str, set[str]]
    """Can be made by `__new__` and given any state, but not called."""
    references: dict[str, set[str]]
    """Functions without an effect that could be seen; may be named, not called."""
    refused: dict[str, dict[str, str]]
    """Name to the worst effect found."""


class _Module:
    def __init__(self, name: str, tree: ast.Module, is_package: bool) -> None:
        self.name = name
        self.aliases: dict[str, str] = {}
        self.functions: dict[str, ast.AST] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.tuples: set[str] = set()
        self._package = name if is_package else name.rpartition(".")[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    local = alias.asname or alias.name.split(".")[0]
                    self.aliases[local] = alias.name if alias.asname else local
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                for alias in node.names:
                    self.aliases[alias.asname or alias.name] = f"{origin}.{alias.name}"
        self._collect(tree.body, "")

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self._package.split(".")
        parts = parts[: len(parts) - node.level + 1]
        return ".".join([*parts, node.module] if node.module else parts)

    def _collect(self, body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.functions[prefix + node.name] = node
            elif isinstance(node, ast.ClassDef):
                self.classes[prefix + node.name] = node
                self._collect(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.If | ast.Try | ast.With):
                for field in ("body", "orelse", "finalbody"):
                    self._collect(getattr(node, field, []), prefix)
                for handler in getattr(node, "handlers", []):
                    self._collect(handler.body, prefix)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                made = _dotted(node.value.func)
                if made and made.split(".")[-1] == "namedtuple":
                    self.tuples |= {
                        prefix + target.id
                        for target in node.targets
                        if isinstance(target, ast.Name)
                    }

    def full(self, dotted: str, scope: str) -> str:
        head, _, rest = dotted.partition(".")
        if head in ("self", "cls") and scope:
            return f"{self.name}.{scope}.{rest}" if rest else f"{self.name}.{scope}"
        if head in self.functions or head in self.classes:
            return f"{self.name}.{dotted}"
        if head in self.aliases:
            return f"{self.aliases[head]}.{rest}" if rest else self.aliases[head]
        return dotted


def _dotted(node: ast.AST) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def _sink(full: str) -> str | None:
    parts = full.split(".")
    for n in range(len(parts), 0, -1):
        found = SINKS.get(".".join(parts[:n]))
        if found:
            return found
    for prefix in (
        "os.exec",
        "os.spawn",
        "pandas.read_",
        "pickle.load",
        "numpy.core.multiarray.fromfile",
    ):
        if full.startswith(prefix):
            return SINKS.get(prefix, "files")
    return None


class Package:
    """One package's modules, parsed."""

    def __init__(self, files: dict[str, tuple[str, bool]]) -> None:
        self.modules: dict[str, _Module] = {}
        for name, (source, is_package) in files.items():
            try:
                tree = ast.parse(source)
            except (SyntaxError, ValueError, RecursionError):
                continue
            self.modules[name] = _Module(name, tree, is_package)
        self.direct: dict[str, set[str]] = defaultdict(set)
        self.edges: dict[str, set[str]] = defaultdict(set)
        self._scan()
        self._close()

    def _scan(self) -> None:
        for module in self.modules.values():
            for name, node in module.functions.items():
                scope = name.rpartition(".")[0] if name.rpartition(".")[0] in module.classes else ""
                key = f"{module.name}.{name}"
                self._scan_function(module, node, scope, key)
            for name, node in module.classes.items():
                key = f"{module.name}.{name}"
                for base in node.bases:
                    dotted = _dotted(base.value if isinstance(base, ast.Subscript) else base)
                    if dotted:
                        full = self.resolve(module.full(dotted, ""))
                        for method in (*MAKES, *CALLS):
                            if f"{name}.{method}" not in module.functions:
                                self.edges[f"{key}.{method}"].add(f"{full}.{method}")

    def _scan_function(self, module: _Module, node: ast.AST, scope: str, key: str) -> None:
        arguments = {arg.arg for arg in ast.walk(node) if isinstance(arg, ast.arg)}
        for inner in ast.walk(node):
            if isinstance(inner, ast.Call):
                if isinstance(inner.func, ast.Attribute) and inner.func.attr in METHODS:
                    dotted = _dotted(inner.func) or ""
                    own = scope and f"{scope}.{inner.func.attr}" in module.functions
                    plain = inner.func.attr == "eval" and not inner.args
                    if not own and dotted not in HARMLESS_METHODS and not plain:
                        self.direct[key].add(METHODS[inner.func.attr])
                dotted = _dotted(inner.func)
                if dotted is None:
                    if isinstance(inner.func, ast.Call) and _dotted(inner.func.func) == "super":
                        continue
                    if isinstance(inner.func, ast.Attribute):
                        called = inner.func.value
                        if isinstance(called, ast.Call) and _dotted(called.func) == "super":
                            self._super(module, scope, inner.func.attr, key)
                    continue
                if dotted in arguments and dotted not in ("self", "cls"):
                    self.direct[key].add("apply")
                    continue
                self._called(module.full(dotted, scope), key)
            elif isinstance(inner, ast.Assign | ast.Delete):
                for target in inner.targets:
                    dotted = _dotted(target.value) if isinstance(target, ast.Subscript) else None
                    if dotted and module.full(dotted, scope) in ("os.environ", "sys.modules"):
                        self.direct[key].add("state")

    def _super(self, module: _Module, scope: str, method: str, key: str) -> None:
        node = module.classes.get(scope)
        for base in node.bases if node else []:
            dotted = _dotted(base.value if isinstance(base, ast.Subscript) else base)
            if dotted:
                self.edges[key].add(f"{self.resolve(module.full(dotted, ''))}.{method}")

    def _called(self, full: str, key: str) -> None:
        sink = _sink(full)
        if sink:
            self.direct[key].add(sink)
            return
        self.edges[key].add(self.resolve(full))

    def resolve(self, full: str, depth: int = 0) -> str:
        """Follow re-exports to where a name is defined."""
        module_name, _, name = full.rpartition(".")
        module = self.modules.get(module_name)
        if module is None or depth > 8:
            return full
        if name in module.functions or name in module.classes:
            return full
        if name in module.aliases and module.aliases[name] != full:
            return self.resolve(module.aliases[name], depth + 1)
        return full

    def _close(self) -> None:
        """Carry effects from what is called to what calls."""
        back: dict[str, set[str]] = defaultdict(set)
        for caller, called in self.edges.items():
            for each in called:
                back[each].add(caller)
                for method in ("__init__", "__new__"):
                    back[f"{each}.{method}"].add(caller)
        todo = list(self.direct)
        while todo:
            key = todo.pop()
            for caller in back.get(key, ()):
                new = self.direct[key] - self.direct.get(caller, set()) - {"apply"}
                if new:
                    self.direct[caller] |= new
                    todo.append(caller)

    def effects(self, full: str) -> set[str]:
        return self.direct.get(full, set())


def _private(module: str) -> bool:
    parts = module.split(".")
    return any(
        part in ("tests", "test", "testing", "conftest", "setup", "_testing", "f2py", "distutils")
        or part.startswith("test_")
        for part in parts
    )


def vet(package: Package, known: set[str]) -> Vetted:
    """Sort a package's names.

    Args:
        package: The parsed package.
        known: Full names of classes of other packages that have passed.
    """
    result = Vetted(defaultdict(set), defaultdict(set), defaultdict(set), defaultdict(dict))
    verdicts: dict[str, tuple[set[str], set[str]] | None] = {}

    def judge(full: str, depth: int) -> tuple[set[str], set[str]] | None:
        """Return effects of making and of calling; None when a base is not known."""
        if full in verdicts:
            return verdicts[full]
        if depth > 30:
            return None
        module_name, name = _split(package, full)
        if module_name is None:
            short = full.rpartition(".")[2]
            if (
                full in known
                or f"{full.partition('.')[0]}:{short}" in known
                or short in PLAIN_BASES
            ):
                return set(), set()
            return None
        module = package.modules[module_name]
        if name in module.tuples:
            return set(), set()
        node = module.classes.get(name)
        if node is None:
            return None
        verdicts[full] = None
        making: set[str] = set()
        calling: set[str] = set()
        for base in node.bases:
            target = base.func if isinstance(base, ast.Call) else base
            dotted = _dotted(target.value if isinstance(target, ast.Subscript) else target)
            if dotted is None:
                return None
            origin = package.resolve(module.full(dotted, ""))
            if dotted.split(".")[-1] in ("with_metaclass", "namedtuple"):
                continue
            got = judge(origin, depth + 1)
            if got is None:
                return None
            making |= got[0]
            calling |= got[1]
        making |= {e for m in MAKES for e in package.effects(f"{full}.{m}")}
        calling |= {e for m in CALLS for e in package.effects(f"{full}.{m}")}
        verdicts[full] = (making, calling)
        return verdicts[full]

    for module in package.modules.values():
        hidden = _private(module.name)
        for name in sorted(module.classes.keys() | module.tuples):
            if "<" in name:
                continue
            got = judge(f"{module.name}.{name}", 0)
            if got is None:
                continue
            making, calling = got
            if making - {"apply"}:
                result.refused[module.name][name] = _worst(making | calling)
            elif calling - {"apply"}:
                result.refused[module.name][name] = _worst(calling)
                if not hidden:
                    result.states[module.name].add(name)
            elif not hidden:
                result.classes[module.name].add(name)
        for name in module.functions:
            if name.rpartition(".")[0] in module.classes:
                continue
            effects = package.effects(f"{module.name}.{name}")
            if effects:
                result.refused[module.name][name] = _worst(effects)
            elif not hidden and "." not in name:
                result.references[module.name].add(name)
    return result


def _worst(effects: set[str]) -> str:
    return next(effect for effect in ORDER if effect in effects)


def _split(package: Package, full: str) -> tuple[str | None, str]:
    parts = full.split(".")
    for n in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:n])
        if module in package.modules:
            return module, ".".join(parts[n:])
    return None, full
