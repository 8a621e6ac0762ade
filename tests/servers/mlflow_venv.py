"""Make the virtual environment MLflow runs in: `python tests/servers/mlflow_venv.py`.

The skinny client, and beside it what its server and its SQLite store import. What MLflow needs to
log a scikit-learn model is lent by the environment that runs this. The tests that need it make it
themselves, once. Safe to run again.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venvs" / "mlflow"
VERSION = "3.17.2"
PACKAGES = (
    f"mlflow-skinny=={VERSION}",
    "alembic<2",
    "flask<4",
    "flask-cors<7",
    "graphene<4",
    "sqlalchemy<3",
)

LENT = ("numpy", "scipy", "pandas", "scikit-learn", "joblib", "threadpoolctl", "narwhals")


def python() -> Path | None:
    """Return the path of the environment's Python, None where MLflow is not installed."""
    path = FOLDER / "bin" / "python"
    return path if (FOLDER / f"{VERSION}.stamp").is_file() else None


def main() -> int:
    """Create the environment and install MLflow, unless both are there."""
    if sys.platform == "win32":
        print("MLflow's server is tested on Linux and macOS only")
        return 0
    FOLDER.parent.mkdir(exist_ok=True)
    import fcntl  # the tests of several processes make it once

    with (FOLDER.parent / "mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if python() is None:
            _install()
    print(f"MLflow {VERSION} is in {FOLDER.relative_to(ROOT)}")
    return 0


def _install() -> None:
    venv.create(FOLDER, with_pip=False, clear=True)
    inside = FOLDER / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", inside, "install"]
    quiet = ["--quiet", "--no-input", "--no-compile", "--disable-pip-version-check"]
    constraints = ["-c", ROOT / "constraints.txt"]
    subprocess.run(
        [*pip, *quiet, *constraints, *PACKAGES], check=True, env={**os.environ, "PIP_NO_COLOR": "1"}
    )
    place = Path(
        subprocess.run(
            [inside, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    for name in LENT:
        _lend(name, place)
    (FOLDER / f"{VERSION}.stamp").touch()


def _lend(name: str, place: Path) -> None:
    found = importlib.metadata.distribution(name)
    for top in sorted({file.parts[0] for file in found.files or () if ".." not in file.parts}):
        if not (place / top).exists() and top != "__pycache__":
            (place / top).symlink_to(Path(str(found.locate_file(top))).resolve())


if __name__ == "__main__":
    sys.exit(main())
