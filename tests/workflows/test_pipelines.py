"""The written pipelines are valid, pinned, and ask for no right they do not use."""

import re
import shlex

import pytest
import yaml

import casemate
from casemate.catalog.entries import Format
from casemate.catalog.loader import entries
from casemate.cli.program import build
from casemate.errors import UsageError
from casemate.workflows.pipelines import WHERE, pipeline


def read(kind):
    ((path, text),) = pipeline(kind).items()
    assert path == WHERE[kind]
    assert not re.search(r"@[A-Z_]+@", text)
    return yaml.safe_load(text), text


def commands(text):
    """Every casemate command line in a text, without redirections."""
    for line in re.findall(r"(?m)^\s*(?:- |run: |entry: )?(casemate (?!\[).*)$", text):
        yield shlex.split(line.split(">>")[0])[1:]


@pytest.mark.parametrize("kind", WHERE)
def test_every_command_in_it_is_one_the_command_line_takes(kind):
    _, text = read(kind)
    found = [words for words in commands(text) if words[0] != "@"]
    assert found
    for words in found:
        build().parse_args([*words, "model.pkl"] if words[0] == "scan" else words)


def test_github_asks_for_the_least_and_pins_every_action():
    body, text = read("github")
    assert body["permissions"] == {}
    (job,) = body["jobs"].values()
    assert job["permissions"] == {"contents": "read", "security-events": "write"}
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", use) for use in uses)
    assert len(re.findall(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+", text)) == len(uses)
    assert not job["steps"][0]["with"]["persist-credentials"]


def test_github_runs_nothing_that_a_pull_request_can_write():
    """Text of a pull request never reaches a shell: no expression stands inside a `run`."""
    body, _ = read("github")
    triggers = body[True]  # YAML 1.1 reads the key `on` as true
    assert set(triggers) == {"pull_request", "push"}
    for job in body["jobs"].values():
        assert not any("${{" in step.get("run", "") for step in job["steps"])


def test_github_uploads_sarif_summarises_and_caches():
    body, text = read("github")
    steps = next(iter(body["jobs"].values()))["steps"]
    assert any("upload-sarif" in step.get("uses", "") for step in steps)
    assert "GITHUB_STEP_SUMMARY" in text
    (cache,) = [step for step in steps if "actions/cache@" in step.get("uses", "")]
    assert ".casemate" in cache["with"]["path"]


def test_gitlab_reports_caches_and_keeps_the_files_it_writes():
    body, text = read("gitlab")
    job = body["casemate"]
    assert job["artifacts"]["reports"] == {"junit": "casemate.xml"}
    written = set(re.findall(r"-o (\S+)", text))
    assert written == {*job["artifacts"]["paths"], "casemate.xml"}
    assert ".casemate/" in job["cache"]["paths"]


def test_pre_commit_looks_at_every_suffix_that_can_run_code():
    body, _ = read("pre-commit")
    (hook,) = body["repos"][0]["hooks"]
    assert hook["additional_dependencies"] == [f"casemate=={casemate.__version__}"]
    for each in entries("formats", Format).values():
        for suffix in each.suffixes if each.executes != "no" else ():
            assert re.search(hook["files"], f"models/net{suffix}")
            assert re.search(hook["files"], f"models/NET{suffix.upper()}")
    assert not re.search(hook["files"], "src/net.py")


def test_extras_and_time_are_put_in_and_nothing_else_can_be():
    ((_, text),) = pipeline("github", extras=("sklearn",), time="5m").items()
    assert f"casemate[sklearn]=={casemate.__version__}" in text
    assert "--time 5m" in text
    for wrong in ({"extras": ('x" && evil',)}, {"time": "5m; evil"}):
        with pytest.raises(UsageError):
            pipeline("github", **wrong)
    with pytest.raises(UsageError, match="jenkins"):
        pipeline("jenkins")
