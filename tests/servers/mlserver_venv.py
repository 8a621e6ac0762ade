"""Make the virtual environment MLServer runs in: `python tests/servers/mlserver_venv.py [torch]`.

MLServer pins old releases of starlette and fastapi, so it never shares an environment with
casemate. The tests that need it are skipped where this has not been run. Safe to run again.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venvs" / "mlserver"
VERSION = "1.7.1"


def command() -> Path | None:
    """Return the path of MLServer's command, None where it is not installed."""
    path = FOLDER / "bin" / "mlserver"
    return path if path.is_file() else None


def main() -> int:
    """Create the environment and install MLServer, unless both are there."""
    if sys.version_info >= (3, 13):
        print(f"MLServer {VERSION} does not run on Python 3.13 and later")
        return 0
    if command() is None:
        venv.create(FOLDER, with_pip=True, clear=True)
        pip = [FOLDER / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-input"]
        subprocess.run([*pip, "-c", ROOT / "constraints.txt", f"mlserver=={VERSION}"], check=True)
    if "torch" in sys.argv[1:] and not (FOLDER / "torch.stamp").exists():
        torch = [FOLDER / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-input"]
        subprocess.run([*torch, "-c", ROOT / "constraints.txt", "torch"], check=True)
        (FOLDER / "torch.stamp").touch()
    print(f"MLServer {VERSION} is in {FOLDER.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
