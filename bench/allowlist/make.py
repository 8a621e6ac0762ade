"""Write `src/casemate/catalog/allow/*.json` from package sources, compiled types and `hand.toml`.

    python bench/allowlist/make.py [--only PACKAGE,...] WHEELS [WHEELS ...]
    python bench/allowlist/make.py --again

`--again` applies changed lists to the files as they are. WHEELS are folders of wheels, several
versions of a package side by side; the packages installed in this interpreter are read too. A name
passes only if it passes in every version that has it. Nothing is imported but the packages in
COMPILED, whose extension types cannot be read as source.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
import pkgutil
import re
import sys
import sysconfig
import tomllib
import warnings
import zipfile
from collections import defaultdict
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from vet import LISTS, Package, vet

from casemate.scan.effects import effect_of

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "src" / "casemate" / "catalog" / "allow"
FIRST = ("numpy", "scipy", "joblib", "sklearn", "pandas", "torch")
"""Vetted first, because the others build on their classes."""
INSTALLED = LISTS["installed"].split()
COMPILED = {
    "sklearn": re.compile(r"sklearn\."),
    "pandas": re.compile(r"pandas\._libs\.(?!parsers|json|writers|sas|byteswap)"),
    "scipy": re.compile(r"scipy\.(sparse|spatial|interpolate|special|stats|cluster|optimize)\."),
}
UFUNC_HOMES = LISTS["ufunc_homes"].split()
NEVER_NAMES = re.compile(LISTS["never_names"])
NEVER_BUT = re.compile(LISTS["never_but"])
NEVER = re.compile(
    r"(^|\.)(_dynamo|_inductor|_export|fx|package|_higher_order_ops|_functorch)(\.|$)"
)
"""Parts of packages that write and run code; nothing of theirs is allowed."""
LEFT_OUT = {"dill", "cloudpickle", "numba", "cyclopts", "sympy"}
"""Packages whose work is to run code; nothing of theirs is allowed."""


def sources(root: str, wheel: Path | None) -> dict[str, tuple[str, bool]]:
    files: dict[str, tuple[str, bool]] = {}

    def add(path: str, text: str) -> None:
        name = path.removesuffix(".py").replace("/", ".")
        is_package = name.endswith(".__init__")
        files[name.removesuffix(".__init__")] = (text, is_package)

    if wheel is not None:
        with zipfile.ZipFile(wheel) as archive:
            for path in archive.namelist():
                if path.endswith(".py") and path.split("/")[0] in (root, f"{root}.py"):
                    add(path, archive.read(path).decode("utf-8", "replace"))
        return files
    base = Path(sysconfig.get_paths()["purelib"])
    found = [base / f"{root}.py"] if (base / f"{root}.py").exists() else (base / root).rglob("*.py")
    for file in found:
        add(file.relative_to(base).as_posix(), file.read_text("utf-8", "replace"))
    return files


def roots(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        tops = {path.split("/")[0] for path in archive.namelist() if path.endswith(".py")}
    return sorted(
        top.removesuffix(".py")
        for top in tops
        if not top.endswith((".dist-info", ".data"))
        and top not in ("tests", "test", "docs", "examples")
    )


def homes(package: Package, module: str, name: str) -> list[str]:
    """Return the modules a class is pickled under: its own, and what `set_module` says."""
    node = package.modules[module].classes.get(name)
    extra = []
    for decorator in getattr(node, "decorator_list", []):
        if getattr(getattr(decorator, "func", None), "id", "") == "set_module":
            extra += [arg.value for arg in decorator.args]
    return [module, *extra]


def compiled(root: str) -> dict[str, set[str]]:
    pattern, found = COMPILED[root], defaultdict(set)
    top = importlib.import_module(root)
    for info in pkgutil.walk_packages(top.__path__, f"{root}.", onerror=lambda _: None):
        if ".tests" in info.name or not pattern.match(info.name + "."):
            continue
        spec = info.module_finder.find_spec(info.name)
        if spec is None or not str(spec.origin).endswith((".so", ".pyd")):
            continue
        try:
            module = importlib.import_module(info.name)
        except Exception as error:
            print(f"  not imported: {info.name}: {error}")
            continue
        for name, value in vars(module).items():
            own = isinstance(value, type) and (value.__module__, value.__name__) == (
                info.name,
                name,
            )
            if own and not name.startswith(("__pyx", "_memoryviewslice", "Enum")):
                found[info.name].add(name)
    return found


def ufuncs(clean: set[str]) -> dict[str, set[str]]:
    import numpy as np
    import scipy.special

    names = {name for name in dir(np) if isinstance(getattr(np, name), np.ufunc)}
    special = {n for n in dir(scipy.special) if isinstance(getattr(scipy.special, n), np.ufunc)}
    table = {home: set(names) for home in UFUNC_HOMES}
    # Functions dispatched by type are pickled as members of `numpy`, wherever they are defined.
    dispatched = {n for n in dir(np) if getattr(getattr(np, n), "__module__", "") == "numpy"}
    table["numpy"] |= {n for n in dispatched if n in clean}
    table["scipy.special"] = special
    table["scipy.special._ufuncs"] = special
    return table


def main() -> int:
    warnings.simplefilter("ignore")
    jobs: dict[str, list[tuple[str, Path | None]]] = defaultdict(list)
    folders, only = sys.argv[1:], None
    if folders == ["--again"]:
        return rewrite()
    if folders[:1] == ["--only"]:
        only, folders = set(folders[1].split(",")), folders[2:]
    for name in INSTALLED:
        try:
            version = metadata.version(
                {
                    "sklearn": "scikit-learn",
                    "dateutil": "python-dateutil",
                    "xgboost": "xgboost-cpu",
                    "PIL": "pillow",
                    "attr": "attrs",
                }.get(name, name)
            )
        except metadata.PackageNotFoundError:
            continue
        jobs[name].append((version, None))
    for folder in folders:
        for wheel in sorted(Path(folder).glob("*.whl")):
            for root in set(roots(wheel)) - LEFT_OUT:
                version = wheel.name.split("-")[1]
                if version not in [known for known, _ in jobs[root]]:
                    jobs[root].append((version, wheel))
    order = [*(n for n in FIRST if n in jobs), *sorted(set(jobs) - set(FIRST))]
    known: set[str] = set()
    hand = tomllib.loads((HERE / "hand.toml").read_text("utf-8"))
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    total = 0
    for root in order:
        if only is not None and root not in only:
            hand.pop(root, None)
            known |= written(root)
            continue
        merged = merge(root, jobs[root], known)
        total += write(root, merged, hand.pop(root, {}), [v for v, _ in jobs[root]], today)
    by_hand, builtins = hand.pop("stdlib"), hand.pop("builtins")
    if only is None or "stdlib" in only:
        total += write("stdlib", stdlib(), by_hand, ["3.11"], today, builtins)
    for root, lists in hand.items():
        total += write(root, empty(), lists, [], today)
    print(f"{total} names may be called or built")
    return total


def rewrite() -> int:
    """Apply `hand.toml` and `lists.toml` to the files as they are."""
    hand = tomllib.loads((HERE / "hand.toml").read_text("utf-8"))
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    builtins = hand.pop("builtins")
    total = 0
    for root in sorted({path.stem for path in OUT.glob("*.json")} | hand.keys()):
        merged, versions = again(root) if (OUT / f"{root}.json").exists() else (empty(), [])
        if root != "stdlib":
            prune(root, merged)
        more = builtins if root == "stdlib" else None
        total += write(root, merged, hand.get(root, {}), versions, today, more)
    print(f"{total} names may be called or built")
    return total


def prune(root: str, merged: dict[str, dict]) -> None:
    """Leave out what is known for an effect or sounds like one, and modules without models."""
    keep = re.compile(LISTS["keep"].get(root, ""))
    for kind in ("classes", "states", "references"):
        for module, names in merged[kind].items():
            if not keep.match(module):
                names.clear()
            names -= {name for name in names if effect_of(module, name) is not None}
            if kind != "references":
                names -= {n for n in names if NEVER_NAMES.search(n) and not NEVER_BUT.search(n)}


def again(root: str) -> tuple[dict[str, dict], list[str]]:
    """Return what a file says, without reading the package again."""
    body = json.loads((OUT / f"{root}.json").read_text("utf-8"))
    merged = empty()
    for kind in ("classes", "states", "references"):
        for module, names in body[kind].items():
            merged[kind][module] |= set(names.split())
    for module, effects in body["refused"].items():
        for effect, names in effects.items():
            merged["refused"][module].update(dict.fromkeys(names.split(), effect))
    return merged, body["versions"]


def written(root: str) -> set[str]:
    """Return the classes of a package that is not vetted again."""
    path = OUT / f"{root}.json"
    body = json.loads(path.read_text("utf-8")) if path.exists() else {}
    pairs = [
        (module, name)
        for kind in ("classes", "states")
        for module, names in body.get(kind, {}).items()
        for name in names.split()
    ]
    # A base is often named by where a package re-exports it.
    return {f"{module}.{name}" for module, name in pairs} | {f"{root}:{name}" for _, name in pairs}


def empty() -> dict[str, dict]:
    return {kind: defaultdict(set) for kind in ("classes", "states", "references")} | {
        "refused": defaultdict(dict),
        "functions": defaultdict(set),
    }


def merge(root: str, versions: list[tuple[str, Path | None]], known: set[str]) -> dict[str, dict]:
    merged = empty()
    extension = compiled(root) if root in COMPILED else {}
    known |= {f"{module}.{name}" for module, names in extension.items() for name in names}
    for version, wheel in versions:
        package = Package(sources(root, wheel))
        found = vet(package, known)
        print(root, version, sum(map(len, found.classes.values())), "classes", flush=True)
        for kind in ("classes", "states", "references"):
            for module, names in getattr(found, kind).items():
                if NEVER.search(module):
                    continue
                for name in names:
                    for home in homes(package, module, name):
                        merged[kind][home].add(name)
        for module, refused in found.refused.items():
            for name, effect in refused.items():
                for home in homes(package, module, name):
                    merged["refused"][home][name] = effect
        for passed in (found.classes, found.states):
            known |= {f"{m}.{n}" for m, names in passed.items() for n in names}
            known |= {f"{root}:{n}" for names in passed.values() for n in names}
    prune(root, merged)
    for module, refused in merged["refused"].items():
        merged["classes"][module] -= refused.keys()
        merged["references"][module] -= refused.keys()
    for module, names in extension.items():
        merged["classes"][module] |= names
    if root in ("numpy", "scipy"):
        home = re.compile(r"numpy\.(_?core|lib|linalg|fft|random)\b(?!.*(npyio|utils|format))")
        clean = {n for m, names in merged["references"].items() if home.match(m) for n in names}
        clean -= {n for m, names in merged["refused"].items() if home.match(m) for n in names}
        for module, names in ufuncs(clean).items():
            if module.split(".")[0] == root:
                merged["references"][module] |= names
    return merged


def stdlib() -> dict[str, dict]:
    """Of the standard library only what is refused is taken from source."""
    base = Path(sysconfig.get_paths()["stdlib"])
    files = {}
    for file in base.rglob("*.py"):
        relative = file.relative_to(base).as_posix()
        if relative.startswith(("site-packages", "test/", "idlelib/idle_test", "lib2to3/tests")):
            continue
        name = relative.removesuffix(".py").replace("/", ".")
        files[name.removesuffix(".__init__")] = (
            file.read_text("utf-8", "replace"),
            name.endswith("__init__"),
        )
    merged = empty()
    found = vet(Package(files), set())
    for module, refused in found.refused.items():
        merged["refused"][module] = dict(refused)
    return merged


def write(
    root: str, merged: dict, lists: dict, versions: list[str], today: str, more: dict | None = None
) -> int:
    for table in (lists, more or {}):
        for kind, modules in table.items():
            for module, names in modules.items():
                merged[kind][module] |= set(names.split())
                for name in names.split():
                    merged["refused"].get(module, {}).pop(name, None)
    body: dict[str, object] = {
        "package": root,
        "versions": versions,
        "source": "the package's source, by bench/allowlist/vet.py; by hand.toml the rest",
        "date": today,
    }
    if root == "stdlib":
        body["modules"] = sorted({*sys.stdlib_module_names, *LISTS["stdlib_elsewhere"].split()})
    for kind in ("classes", "states", "functions", "references"):
        body[kind] = {m: " ".join(sorted(n)) for m, n in sorted(merged[kind].items()) if n}
    body["refused"] = {
        module: {
            effect: " ".join(sorted(n for n, e in names.items() if e == effect))
            for effect in sorted(set(names.values()))
        }
        for module, names in sorted(merged["refused"].items())
        if names
    }
    passed = sum(
        len(n.split()) for k in ("classes", "states", "functions") for n in body[k].values()
    )
    if passed or body["refused"]:
        OUT.mkdir(exist_ok=True)
        (OUT / f"{root}.json").write_text(
            json.dumps(body, indent=0, ensure_ascii=True) + "\n", "utf-8"
        )
    return passed


if __name__ == "__main__":
    main()
