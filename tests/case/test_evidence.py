"""Items of evidence: kept whole or not at all, copied later, and honest about what is missing."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime

import pytest

from casemate.case import evidence
from casemate.errors import StoreError

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def frozen(path, name="artifacts/m.pt", digest=None):
    return evidence.Item(
        name=name, kind="artifact", state="frozen", source=path.name, how="hashed", at=NOW,
        digest=digest, frozen_digest=digest,
    )  # fmt: skip


def test_what_is_kept_can_be_read_and_has_its_digest(tmp_path):
    whole = evidence.keep(
        tmp_path, "a.json", b"{}", kind="record", source="x", how="written", at=NOW
    )
    pieces = evidence.keep(
        tmp_path, "b.jsonl", iter([b"1\n", b"2\n"]), kind="events", source="x", how="q", at=NOW
    )
    evidence.write(tmp_path, [whole])
    evidence.write(tmp_path, [pieces])
    assert evidence.read(tmp_path) == [whole, pieces]
    for one, body in ((whole, b"{}"), (pieces, b"1\n2\n")):
        assert (tmp_path / evidence.COPIES / one.copy).read_bytes() == body
        assert one.digest == f"sha256:{hashlib.sha256(body).hexdigest()}"
        assert one.bytes == len(body)


def test_the_last_word_on_an_item_counts_and_a_torn_line_is_not_one(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(b"weights")
    digest, size = evidence.digest_of(path)
    assert size == 7
    item = frozen(path, digest=digest)
    evidence.write(tmp_path, [item])
    done = evidence.copy(tmp_path, item, path, at=NOW)
    assert (done.state, done.digest, done.why) == ("copied", digest, None)
    evidence.write(tmp_path, [done])
    with (tmp_path / evidence.LIST).open("ab") as out:
        out.write(b'{"name":"torn')
    assert evidence.read(tmp_path) == [done]
    evidence.write(tmp_path, [frozen(path, "other")])
    with pytest.raises(StoreError, match="line 3"):
        evidence.read(tmp_path)


def test_a_file_that_changed_is_copied_and_said_to_have_changed(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(b"weights")
    item = frozen(path, digest=evidence.digest_of(path)[0])
    path.write_bytes(b"others!")
    done = evidence.copy(tmp_path, item, path, at=NOW)
    assert done.state == "changed"
    assert done.digest != done.frozen_digest
    assert (tmp_path / evidence.COPIES / done.copy).read_bytes() == b"others!"


def test_a_file_that_is_gone_or_cannot_be_read_says_so(tmp_path):
    gone = evidence.copy(tmp_path, frozen(tmp_path / "m.pt"), tmp_path / "m.pt", at=NOW)
    assert (gone.state, gone.copy) == ("absent", None)
    folder = tmp_path / "folder"
    folder.mkdir()
    odd = evidence.copy(tmp_path, frozen(folder), folder, at=NOW)
    assert odd.state == "failed"
    assert odd.why
    assert not list((tmp_path / evidence.COPIES).glob(".part-*"))


def test_a_full_disk_leaves_no_half_of_a_file(tmp_path, monkeypatch):
    def pieces():
        yield b"1"
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        evidence.keep(tmp_path, "x", pieces(), kind="log", source="x", how="q", at=NOW)
    assert list((tmp_path / evidence.COPIES).iterdir()) == []


def test_pieces_that_break_off_leave_no_half_of_a_file(tmp_path):
    def pieces():
        yield b"1"
        raise StoreError("the server has gone away")

    with pytest.raises(StoreError, match="gone away"):
        evidence.keep(tmp_path, "x", pieces(), kind="log", source="x", how="q", at=NOW)
    assert list((tmp_path / evidence.COPIES).iterdir()) == []


def test_a_copy_that_is_interrupted_leaves_no_half_of_a_file(tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    path = tmp_path / "m.pt"
    path.write_bytes(b"weights")
    with pytest.raises(KeyboardInterrupt):
        evidence.copy(tmp_path, frozen(path), path, at=NOW, progress=interrupt)
    assert list((tmp_path / evidence.COPIES).iterdir()) == []


def test_hashing_stops_when_the_time_is_up(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(b"weights")
    assert evidence.digest_within(path, time.monotonic() + 60) == evidence.digest_of(path)
    assert evidence.digest_within(path, time.monotonic() - 1) == (None, 7)
