"""Code, packages and seeds, as far as they can be seen; secrets are not among them."""

import os
import subprocess
import sys

import msgspec
import pytest

from casemate.lineage.digests import of_text
from casemate.lineage.surroundings import environment, git_state, masked, seeds


@pytest.fixture
def repository(tmp_path):
    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", tmp_path, *who, *words], check=True, capture_output=True)

    git("init", "-q", "-b", "trunk")
    (tmp_path / "train.py").write_text("x = 1\n")
    git("add", ".")
    git("commit", "-qm", "one")
    return tmp_path


def test_the_commit_and_what_is_not_in_it(repository):
    clean = git_state(repository)
    assert clean["clean"] is True
    assert clean["branch"] == "trunk"
    assert len(clean["commit"]) == 40
    (repository / "train.py").write_text("x = 2\n")
    changed = git_state(repository)
    assert changed["clean"] is False
    diff = subprocess.run(
        ["git", "-C", repository, "diff", "HEAD", "--binary"], capture_output=True, text=True
    ).stdout
    assert changed["diff"] == of_text(diff)


def test_no_repository_is_no_commit(tmp_path):
    assert git_state(tmp_path) == {}


def test_a_repository_does_not_choose_a_program_to_run(repository):
    mark = repository.parent / "ran"
    hostile = f"[core]\n\tfsmonitor = touch {mark}\n[diff]\n\texternal = touch {mark}\n"
    with (repository / ".git" / "config").open("a") as config:
        config.write(hostile)
    (repository / "train.py").write_text("x = 3\n")
    assert git_state(repository)["clean"] is False
    assert not mark.exists()


def test_packages_are_named_with_their_versions():
    found = environment([msgspec.__file__, os.__file__])
    assert found.imported == {"msgspec": msgspec.__version__}
    assert f"msgspec=={msgspec.__version__}" in found.listing.splitlines()
    assert environment([os.__file__]) == ("", {})


def test_packages_are_found_by_the_name_they_are_imported_by(tmp_path):
    site = tmp_path / "site-packages"
    for name in (
        "odd.dist-info",
        "Good_One-2.1.dist-info",
        "old-0.3-py3.9.egg-info",
        "idle-1.dist-info",
    ):
        (site / name).mkdir(parents=True)
    (site / "Good_One-2.1.dist-info" / "RECORD").write_text("other_name/__init__.py,,\n")
    found = environment([f"{site}/other_name/a.py", f"{site}/old.py", f"{site}/idle/data.csv"])
    assert found.listing.splitlines() == ["good-one==2.1", "idle==1", "odd==unknown", "old==0.3"]
    assert found.imported == {"good-one": "2.1", "old": "0.3"}


def test_seeds_of_command_environment_and_script(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import torch, random\ntorch.manual_seed(3)\nrandom.seed(args.seed)\n"
        "fit(x, random_state=7)\nrng = np.random.default_rng(11)\nfit(seed=True)\n"
    )
    command = ["python", "train.py", "--seed", "5", "--model-seed=6"]
    assert seeds(command, {"PYTHONHASHSEED": "0", "SEEDLESS": "x"}, [script], tmp_path) == [
        "seed=5 of the command",
        "model-seed=6 of the command",
        "PYTHONHASHSEED=0 of the environment",
        "manual_seed(3) in train.py line 2",
        "random_state=7 in train.py line 4",
        "default_rng(11) in train.py line 5",
    ]


@pytest.mark.parametrize("body", [b"def (", b"\xff\xfe", b"\0", b"(" * 5000])
def test_a_script_that_is_no_python_has_no_seeds(tmp_path, body):
    (tmp_path / "a.py").write_bytes(body)
    assert seeds(["a"], {}, [tmp_path / "a.py"], tmp_path) == []


def test_secrets_of_a_command_are_not_kept():
    command = [
        "train", "--token", "s3cret", "--api-key=s3cret", "DB_PASSWORD=s3cret",
        "https://me:s3cret@example.org/x", "--lr", "0.1",
    ]  # fmt: skip
    shown = masked(command)
    assert "s3cret" not in " ".join(shown)
    assert shown[-2:] == ["--lr", "0.1"]
    assert shown[5] == "https://***@example.org/x"
    assert masked([sys.executable, "train.py"]) == [sys.executable, "train.py"]
