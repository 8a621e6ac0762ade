from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, load_wine
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from casemate.errors import CasemateError, TargetError, UsageError
from casemate.targets.data import describe, open_data
from casemate.targets.open import open_target, wrap
from casemate.targets.settings import Settings
from tests.targets.subjects import digit_data, snapshot, wine_table

if TYPE_CHECKING:
    from pathlib import Path

X, Y = load_wine(return_X_y=True)
WINE = Settings(sample=X[::11], bounds=(X.min(0), X.max(0)))


def refused(made: Any, *words: str, settings: Settings = WINE) -> None:
    with pytest.raises(CasemateError) as caught:
        wrap(made, settings=settings)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in f"{caught.value} | {caught.value.hint}"


class TestPickles:
    def test_never_without_a_vet(self, tmp_path: Path) -> None:
        joblib.dump(GaussianNB().fit(X, Y), tmp_path / "m.joblib")
        with pytest.raises(UsageError, match="can run any code"):
            open_target("m.joblib", settings=WINE._replace(root=tmp_path))

    def test_a_pickle_with_a_payload_does_not_run(self, tmp_path: Path) -> None:
        class Payload:
            def __reduce__(self) -> Any:
                return (exec, (f"open({str(tmp_path / 'canary')!r}, 'w').close()",))

        (tmp_path / "m.pkl").write_bytes(pickle.dumps(Payload()))

        def vet(path: Path) -> Path:
            raise UsageError("refused")

        for given in (None, vet):
            with pytest.raises(UsageError):
                open_target("m.pkl", vet=given, settings=WINE._replace(root=tmp_path))
        assert not (tmp_path / "canary").exists()

    def test_the_scanner_lets_a_plain_estimator_pass(self, tmp_path: Path) -> None:
        from casemate.workflows.vet import Vet

        joblib.dump(GaussianNB().fit(X, Y), tmp_path / "m.joblib", compress=3)
        vet = Vet()
        model = open_target("m.joblib", vet=vet, settings=WINE._replace(root=tmp_path))
        assert model.classes == 3
        vet.close()

    @pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
    def test_truncated(self, tmp_path: Path, share: float) -> None:
        joblib.dump(GaussianNB().fit(X, Y), tmp_path / "m.joblib")
        raw = (tmp_path / "m.joblib").read_bytes()
        (tmp_path / "m.joblib").write_bytes(raw[: int(len(raw) * share)])
        with pytest.raises(TargetError, match=r"loading m\.joblib raised"):
            open_target("m.joblib", vet=snapshot, settings=WINE._replace(root=tmp_path))

    def test_a_bundle_names_what_is_in_it(self, tmp_path: Path) -> None:
        joblib.dump({"model": GaussianNB().fit(X, Y), "version": 3}, tmp_path / "m.pkl")
        with pytest.raises(UsageError, match=r"holds a dict \(model, version\)"):
            open_target("m.pkl", vet=snapshot, settings=WINE._replace(root=tmp_path))

    def test_another_version_is_noted(self, tmp_path: Path) -> None:
        model = GaussianNB().fit(X, Y)
        state = model.__getstate__()
        assert state["_sklearn_version"]
        raw = pickle.dumps(model).replace(state["_sklearn_version"].encode(), b"1.0.0")
        # The version string is length-prefixed, so that its length must not change.
        if len(state["_sklearn_version"]) != 5:
            pytest.skip("version of another length")
        (tmp_path / "m.pkl").write_bytes(raw)
        opened = open_target("m.pkl", vet=snapshot, settings=WINE._replace(root=tmp_path))
        assert "version 1.0.0" in opened.notes[0]


class TestEstimators:
    @pytest.mark.parametrize(
        "made",
        [
            LogisticRegression(max_iter=5000),
            RandomForestClassifier(10, random_state=0),
            make_pipeline(StandardScaler(), Perceptron()),
            make_pipeline(StandardScaler(), SVC(decision_function_shape="ovo")),
        ],
        ids=lambda made: type(made).__name__,
    )
    @pytest.mark.parametrize("names", [(0, 1, 2), (1, 2, 3), (10, 20, 30), ("c", "b", "a")])
    def test_labels_are_those_of_predict(self, made: Any, names: tuple[Any, ...]) -> None:
        y = np.array(names)[Y]
        made = made.fit(X, y)
        model: Any = wrap(made, settings=WINE)
        said = made.predict(X)
        labels = model.labels(X)
        if isinstance(names[0], str):
            assert np.array_equal(np.array(model.class_names)[labels], said)
        else:
            assert np.array_equal(labels, said)

    def test_predict_decides_where_probabilities_say_otherwise(self) -> None:
        class Contrary(GaussianNB):
            def predict(self, x: Any) -> Any:
                return self.classes_[self.predict_proba(x).argmin(1)]

        model = wrap(Contrary().fit(X, Y), settings=WINE._replace(sample=X[::10]))
        assert model.gives == {"labels"}
        assert "predict answers other classes" in model.notes[-1]

    def test_a_tuned_threshold_is_the_models_own(self) -> None:
        from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

        y = (Y == 1).astype(int)
        for made in (
            FixedThresholdClassifier(GaussianNB(), threshold=0.9),
            TunedThresholdClassifierCV(GaussianNB(), scoring="recall", cv=3),
        ):
            model: Any = wrap(made.fit(X, y), settings=WINE._replace(sample=X[::10]))
            assert model.threshold is not None
            assert np.array_equal(model.labels(X), made.predict(X))

    def test_calibrated_and_nested(self) -> None:
        made = CalibratedClassifierCV(make_pipeline(StandardScaler(), SVC())).fit(X, Y)
        model: Any = wrap(made, settings=WINE)
        assert model.kind == "probabilities"
        assert (model.labels(X) == Y).mean() > 0.9

    def test_an_outlier_detector_has_two_classes(self) -> None:
        made = IsolationForest(n_estimators=10, random_state=0).fit(X)
        model: Any = wrap(made, settings=WINE)
        assert model.class_names == ("-1", "1")
        assert np.array_equal(model.labels(X), (made.predict(X) > 0).astype(int))

    def test_images_are_flattened(self, tmp_path: Path) -> None:
        x, y = load_digits(return_X_y=True)
        made = LogisticRegression(max_iter=200).fit(x / 16, y)
        data = digit_data(tmp_path)
        model: Any = wrap(made, settings=describe(data))
        assert model.shape == (1, 8, 8)
        assert "given to the model as (64,)" in model.notes[0]
        assert (model.labels(data.x) == data.y).mean() > 0.95

    @pytest.mark.parametrize(
        ("made", "words"),
        [
            (LinearRegression().fit(X, Y), "is a regressor"),
            (StandardScaler().fit(X), "neither a model nor a function"),
            (LogisticRegression(), "NotFittedError"),
            (MultiOutputClassifier(GaussianNB()).fit(X, np.stack([Y, Y], 1)), "several outputs"),
            (GaussianNB().fit(X[:, :4], Y), "the model takes (4,)"),
            ({"a": 1}, "neither a model nor a function"),
        ],
    )
    def test_what_cannot_be_attacked(self, made: Any, words: str) -> None:
        refused(made, words)

    def test_an_estimator_that_answers_nan(self) -> None:
        class Broken(GaussianNB):
            def predict_proba(self, x: Any) -> Any:
                return super().predict_proba(x) * np.nan

        refused(Broken().fit(X, Y), "NaN")


class TestFrames:
    def frame(self, folder: Path) -> tuple[Any, pd.DataFrame, Any]:
        data = wine_table(folder, kinds=True)
        frame = pd.read_csv(folder / "wine.csv")
        return data, frame, frame.pop("label")

    def test_the_model_sees_what_it_was_trained_on(self, tmp_path: Path) -> None:
        data, frame, y = self.frame(tmp_path)
        seen: list[pd.DataFrame] = []

        known = frame.drop(columns="shade").to_numpy(float)

        class Watching(GaussianNB):
            def predict_proba(self, x: Any) -> Any:
                seen.append(x)
                rows = x.drop(columns="shade").to_numpy(float)
                return GaussianNB().fit(known, y).predict_proba(rows)

            def predict(self, x: Any) -> Any:
                return self.classes_[self.predict_proba(x).argmax(1)]

        made = Watching().fit(known, y)
        made.feature_names_in_, made.n_features_in_ = np.array(frame.columns), None
        model: Any = wrap(made, settings=describe(data))
        seen.clear()
        model.scores(data.x)
        pd.testing.assert_frame_equal(seen[0], frame, check_dtype=False)
        assert [d.kind for d in seen[0].dtypes[-3:]] == [frame.shade.dtype.kind, "b", "i"]

    def test_columns_are_matched_by_name(self, tmp_path: Path) -> None:
        data = wine_table(tmp_path)
        names = [c.name for c in data.columns]
        back = pd.DataFrame(data.x, columns=names)[names[::-1][:5]]
        made = GaussianNB().fit(back, data.y)
        model: Any = wrap(made, settings=describe(data))
        assert np.array_equal(model.labels(data.x), made.predict(back))
        assert model.notes[0].startswith("columns the model does not look at")
        assert model.shape == (13,)

    def test_a_column_that_is_missing_is_named(self, tmp_path: Path) -> None:
        data = wine_table(tmp_path)
        made = GaussianNB().fit(pd.DataFrame(data.x[:, :2], columns=["alcohol", "sugar"]), data.y)
        refused(made, "wants the column 'sugar'", "alcohol", settings=describe(data))

    def test_strings_that_the_model_never_saw(self, tmp_path: Path) -> None:
        from sklearn.preprocessing import OneHotEncoder

        data, frame, y = self.frame(tmp_path)
        old = frame[frame.shade != "deep"]
        made = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(
            old[["shade"]], y[old.index]
        )
        settings = describe(data)._replace(sample=data.x)
        refused(made, "unknown categories", settings=settings)

    def test_arrays_of_objects_where_there_are_no_names(self, tmp_path: Path) -> None:
        from sklearn.preprocessing import OneHotEncoder

        (tmp_path / "t.csv").write_text("a,b,y\nx,p,0\nz,q,1\nx,q,1\nz,p,0\n", encoding="utf-8")
        data = open_data("t.csv", root=tmp_path)
        rows = np.array([["x", "p"], ["z", "q"], ["x", "q"], ["z", "p"]], dtype=object)
        made = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(rows, data.y)
        model: Any = wrap(made, settings=describe(data))
        assert np.array_equal(model.labels(data.x), data.y)


class TestClasses:
    def test_numbered_by_the_model_named_by_the_data(self, tmp_path: Path) -> None:
        data = wine_table(tmp_path)
        model: Any = wrap(GaussianNB().fit(data.x, data.y), settings=describe(data))
        assert model.class_names == ("class_0", "class_1", "class_2")
        assert "0 is taken to be 'class_0'" in model.notes[0]
        assert (model.labels(data.x) == data.y).mean() > 0.9

    def test_names_in_another_order_and_one_the_data_lacks(self, tmp_path: Path) -> None:
        lines = ["a,b,label"] + [f"{i},{i % 7},{'no' if i < 10 else 'yes'}" for i in range(20)]
        (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
        data = open_data("t.csv", root=tmp_path)
        x = np.concatenate([data.x, data.x + np.array([100, 0])])
        y = np.array(["no"] * 10 + ["yes"] * 10 + ["maybe"] * 20)
        model: Any = wrap(
            RandomForestClassifier(10, random_state=0).fit(x, y), settings=describe(data)
        )
        assert model.class_names == ("no", "yes", "maybe")
        assert np.array_equal(model.labels(data.x), data.y)
        assert model.scores(data.x).shape == (20, 3)

    def test_nothing_in_common(self, tmp_path: Path) -> None:
        data = wine_table(tmp_path)
        made = GaussianNB().fit(data.x, np.array(["red", "white", "rose"])[data.y])
        refused(made, "red, rose, white", "class_0", "right label column", settings=describe(data))
