from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from casemate.targets import digest

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert digest.of_path(tmp_path / "f") == f"sha256:{hashlib.sha256(b'abc').hexdigest()}"
    assert digest.of_files([tmp_path / "f"]) == digest.of_path(tmp_path / "f")


def test_a_folder_counts_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_bytes(b"abc")
    first = digest.of_path(tmp_path)
    (tmp_path / "a" / "f").rename(tmp_path / "a" / "g")
    second = digest.of_path(tmp_path)
    (tmp_path / "a" / "g").write_bytes(b"abd")
    assert len({first, second, digest.of_path(tmp_path)}) == 3


def test_arrays_count_type_shape_and_order() -> None:
    a, b = np.arange(6), np.ones(3)
    digests = {
        digest.of_arrays([a, b]),
        digest.of_arrays([b, a]),
        digest.of_arrays([a.reshape(2, 3), b]),
        digest.of_arrays([a.astype(np.int32), b]),
        digest.of_arrays([a, b], start="code"),
    }
    assert len(digests) == 5
    assert digest.of_arrays([np.arange(12)[::2]]) == digest.of_arrays([np.arange(0, 12, 2)])


def test_what_cannot_be_pickled_has_none() -> None:
    assert digest.of_object(lambda: None) is None
    first = digest.of_object({"a": 1})
    assert first == digest.of_object({"a": 1})
    assert first != digest.of_object({"a": 1}, start="code")
