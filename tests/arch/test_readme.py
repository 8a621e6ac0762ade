"""Every command and every link of the README and the tutorials is true."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from casemate.cli.program import build
from tests.arch.house import PROJECT, ROOT

EXTRAS = PROJECT["project"]["optional-dependencies"]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
TUTORIALS = {
    "engineer": ROOT / "README.md",
    "responder": ROOT / "README.md",
    "assess-a-model": ROOT / "docs" / "tutorials" / "assess-a-model.md",
    "suspicious-file": ROOT / "docs" / "tutorials" / "suspicious-file.md",
}
SECTIONS = {"engineer": "If you ship models", "responder": "If you were handed a file"}


def shell(text):
    """Every command of the `sh` blocks of a text, without its comment."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def part(name):
    text = TUTORIALS[name].read_text(encoding="utf-8")
    if name in SECTIONS:
        text = next(s for s in re.split(r"(?m)^## ", text) if s.startswith(SECTIONS[name]))
    return text


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_are_ones_that_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for words in shell(page.read_text(encoding="utf-8")):
        if words[0] == "casemate":
            build().parse_args(words[1:])
        elif words[0] == "make":
            assert re.search(rf"(?m)^{words[1]}:", makefile)
        elif words[0] == "sha256sum":
            assert words[1] == "-c"
        elif words[0] in ("python", "python3"):
            script = next(word for word in words[1:] if not word.startswith("-"))
            assert script.endswith("/verify_bundle.py"), words
        else:
            assert words[:2] == ["pip", "install"], words
            for extras in re.findall(r"\[(.*)\]", words[2]):
                assert set(extras.split(",")) <= set(EXTRAS)


@pytest.mark.parametrize("page", PAGES[:3], ids=lambda p: p.name)
def test_links_within_the_repository_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (ROOT / link).exists(), link


def test_paths_the_documents_name_are_there():
    """A path of ours in prose is written as `src/...`, `tests/...` and so on."""
    for page in PAGES:
        made = set(re.findall(r" to\s+`([^`]+)`", page.read_text(encoding="utf-8")))
        for path in re.findall(
            r"`((?:src|tests|docs|bench|examples)/[\w./-]+)`", page.read_text(encoding="utf-8")
        ):
            assert path in made or (ROOT / path).exists(), f"{page.name} names {path}"


@pytest.mark.parametrize("name", TUTORIALS)
def test_followed_from_top_to_bottom_it_works(name, tmp_path):
    """The files a page shows are written, then its commands run in order in that folder."""
    text = part(name)
    for title, body in re.findall(r'```python title="(\w+\.py)"\n(.*?)```', text, re.DOTALL):
        (tmp_path / title).write_text(body)
        python(tmp_path, title)
    if name == "engineer":
        tutorial = TUTORIALS["assess-a-model"].read_text(encoding="utf-8")
        script = re.search(r'```python title="train.py"\n(.*?)```', tutorial, re.DOTALL)
        (tmp_path / "train.py").write_text(script.group(1))
        python(tmp_path, "train.py")
    if name == "responder":
        (tmp_path / "suspicious").mkdir()
        (tmp_path / "suspicious" / "model.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    codes = {}
    for words in shell(text):
        if words[0] != "casemate":
            continue
        if "--time" in words:  # the shape of the command is kept, the wait is not
            words[words.index("--time") + 1] = "12s"
        done = python(tmp_path, "-m", *words)
        codes[words[1]] = done.returncode
        assert "Traceback" not in done.stderr
        expected = {"scan": (1,), "assess": (0, 1)}.get(words[1], (0,))
        assert done.returncode in expected, f"{words}\n{done.stdout}{done.stderr}"
    assert codes
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        (tmp_path / "lines.py").write_text(code.replace("minutes=2", "minutes=0.15"))
        assert python(tmp_path, "lines.py").stdout.startswith(("yes", "no", "cannot-tell"))


def python(folder: Path, *words: str):
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
