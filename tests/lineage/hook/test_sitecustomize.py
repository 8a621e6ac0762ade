"""The hook notes what Python opens and never gets into the script's way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from casemate.lineage.hook import sitecustomize
from casemate.lineage.recording import HOOK, VARIABLE


def noted(tmp_path, script, *, path="", code=0):
    notes = tmp_path / "notes.jsonl"
    notes.touch()
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, VARIABLE: str(notes), "PYTHONPATH": f"{HOOK}{os.pathsep}{path}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    assert "sitecustomize" not in done.stderr
    lines = [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
    inside = [line for line in lines if str(tmp_path) in str(line[1])]
    return done, inside


def test_it_is_named_as_the_recorder_names_it():
    assert Path(sitecustomize.__file__).parent == HOOK
    assert sitecustomize._NOTES == VARIABLE


def test_reading_writing_and_renaming_are_noted_once(tmp_path):
    (tmp_path / "a").write_text("abc")
    script = "import os\nfor _ in 1, 2: open('a').read()\nopen('b', 'w'); os.rename('b', 'c')"
    _, lines = noted(tmp_path, script)
    read, wrote, renamed = lines
    found = (tmp_path / "a").stat()
    assert read == ["open", f"{tmp_path}/a", read[2], found.st_ino, 3, found.st_mtime_ns]
    assert wrote[:2] == ["open", f"{tmp_path}/b"]
    assert wrote[2] & os.O_CREAT
    assert renamed == ["replace", f"{tmp_path}/b", f"{tmp_path}/c"]


SCRIPTS = {
    "the notes are gone": "import os; os.remove(os.environ['CASEMATE_LINEAGE_NOTES']); open('a')",
    "all descriptors closed": "import os; os.closerange(3, 99); f = open('a')\n"
    "assert f.fileno() == 3; f.read()",
    "odd paths": "import os\nfor p in b'a', 0:\n    open(p, closefd=p != 0)\n",
    "a missing file": "try:\n    open('none')\nexcept FileNotFoundError: pass",
    "its folder is gone": "import os; os.mkdir('x'); os.chdir('x'); os.rmdir('../x')\n"
    "try:\n    open('none')\nexcept FileNotFoundError: pass",
    "threads": "import threading\ndef read(): open('a').close()\n"
    "ts = [threading.Thread(target=read) for _ in range(9)]\n"
    "[t.start() for t in ts]; [t.join() for t in ts]",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_does_as_it_would_without(tmp_path, name):
    (tmp_path / "a").write_text("abc")
    done, _ = noted(tmp_path, SCRIPTS[name])
    assert done.stdout == ""


def test_one_that_was_there_before_is_loaded_as_well(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "sitecustomize.py").write_text("print('mine too')\n")
    (tmp_path / "a").write_text("abc")
    done, lines = noted(tmp_path, "open('a')", path=f"{tmp_path}/mine")
    assert done.stdout == "mine too\n"
    assert ["open", f"{tmp_path}/a"] in [line[:2] for line in lines]
