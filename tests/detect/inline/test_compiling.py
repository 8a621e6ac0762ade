"""Kernels in installations that are not like the developer's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import casemate
from casemate.detect.inline.compiling import COMPILED

ASK = """
import json, sys
import numpy as np
{before}
from casemate.detect.inline.judge import InlineJudge
from casemate.records.exchange import Exchange
x = np.floor(np.random.default_rng(0).random((6, 12, 12)) * 256) / 256
x[3] = x[1]; x[4] = x[2]; x[4, 0, 0] = 0.5
judge = InlineJudge(b"k" * 32, capacity=64)
judge.warm()
ids = ["w-0:%d" % i for i in range(6)]
told = judge.look(Exchange(at=10**15, principal="p", model="m", x=x, rows=6), ids)
table = judge.look(
    Exchange(at=10**15, principal="p", model="m", x=x.reshape(6, 144)[:, :5], rows=6), ids
)
print(json.dumps([[m.marks, m.near_to, m.size, round(m.delta or 0, 4)] for m in told + table]))
"""


def ask(before="", **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK.format(before=before)],
        capture_output=True, text=True, env={**os.environ, **environment}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_numba_the_answers_are_the_same():
    assert ask("sys.modules['numba'] = None") == ask()


@pytest.mark.slow
@pytest.mark.skipif(not COMPILED, reason="numba is not installed")
@pytest.mark.skipif(os.name != "posix", reason="folder rights")
def test_the_cache_goes_elsewhere_or_nowhere_when_the_package_cannot_be_written(tmp_path):
    package = tmp_path / "site" / "casemate"
    shutil.copytree(
        Path(casemate.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    home = tmp_path / "home"
    home.mkdir()
    for folder in [package, *(one for one in package.rglob("*") if one.is_dir())]:
        folder.chmod(0o555)
    # Root writes where nobody may: a file in the place of the folder stops it too.
    inline = package / "detect" / "inline"
    inline.chmod(0o755)
    (inline / "__pycache__").write_bytes(b"")
    inline.chmod(0o555)
    try:
        there = {"PYTHONPATH": str(tmp_path / "site"), "HOME": str(home), "XDG_CACHE_HOME": ""}
        told = ask(NUMBA_CACHE_DIR=str(tmp_path / "cache"), **there)
        assert list((tmp_path / "cache").rglob("*.nbi"))
        assert told == ask()
    finally:
        for folder in package.rglob("*"):
            if folder.is_dir():
                folder.chmod(0o755)
        package.chmod(0o755)


@pytest.mark.skipif(not COMPILED, reason="numba is not installed")
def test_without_any_cache_folder_it_compiles_for_itself(monkeypatch):
    from casemate.detect.inline import compiling

    real = compiling.njit

    def njit(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(compiling, "njit", njit)
    assert compiling.kernel(lambda x: x + 1)(2) == 3
