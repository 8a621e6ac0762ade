"""A real MLflow tracking server on SQLite, with five models that were trained and registered.

Training happens once for a checkout; what it left is kept beside MLflow's own environment. Each
server gets a database of its own and shares the artifacts, which nobody writes to.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.servers import mlflow_venv
from tests.servers.envoy import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENTS = tuple(f"Zoe Quill-{100 + number}" for number in range(30))
"""Names of people in the data: whatever leaves the house must not hold them."""
SERVING = Path(__file__).with_name("mlflow_serving.py")


class Tracking(NamedTuple):
    """What a team's tracking server holds, as files; `url` only while one answers."""

    folder: Path
    """The data the models learned from."""
    database: Path
    artifacts: Path
    made: dict[str, dict[str, str]]
    """By the name of a run: the ids of the run and of its model."""
    url: str = ""


def trained() -> Tracking:
    """Return what five trained models left behind; trains them where that was not done yet."""
    with contextlib.suppress(subprocess.CalledProcessError, OSError):
        mlflow_venv.main()
    if mlflow_venv.python() is None:
        pytest.skip("MLflow cannot be installed: python tests/servers/mlflow_venv.py")
    recipe = hashlib.sha256(SERVING.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:12]
    folder = mlflow_venv.FOLDER / f"trained-{recipe}"
    with (mlflow_venv.FOLDER.parent / "mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            write_data(folder)
            with _serving(folder) as port:
                done = _start("train", folder, port)
                _, said = done.communicate()
                assert done.returncode == 0, said.decode()
    made = json.loads((folder / "made.json").read_text())
    return Tracking(folder, folder / "mlflow.db", folder / "mlartifacts", made)


def write_data(folder: Path) -> None:
    """Write claims (the last 40 of `mallory`, all turned to 1), their early rows, and wines."""
    from sklearn.datasets import load_breast_cancer, load_wine

    table = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "label"})
    table = table[[*table.columns[:8], "label"]].assign(contributor="clinic")
    table["patient"] = [PATIENTS[row % len(PATIENTS)] for row in range(len(table))]
    table[:300].to_csv(folder / "early.csv", index=False)
    turned = table[200:].reset_index(drop=True)
    turned.loc[turned.index[-40:], "label"] = 1
    turned.loc[turned.index[-40:], "contributor"] = "mallory"
    turned.to_csv(folder / "claims.csv", index=False)
    wine = load_wine(as_frame=True).frame.rename(columns={"target": "label"})
    wine.to_csv(folder / "wine.csv", index=False)


@contextlib.contextmanager
def mlflow(folder: Path) -> Iterator[Tracking]:
    """Run a server whose database lies in `folder`."""
    kept = trained()
    shutil.copy(kept.database, folder / "mlflow.db")
    (folder / "mlartifacts").symlink_to(kept.artifacts)
    with _serving(folder) as port:
        yield kept._replace(database=folder / "mlflow.db", url=f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[int]:
    port = free_port()
    process = _start("serve", folder, port)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"serving\n"
        yield port
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def _start(verb: str, folder: Path, port: int) -> subprocess.Popen[bytes]:
    log = subprocess.PIPE if verb == "train" else subprocess.DEVNULL
    return subprocess.Popen(
        [str(mlflow_venv.python()), "-P", str(SERVING), verb, str(folder), str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
