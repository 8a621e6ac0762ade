"""Folders become files: in one order, links followed once, nothing opened that must not be."""

import os
import sys

import pytest

from casemate.errors import UsageError
from casemate.scan.discovery import discover


def made(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def uris(paths, root):
    return [found.uri for found in discover(paths, root)]


def test_order_is_that_of_names_and_paths_are_relative(tmp_path):
    made(tmp_path, "b/2", "b/1", "a", ".hidden/c", "b/d/e")
    assert uris([tmp_path], tmp_path) == [".hidden/c", "a", "b/1", "b/2", "b/d/e"]
    assert uris([tmp_path / "b", tmp_path / "b" / "1"], tmp_path) == ["b/1", "b/2", "b/d/e"]


def test_outside_the_root_paths_stay_absolute(tmp_path):
    made(tmp_path, "a", "in/b")
    assert uris([tmp_path / "a"], tmp_path / "in") == [(tmp_path / "a").as_posix()]


def test_missing_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        discover([tmp_path / "nothing"], tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_are_followed_and_loops_end(tmp_path):
    made(tmp_path, "real/f")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "real")
    (tmp_path / "file").symlink_to(tmp_path / "real" / "f")
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    found = {each.uri: each.refusal for each in discover([tmp_path], tmp_path)}
    assert found["again/f"] == found["file"] == ""
    assert "cannot be opened" in found["broken"]
    assert len(found) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (found,) = discover([tmp_path], tmp_path)
    assert found.refusal == "is not a regular file"


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_names_that_are_no_text(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
    assert uris([tmp_path], tmp_path) == ["caf\\xe9"]


def test_folders_nest_as_deep_as_they_like(tmp_path):
    deep = tmp_path.joinpath(*["d"] * 400)
    deep.mkdir(parents=True)
    (deep / "f").write_bytes(b"x")
    assert len(discover([tmp_path], tmp_path)) == 1
