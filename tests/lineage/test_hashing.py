import hashlib
import os

import pytest

from casemate.lineage import hashing
from casemate.lineage.hashing import Hasher


def sha(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_a_file_is_known_by_its_bytes_its_size_and_when_it_was_written(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\n")
    os.utime(tmp_path / "a.csv", (5, 5))
    seen = Hasher([tmp_path]).file(tmp_path / "a.csv")
    assert seen[1:4] == (sha(b"a,b\n"), 4, 5000)
    md5 = Hasher([tmp_path], md5=True).file(tmp_path / "a.csv").md5
    assert md5 == hashlib.md5(b"a,b\n").hexdigest()


def test_a_folder_gives_its_files_by_their_paths_in_it(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_bytes(b"b")
    (tmp_path / "a").write_bytes(b"a")
    found, why = Hasher([tmp_path]).folder(tmp_path)
    assert [(seen.path, seen.digest) for seen in found] == [("a", sha(b"a")), ("deep/b", sha(b"b"))]
    assert why == ""


def test_nothing_outside_the_allowed_folders_is_read(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "own" / "link").symlink_to(tmp_path / "secret")
    hasher = Hasher([tmp_path / "own"])
    for path in ("secret", "own/../secret", "own/link", "own2"):
        assert hasher.file(tmp_path / path) is None
    found, why = hasher.folder(tmp_path / "own")
    assert found == []
    assert "outside" in why


def test_what_is_no_plain_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert Hasher([tmp_path]).file(tmp_path / "pipe") is None
    assert Hasher([tmp_path]).file(tmp_path) is None
    assert Hasher([tmp_path]).file("a\0b") is None


def test_too_much_is_told_without_a_digest(tmp_path, monkeypatch):
    monkeypatch.setattr(hashing, "TOTAL", 10)
    for name in "abc":
        (tmp_path / name).write_bytes(b"12345")
    found, _ = Hasher([tmp_path]).folder(tmp_path)
    assert [seen.digest is None for seen in found] == [False, False, True]
    monkeypatch.setattr(hashing, "ENTRIES", 2)
    found, why = Hasher([tmp_path]).folder(tmp_path)
    assert len(found) == 2
    assert "more than 2" in why


@pytest.mark.parametrize("deep", [3, 20])
def test_folders_are_followed_so_deep_and_no_deeper(tmp_path, deep):
    folder = tmp_path.joinpath(*["d"] * deep)
    folder.mkdir(parents=True)
    (folder / "f").write_bytes(b"f")
    assert len(Hasher([tmp_path]).folder(tmp_path)[0]) == (deep < hashing.DEPTH)
