from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from casemate.errors import TargetError, UsageError
from casemate.targets.data import open_data

if TYPE_CHECKING:
    from pathlib import Path


def refused(uri: str, *words: str, root: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_data(uri, root=root)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in f"{caught.value} | {caught.value.hint}"


class TestFunctions:
    def write(self, folder: Path, body: str) -> str:
        (folder / "loader.py").write_text(f"import numpy as np\n{body}\n", encoding="utf-8")
        return "loader.py:data"

    def test_a_pair(self, tmp_path: Path) -> None:
        uri = self.write(tmp_path, "def data(): return np.eye(3), [0, 1, 2]")
        data = open_data(uri, root=tmp_path)
        assert data.x.shape == (3, 3)
        assert data.target.uri == "loader.py:data"
        assert data.target.digest

    def test_a_mapping_and_names(self, tmp_path: Path) -> None:
        uri = self.write(tmp_path, "def data(): return {'x': np.eye(2), 'y': ['b', 'a']}")
        assert open_data(uri, root=tmp_path).classes == ("a", "b")

    def test_torch_tensors(self, tmp_path: Path) -> None:
        pytest.importorskip("torch")
        uri = self.write(
            tmp_path,
            "import torch\ndef data(): return torch.eye(2).requires_grad_(), torch.tensor([0, 1])",
        )
        assert open_data(uri, root=tmp_path).y.tolist() == [0, 1]

    def test_none_named(self, tmp_path: Path) -> None:
        self.write(tmp_path, "def data(): pass")
        refused("loader.py", "name the function", root=tmp_path)

    def test_a_near_name(self, tmp_path: Path) -> None:
        self.write(tmp_path, "def data(): pass")
        refused("loader.py:date", "did you mean 'data'", root=tmp_path)

    def test_something_else_returned(self, tmp_path: Path) -> None:
        uri = self.write(tmp_path, "def data(): return 3")
        refused(uri, "returned int", "(x, y)", root=tmp_path)

    def test_ragged_rows(self, tmp_path: Path) -> None:
        uri = self.write(tmp_path, "def data(): return [np.zeros(2), np.zeros(3)], [0, 1]")
        refused(uri, "ragged", root=tmp_path)

    def test_it_raises(self, tmp_path: Path) -> None:
        uri = self.write(tmp_path, "def data(): raise RuntimeError('no\\nluck')")
        with pytest.raises(TargetError, match=r"data\(\) raised RuntimeError: no$"):
            open_data(uri, root=tmp_path)

    def test_it_does_not_parse(self, tmp_path: Path) -> None:
        uri = self.write(tmp_path, "def data( return")
        with pytest.raises(TargetError, match="SyntaxError"):
            open_data(uri, root=tmp_path)

    def test_it_exits(self, tmp_path: Path) -> None:
        uri = self.write(tmp_path, "def data(): raise SystemExit(3)")
        with pytest.raises(TargetError, match="SystemExit"):
            open_data(uri, root=tmp_path)

    def test_a_frame_keeps_its_columns(self, tmp_path: Path) -> None:
        pytest.importorskip("pandas")
        uri = self.write(
            tmp_path,
            "import pandas as pd\n"
            "def data():\n"
            "    x = {'age': [3, 4, 5], 'city': ['a', 'b', None], 'far': [1.5, 2, 3]}\n"
            "    return pd.DataFrame(x), pd.Series(['no', 'yes', 'no'])",
        )
        data = open_data(uri, root=tmp_path)
        assert [c.name for c in data.columns] == ["age", "city", "far"]
        assert [e.dtype for e in data.encodings] == ["integer", "string", "float"]
        assert data.x.tolist() == [[3, 0, 1.5], [4, 1, 2]]
        assert data.classes == ("no", "yes")
        assert "1 of 3 rows" in data.notes[0]

    def test_a_bunch(self, tmp_path: Path) -> None:
        pytest.importorskip("sklearn")
        uri = self.write(
            tmp_path, "from sklearn.datasets import load_wine\n"
            "def data(): return load_wine(as_frame=True)",
        )  # fmt: skip
        data = open_data(uri, root=tmp_path)
        assert data.x.shape == (178, 13)
        assert data.columns[0].name == "alcohol"
        assert np.bincount(data.y).tolist() == [59, 71, 48]

    def test_a_dataset_of_pairs(self, tmp_path: Path) -> None:
        pytest.importorskip("torch")
        uri = self.write(
            tmp_path,
            "import torch\n"
            "from torch.utils.data import TensorDataset\n"
            "def data(): return TensorDataset(torch.rand(5, 1, 2, 2), torch.arange(5))",
        )
        data = open_data(uri, root=tmp_path)
        assert data.x.shape == (5, 1, 2, 2)
        assert data.y.tolist() == [0, 1, 2, 3, 4]

    def test_objects_that_are_no_frame(self, tmp_path: Path) -> None:
        uri = self.write(tmp_path, "def data(): return [['a', None]], [0]")
        refused(uri, "mixed types", "DataFrame", root=tmp_path)
