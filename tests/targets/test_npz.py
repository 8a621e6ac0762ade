from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casemate.errors import UsageError
from casemate.targets.data import open_data
from casemate.targets.npz import read_npz

if TYPE_CHECKING:
    from pathlib import Path


def test_x_and_y_come_as_they_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones((2, 3), np.uint8), y=[1, 0], other=[1])
    raw = read_npz(tmp_path / "d.npz")
    assert raw.x.dtype == np.uint8
    assert raw.y.tolist() == [1, 0]


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=6))
def test_damage_is_refused_or_harmless(tmp_path: Path, flips: list[tuple[int, int]]) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, x=np.linspace(0, 1, 40).reshape(20, 2), y=np.arange(20))
    raw = bytearray(path.read_bytes())
    for place, flip in flips:
        raw[place % len(raw)] ^= flip
    path.write_bytes(raw)
    with contextlib.suppress(UsageError):
        open_data(str(path))


def test_an_array_under_the_wrong_name(tmp_path: Path) -> None:
    with (tmp_path / "d.npz").open("wb") as file:
        np.save(file, np.eye(3))
    with pytest.raises(UsageError, match="truncated or not"):
        read_npz(tmp_path / "d.npz")
