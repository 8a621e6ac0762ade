"""casemate.toml is read strictly, and each complaint names the nearest thing that is known."""

from pathlib import Path

import pytest

from casemate.errors import UsageError
from casemate.workflows import config


def write(folder: Path, text: str) -> Path:
    path = folder / config.NAME
    path.write_text(text)
    return path


def test_a_full_configuration_is_read(tmp_path):
    loaded = config.read(
        write(
            tmp_path,
            """
            version = 1
            [model]
            target = "onnx:m.onnx"
            data = "d.csv"
            label = "y"
            bounds = [0, 1]
            [attack]
            eps = { linf = 0.1 }
            [[column]]
            name = "age"
            type = "integer"
            mutable = false
            [[component]]
            name = "api"
            kind = "endpoint"
            [[waiver]]
            fingerprint = "fp-00000000000000000000000000000000"
            reason = "known"
            expires = 2030-01-01
            """,
        )
    )
    assert loaded.config.model.bounds == (0.0, 1.0)
    assert loaded.config.column[0].mutable is False
    assert loaded.config.system is not None
    assert loaded.waivers[0].reason == "known"
    assert loaded.digest is not None
    assert loaded.root == tmp_path


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('[model]\ntargt = "x"', "targt", "target"),
        ('[modle]\ntarget = "x"', "modle", "model"),
        ("[[column]]\nnam = 'x'", "nam", "name"),
        ("version = 2", "version 2", "reads 1"),
        ("version = ", "not TOML", ""),
        ("[model]\nbounds = [1, 0]", "not an interval", ""),
        ("[attack]\nseed = 'x'", "seed", ""),
        ("[[flow]]\nsource = 'a'\ntarget = 'b'", "'a'", "[[component]]"),
        ("[[waiver]]\nfingerprint = 'fp-00000000000000000000000000000000'", "reason", ""),
    ],
)
def test_a_mistake_is_named(tmp_path, text, message, hint):
    with pytest.raises(UsageError) as caught:
        config.read(write(tmp_path, text))
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_the_nearest_configuration_above_is_found(tmp_path, monkeypatch):
    write(tmp_path, "version = 1")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert config.read().root == tmp_path


def test_the_search_stops_at_the_repository(tmp_path, monkeypatch):
    write(tmp_path, "version = 1")
    inner = tmp_path / "repository"
    (inner / ".git").mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert config.read().digest is None


def test_a_named_file_that_is_missing_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        config.read(tmp_path / "nothing.toml")
