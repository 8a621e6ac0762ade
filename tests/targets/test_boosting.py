from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine

from casemate.errors import UsageError
from casemate.targets.open import open_target
from casemate.targets.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

X, Y = load_wine(return_X_y=True)
BX, BY = load_breast_cancer(return_X_y=True)


def settings(folder: Path, x: Any = X) -> Settings:
    return Settings(root=folder, sample=x[:8], bounds=(x.min(0), x.max(0)), threads=1)


class TestXgboost:
    xgb = pytest.importorskip("xgboost")

    def test_a_binary_model_gives_margins(self, tmp_path: Path) -> None:
        made = self.xgb.XGBClassifier(n_estimators=20, n_jobs=1).fit(BX, BY)
        made.save_model(tmp_path / "m.json")
        model: Any = open_target("m.json", settings=settings(tmp_path, BX))
        assert model.target.uri == "xgboost:m.json"
        scores = model.scores(BX)
        chance = 1 / (1 + np.exp(scores[:, 0] - scores[:, 1]))
        assert np.allclose(chance, made.predict_proba(BX)[:, 1], atol=1e-5)
        assert np.array_equal(model.labels(BX), made.predict(BX))

    @pytest.mark.parametrize("objective", ["multi:softmax", "multi:softprob"])
    def test_many_classes(self, tmp_path: Path, objective: str) -> None:
        matrix = self.xgb.DMatrix(X, Y)
        made = self.xgb.train({"objective": objective, "num_class": 3, "nthread": 1}, matrix, 5)
        made.save_model(tmp_path / "m.ubj")
        model: Any = open_target("m.ubj", settings=settings(tmp_path))
        assert (model.labels(X) == Y).mean() > 0.95

    def test_a_regression_is_refused(self, tmp_path: Path) -> None:
        self.xgb.XGBRegressor(n_estimators=2, n_jobs=1).fit(X, Y).save_model(tmp_path / "m.json")
        with pytest.raises(UsageError, match="reg:squarederror"):
            open_target("xgboost:m.json", settings=settings(tmp_path))

    @pytest.mark.parametrize("name", ["m.json", "m.ubj"])
    def test_truncated(self, tmp_path: Path, name: str) -> None:
        self.xgb.XGBClassifier(n_estimators=2, n_jobs=1).fit(X, Y).save_model(tmp_path / name)
        raw = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(raw[: len(raw) // 2])
        with pytest.raises(UsageError, match="truncated or not a model that XGBoost"):
            open_target(f"xgboost:{name}", settings=settings(tmp_path))

    def test_a_factory(self, tmp_path: Path) -> None:
        (tmp_path / "made.py").write_text(
            "from sklearn.datasets import load_wine\n"
            "from xgboost import XGBClassifier\n"
            "def make():\n"
            "    return XGBClassifier(n_estimators=5, n_jobs=1).fit(*load_wine(return_X_y=True))\n",
            encoding="utf-8",
        )
        for uri in ("xgboost:made.py:make", "made.py:make", "python:made.py:make"):
            model: Any = open_target(uri, settings=settings(tmp_path))
            assert (model.labels(X) == Y).mean() > 0.95

    def test_another_width_is_refused(self, tmp_path: Path) -> None:
        self.xgb.XGBClassifier(n_estimators=2, n_jobs=1).fit(X, Y).save_model(tmp_path / "m.json")
        with pytest.raises(UsageError, match=r"\(30,\), the model takes \(13,\)"):
            open_target("m.json", settings=settings(tmp_path, BX))


class TestLightgbm:
    lgb = pytest.importorskip("lightgbm")

    def train(self, folder: Path, objective: str, x: Any, y: Any, **more: Any) -> Any:
        params = {"objective": objective, "verbosity": -1, "num_threads": 1, **more}
        made = self.lgb.train(params, self.lgb.Dataset(x, y), 5)
        made.save_model(folder / "m.txt")
        return made

    def test_a_binary_model_gives_margins(self, tmp_path: Path) -> None:
        made = self.train(tmp_path, "binary", BX, BY)
        model: Any = open_target("m.txt", settings=settings(tmp_path, BX))
        assert model.target.uri == "lightgbm:m.txt"
        scores = model.scores(BX)
        chance = 1 / (1 + np.exp(scores[:, 0] - scores[:, 1]))
        assert np.allclose(chance, made.predict(BX), atol=1e-6)

    def test_one_against_the_rest(self, tmp_path: Path) -> None:
        made = self.train(tmp_path, "multiclassova", X, Y, num_class=3)
        model: Any = open_target("m.txt", settings=settings(tmp_path))
        assert np.array_equal(model.labels(X), made.predict(X).argmax(1))

    def test_a_regression_is_refused(self, tmp_path: Path) -> None:
        self.train(tmp_path, "regression", X, Y)
        with pytest.raises(UsageError, match="'regression', which is no classification"):
            open_target("m.txt", settings=settings(tmp_path))

    def test_truncated(self, tmp_path: Path) -> None:
        self.train(tmp_path, "binary", BX, BY)
        raw = (tmp_path / "m.txt").read_bytes()
        for share in (0.2, 0.6, 0.9):
            (tmp_path / "m.txt").write_bytes(raw[: int(share * len(raw))])
            with pytest.raises(UsageError, match="truncated or not a model that LightGBM"):
                open_target("lightgbm:m.txt", settings=settings(tmp_path, BX))

    def test_names_with_blanks_are_found_again(self, tmp_path: Path) -> None:
        from casemate.records.column import Column

        names = [f"measure {i}" for i in range(13)]
        data = self.lgb.Dataset(X, Y, feature_name=names)
        params = {"objective": "multiclass", "num_class": 3, "verbosity": -1, "num_threads": 1}
        made = self.lgb.train(params, data, 3)
        made.save_model(tmp_path / "m.txt")
        turned = X[:, ::-1]
        known = settings(tmp_path, turned)._replace(
            columns=tuple(Column(name=name) for name in names[::-1])
        )
        model: Any = open_target("m.txt", settings=known)
        assert np.array_equal(model.labels(turned), made.predict(X).argmax(1))
