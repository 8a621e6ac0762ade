"""Run the user's function: a file or module is imported and one thing in it taken.

This is the only place of targets that executes code of the user's; `init`, `scan`, `threats`,
`gate` and `explain` never come here.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from typing import TYPE_CHECKING, Any

from casemate.errors import MissingExtra, TargetError, UsageError
from casemate.targets import digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from casemate.targets.uri import Uri

_EXTRAS = {
    "torch": "torch",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "sklearn": "sklearn",
    "joblib": "sklearn",
    "keras": "keras",
    "pandas": "",
}


def take(uri: Uri, root: Path) -> tuple[Any, str]:
    """Import the place of `uri` and return what its factory name stands for, and its digest.

    Raises:
        UsageError: No such file, module or name.
        TargetError: Importing it raised.
        MissingExtra: It imports a framework that is not installed.
    """
    if uri.factory is None:
        raise UsageError(
            f"{uri.place} is code: name the function that returns the model",
            hint=f"{uri}:FUNCTION",
        )
    module = _import_file(uri.path(root)) if uri.place.endswith(".py") else _import(uri, root)
    known = [name for name in vars(module) if not name.startswith("_")]
    if not hasattr(module, uri.factory):
        near = difflib.get_close_matches(uri.factory, known, 1)
        raise UsageError(
            f"{uri.place} has no '{uri.factory}'",
            hint=f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known[:12])}",
        )
    return getattr(module, uri.factory), code_digest(module)


def call(function: Callable[[], Any], name: str) -> Any:
    """Call the user's function, turning what it raises into one line.

    Raises:
        TargetError: It raised.
        MissingExtra: It needs a framework that is not installed.
    """
    try:
        return function()
    except (TargetError, UsageError, MissingExtra):
        raise
    except ImportError as error:
        raise _missing(error, name) from error
    except (Exception, SystemExit) as error:  # a user's function may raise anything
        raise TargetError(
            f"{name} raised {type(error).__name__}: {_first_line(error)}",
            hint="call it in Python to see where",
        ) from error


def takes_nothing(made: Any) -> bool:
    """Whether something is a factory: a function or class that can be called without arguments."""
    if not (isinstance(made, type) or is_plain(made)):
        return False
    try:
        parameters = inspect.signature(made).parameters.values()
    except (TypeError, ValueError):
        return False
    loose = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(p.default is not inspect.Parameter.empty or p.kind in loose for p in parameters)


def is_plain(made: Any) -> bool:
    """Whether something is a function and no object with a state of its own."""
    return inspect.isroutine(made)


def code_digest(module: ModuleType) -> str:
    """Return the digest of a module's source file, of nothing when it has none."""
    file = getattr(module, "__file__", None)
    if not file:
        return f"sha256:{hashlib.sha256(b'').hexdigest()}"
    from pathlib import Path

    return digest.of_path(Path(file))


def _import_file(path: Path) -> ModuleType:
    """Import a file under a name of its own, with its folder on the path as for a script."""
    path = path.resolve()
    name = f"casemate_user_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path.name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    loader = spec.loader
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    call(lambda: loader.exec_module(module), path.name)
    return module


def _import(uri: Uri, root: Path) -> ModuleType:
    folder = str(root.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = importlib.util.find_spec(uri.place)
    except (ImportError, ValueError) as error:
        raise UsageError(f"there is no file or module '{uri.place}': {error}") from error
    if found is None:
        raise UsageError(
            f"there is no file or module '{uri.place}'",
            hint="a file ends in .py, a module is importable from the configuration's folder",
        )
    module: ModuleType = call(lambda: importlib.import_module(uri.place), uri.place)
    return module


def _missing(error: ImportError, name: str) -> Exception:
    package = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and _EXTRAS.get(package):
        return MissingExtra(_EXTRAS[package], for_=name)
    return TargetError(
        f"{name} cannot be imported: {_first_line(error)}",
        hint=f"pip install {package}" if package else "",
    )


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else "no message"
