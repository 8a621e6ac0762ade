"""The command line as a user meets it: exit codes, one clear line, a hint."""

import subprocess
import sys

import pytest

from casemate.cli import main


def casemate(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "casemate", *words], cwd=cwd, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("gate",),
        ("report",),
        ("assess",),
        ("attack", "--attack", "evasion-pgd"),
        ("attack", "--attack", "evasion-pdg"),
        ("attack", "--attack", "evasion-pgd", "--set", "eps"),
        ("attack", "--attack", "evasion-pgd", "--set", "epss=1"),
        ("attack", "--attack", "evasion-pgd", "--budget", "0"),
        ("attack", "torch:nothing.py:load", "--data", "d.npz", "--attack", "evasion-pgd"),
        ("threats",),
        ("explain", "no-such-thing"),
        ("explain",),
        ("scan", "missing.pt"),
        ("--config", "x"),
        ("scan",),
        ("assess", "--time", "soon"),
    ],
)
def test_usage_errors_are_exit_2_with_one_line_and_no_traceback(words, tmp_path):
    done = casemate(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr


def test_help_names_every_verb_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for verb in ("init", "scan", "threats", "attack", "assess", "gate", "report", "explain", "ci"):
        assert f"\n    {verb} " in text
    assert "exit codes: 0 clean" in text


def test_a_reader_that_goes_away_is_no_crash(tmp_path):
    done = subprocess.run(
        f"{sys.executable} -m casemate explain --list | head -1",
        shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_what_a_file_is_called_does_not_steer_the_terminal(tmp_path):
    done = casemate("scan", "gone\x1b[31m.pt", cwd=tmp_path)
    assert "\x1b" not in done.stderr
    assert "gone\\x1b[31m.pt does not exist" in done.stderr
