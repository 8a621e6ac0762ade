from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from casemate.errors import UsageError
from casemate.records.column import Column
from casemate.targets.data import describe, open_data
from casemate.targets.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def save(folder: Path, **arrays: object) -> Path:
    np.savez(folder / "d.npz", **arrays)  # type: ignore[arg-type]
    return folder / "d.npz"


def refused(uri: str | Path, *words: str, **kwargs: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        open_data(str(uri), **kwargs)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in f"{caught.value} | {caught.value.hint}"
    return caught.value


class TestArrays:
    def test_bytes_are_divided_by_255(self, tmp_path: Path) -> None:
        x = np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2) * 20
        data = open_data(str(save(tmp_path, x=x, y=[0, 1, 2])))
        assert data.x.dtype == np.float32
        assert np.allclose(data.x, x / 255)
        assert (data.lower, data.upper) == (0.0, 1.0)
        assert data.y.dtype == np.int64
        assert data.target.kind == "dataset"
        assert data.target.digest
        assert data.target.digest.startswith("sha256:")
        assert data.columns == ()
        assert data.classes is None

    def test_a_relative_path_starts_from_the_root(self, tmp_path: Path) -> None:
        save(tmp_path, x=np.zeros((2, 3)), y=[0, 1])
        data = open_data("d.npz", root=tmp_path)
        assert data.target.uri == "d.npz"

    def test_an_absolute_path_inside_the_root_is_written_relative(self, tmp_path: Path) -> None:
        path = save(tmp_path, x=np.zeros((2, 3)), y=[0, 1])
        assert open_data(str(path), root=tmp_path).target.uri == "d.npz"

    def test_the_digest_is_of_the_file(self, tmp_path: Path) -> None:
        path = save(tmp_path, x=np.zeros((2, 3)), y=[0, 1])
        first = open_data(str(path)).target.digest
        assert open_data(str(path), limit=1).target.digest == first
        save(tmp_path, x=np.ones((2, 3)), y=[0, 1])
        assert open_data(str(path)).target.digest != first

    def test_a_limit_keeps_the_first(self, tmp_path: Path) -> None:
        path = save(tmp_path, x=np.eye(5), y=range(5))
        data = open_data(str(path), limit=2)
        assert data.y.tolist() == [0, 1]
        assert len(data.x) == 2
        refused(path, "limit", limit=0)

    def test_named_labels_become_positions(self, tmp_path: Path) -> None:
        data = open_data(str(save(tmp_path, x=np.eye(3), y=["dog", "cat", "dog"])))
        assert data.y.tolist() == [1, 0, 1]
        assert data.classes == ("cat", "dog")

    def test_labels_in_a_column_are_fine(self, tmp_path: Path) -> None:
        assert open_data(str(save(tmp_path, x=np.eye(2), y=[[1], [0]]))).y.tolist() == [1, 0]

    def test_values_within_given_bounds(self, tmp_path: Path) -> None:
        path = save(tmp_path, x=np.array([[-1.0, 0.5], [0.0, 1.0]]), y=[0, 1])
        data = open_data(str(path), bounds=(-1, 1))
        assert (data.lower, data.upper) == (-1.0, 1.0)


class TestBadArrays:
    def test_missing(self, tmp_path: Path) -> None:
        refused(tmp_path / "nothing.npz", "does not exist")

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "d.npz").touch()
        refused(tmp_path / "d.npz", "empty")

    def test_no_inputs(self, tmp_path: Path) -> None:
        refused(save(tmp_path, x=np.zeros((0, 3)), y=[]), "no inputs")

    @pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
    def test_truncated(self, tmp_path: Path, share: float) -> None:
        path = save(tmp_path, x=np.random.default_rng(0).random((50, 8)), y=np.zeros(50))
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        refused(path, "truncated")

    def test_bytes_inside_damaged(self, tmp_path: Path) -> None:
        path = tmp_path / "d.npz"
        np.savez_compressed(path, x=np.random.default_rng(0).random((50, 8)), y=np.zeros(50))
        raw = bytearray(path.read_bytes())
        for i in range(200, 1200):
            raw[i] ^= 0x5A
        path.write_bytes(raw)
        refused(path)

    def test_a_member_that_is_no_array(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
            archive.writestr("x.npy", b"nothing")
            archive.writestr("y.npy", b"nothing")
        refused(tmp_path / "d.npz")

    def test_python_objects(self, tmp_path: Path) -> None:
        x = np.array([[1, "a"], [None, {}]], dtype=object)
        refused(save(tmp_path, x=x, y=[0, 1]), "Python objects", "plain numbers")

    def test_other_names(self, tmp_path: Path) -> None:
        refused(save(tmp_path, images=np.eye(2), y=[0, 1]), "no array 'x'", "images", "savez")

    def test_lengths_that_differ(self, tmp_path: Path) -> None:
        refused(save(tmp_path, x=np.eye(3), y=[0, 1]), "3 inputs but 2 labels")

    def test_nan(self, tmp_path: Path) -> None:
        x = np.eye(3)
        x[1, 2] = np.nan
        refused(save(tmp_path, x=x, y=[0, 1, 2]), "1 of 3 inputs", "row 1", "(2,)")

    def test_infinite(self, tmp_path: Path) -> None:
        refused(save(tmp_path, x=np.full((2, 2), np.inf), y=[0, 1]), "2 of 2 inputs")

    def test_outside_zero_to_one_without_bounds(self, tmp_path: Path) -> None:
        path = save(tmp_path, x=np.array([[0.0, 255.0]]), y=[0])
        refused(path, "[0, 255]", "no bounds", "bounds = [0, 255]")

    def test_outside_given_bounds(self, tmp_path: Path) -> None:
        path = save(tmp_path, x=np.array([[0.0, 2.0], [0, 1]]), y=[0, 1])
        refused(path, "1 of 2 inputs", "outside the bounds [0, 1]", bounds=(0.0, 1.0))

    def test_fractional_labels(self, tmp_path: Path) -> None:
        refused(save(tmp_path, x=np.eye(2), y=[0.5, 1]), "fractions such as 0.5", "classifiers")

    def test_missing_labels(self, tmp_path: Path) -> None:
        refused(save(tmp_path, x=np.eye(2), y=[np.nan, 1]), "1 labels are missing")

    def test_one_hot_labels(self, tmp_path: Path) -> None:
        refused(save(tmp_path, x=np.eye(2), y=np.eye(2)), "shape (2, 2)", "argmax")

    def test_strings_as_inputs(self, tmp_path: Path) -> None:
        refused(save(tmp_path, x=[["a"], ["b"]], y=[0, 1]), "not numbers", "CSV")

    def test_complex_inputs(self, tmp_path: Path) -> None:
        refused(save(tmp_path, x=np.eye(2) * 1j, y=[0, 1]), "not numbers")

    def test_a_flat_array(self, tmp_path: Path) -> None:
        refused(save(tmp_path, x=np.zeros(3), y=[0, 1, 0]), "shape (3,)")

    def test_another_suffix(self, tmp_path: Path) -> None:
        (tmp_path / "d.mat").write_bytes(b"MATLAB 5.0")
        refused(tmp_path / "d.mat", "not data that casemate reads", ".npz")

    def test_a_pickle_called_npz(self, tmp_path: Path) -> None:
        import pickle

        (tmp_path / "d.npz").write_bytes(pickle.dumps({"x": 1}))
        refused(tmp_path / "d.npz")


def test_columns_the_user_edited_replace_the_learned(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("age,income,label\n30,1.5,a\n40,2.5,b\n", encoding="utf-8")
    age = Column(name="age", type="integer", low=0, high=120, mutable=False)
    data = open_data(str(tmp_path / "d.csv"), label="label", columns=[age])
    assert data.columns[0] == age
    assert data.columns[1].low == 1.5
    assert data.lower.tolist() == [0, 1.5]  # type: ignore[union-attr]
    assert data.upper.tolist() == [120, 2.5]  # type: ignore[union-attr]
    wrong = Column(name="agee")
    refused(tmp_path / "d.csv", "did you mean 'age'", label="label", columns=[wrong])


def test_settings_know_the_data(tmp_path: Path) -> None:
    data = open_data(str(save(tmp_path, x=np.eye(3), y=["a", "b", "c"])))
    settings = describe(data, Settings(threshold=None, batch=3))
    assert settings.shape == (3,)
    assert settings.batch == 3
    assert settings.class_names == ("a", "b", "c")
    assert settings.sample is not None
    assert len(settings.sample) == 3
