"""The Makefile: few targets, each explained, and set-up by itself."""

import re
import subprocess

from tests.arch.house import ROOT

TEXT = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"(?m)^([a-z]+):", TEXT)


def test_at_most_twelve_targets_each_with_a_word_of_help():
    assert len(TARGETS) <= 12
    helped = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True
    )
    assert re.findall(r"make (\w+) +\S", helped.stdout) == TARGETS


def test_every_install_is_held_by_the_constraints():
    for line in TEXT.splitlines():
        if "pip" in line and "install" in line and "apt-get" not in line and line[0] != "#":
            assert "-c constraints.txt" in line


def test_ci_runs_what_check_runs():
    """What a newcomer runs first and what CI runs are the same checks."""
    recipe = re.search(r"(?m)^check:.*\n((?:\t.*\n)+)", TEXT).group(1)
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for tool in re.findall(r"@\$\(BIN\)/([\w-]+)(?: -m (\w+))?", recipe):
        name = tool[1] or tool[0]
        assert re.search(rf"\b{name}\b", ci), name
