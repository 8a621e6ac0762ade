"""Digests are those everybody else takes, and lists have no order."""

import hashlib

from casemate.lineage.digests import of_file, of_list, of_text


def test_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 10_000)
    assert of_file(tmp_path / "a") == f"sha256:{hashlib.sha256(b'abc' * 10_000).hexdigest()}"
    assert of_file(tmp_path / "none") is None
    assert of_file(tmp_path) is None


def test_a_list_in_any_order():
    one, other = ("b", "sha256:2"), ("a", "sha256:1")
    assert of_list([one, other]) == of_list([other, one])
    assert of_list([one, other]) == of_text("sha256:1  a\nsha256:2  b\n")
    assert of_list([("a", "sha256:2"), ("b", "sha256:1")]) != of_list([one, other])


def test_a_text_that_is_no_text():
    assert of_text("\udc80").startswith("sha256:")
