from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from casemate.errors import UsageError
from casemate.targets.data import open_data

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, shape: tuple[int, ...] = (4, 6), value: int = 51) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)


def test_subfolders_are_classes(tmp_path: Path) -> None:
    write(tmp_path / "d" / "dog" / "1.png", (4, 6, 3), 51)
    write(tmp_path / "d" / "cat" / "1.png", (4, 6, 3), 255)
    write(tmp_path / "d" / "cat" / "deep" / "2.jpg", (4, 6, 3), 0)
    data = open_data("d", root=tmp_path)
    assert data.x.shape == (3, 3, 4, 6)
    assert data.x.dtype == np.float32
    assert data.x[:, 0, 0, 0].tolist() == pytest.approx([1.0, 0.0, 0.2])
    assert data.classes == ("cat", "dog")
    assert data.y.tolist() == [0, 0, 1]
    assert (data.lower, data.upper) == (0.0, 1.0)
    assert data.target.digest


def test_grey_images_have_one_channel_unless_mixed(tmp_path: Path) -> None:
    write(tmp_path / "d" / "a" / "1.png")
    write(tmp_path / "d" / "b" / "1.png")
    assert open_data("d", root=tmp_path).x.shape == (2, 1, 4, 6)
    write(tmp_path / "d" / "b" / "2.png", (4, 6, 3))
    assert open_data("d", root=tmp_path).x.shape == (3, 3, 4, 6)


def test_numbers_as_class_names_are_the_labels(tmp_path: Path) -> None:
    write(tmp_path / "d" / "10" / "1.png")
    write(tmp_path / "d" / "2" / "1.png")
    data = open_data("d", root=tmp_path)
    assert data.y.tolist() == [10, 2]
    assert data.classes is None
    assert "numbers" in data.notes[0]


def test_pictures_are_not_scaled_or_turned(tmp_path: Path) -> None:
    write(tmp_path / "d" / "a" / "1.png", (4, 6))
    write(tmp_path / "d" / "b" / "1.png", (6, 4))
    with pytest.raises(UsageError, match=r"differ in size, e\.g\. 6x4 and 4x6"):
        open_data("d", root=tmp_path)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    write(tmp_path / "d" / "a" / "1.png", (64, 64, 3))
    whole = (tmp_path / "d" / "a" / "1.png").read_bytes()
    (tmp_path / "d" / "a" / "1.png").write_bytes(whole[:60])
    with pytest.raises(UsageError, match=r"a/1\.png is not a readable image"):
        open_data("d", root=tmp_path)


def test_a_picture_of_huge_size_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "d" / "a" / "1.png", (4, 4, 3))
    raw = (tmp_path / "d" / "a" / "1.png").read_bytes()
    head = b"IHDR" + struct.pack(">II", 60_000, 60_000) + raw[24:29]
    crc = struct.pack(">I", zlib.crc32(head))
    (tmp_path / "d" / "a" / "1.png").write_bytes(raw[:12] + head + crc + raw[33:])
    with pytest.raises(UsageError, match=r"a/1\.png is not a readable image"):
        open_data("d", root=tmp_path)


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "d" / "a").mkdir(parents=True)
    with pytest.raises(UsageError, match="no images in class subfolders"):
        open_data("d", root=tmp_path)
