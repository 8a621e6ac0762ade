"""Payloads are named by their bytes, written whole, and verified when read."""

import hashlib

import pytest

from casemate.errors import StoreError
from casemate.store.blobs import Blobs


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


def test_a_payload_comes_back_under_its_digest(blobs):
    digest = blobs.put(b"payload")
    assert digest == "sha256:" + hashlib.sha256(b"payload").hexdigest()
    assert blobs.get(digest) == b"payload"
    assert blobs.put(b"payload") == digest


def test_a_changed_payload_is_refused_and_can_be_put_right(blobs, tmp_path):
    digest = blobs.put(b"payload")
    (path,) = (tmp_path / "blobs").glob("*/*")
    path.write_bytes(b"altered")
    with pytest.raises(StoreError, match="has changed"):
        blobs.get(digest)
    blobs.put(b"payload")
    assert blobs.get(digest) == b"payload"


def test_a_missing_payload_says_so(blobs):
    with pytest.raises(StoreError, match="not in the workspace"):
        blobs.get("sha256:" + "0" * 64)


@pytest.mark.parametrize("digest", ["", "sha256:../../etc/passwd", "md5:00", "sha256:" + "A" * 64])
def test_only_a_digest_names_a_payload(blobs, digest):
    with pytest.raises(StoreError, match="not a digest"):
        blobs.get(digest)


def test_a_failed_write_leaves_no_part_behind(blobs, tmp_path, monkeypatch):
    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(StoreError) as caught:
        blobs.put(b"payload")
    assert "free some space" in caught.value.hint
    assert not list((tmp_path / "blobs").glob("*/*"))
    assert not list((tmp_path / "blobs").glob("*/.*"))
