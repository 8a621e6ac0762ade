"""Proposals on real tables and small real networks; bench/matching.py measures them at length."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.neural_network import MLPClassifier

from casemate.lineage import likeness
from casemate.lineage.columns import marks_of
from casemate.lineage.likeness import Answers
from casemate.lineage.matching import MOST, Content, propose
from casemate.lineage.tensors import Tensor
from casemate.records.edge import Node
from casemate.records.make import make


def node(name, kind="dataset", at=None, digest=None):
    return make(Node, id=name, kind=kind, name=name, at=at, digest=digest)


@pytest.fixture(scope="module")
def rows():
    bunch = load_breast_cancer()
    return np.column_stack([bunch.data[:, :8], bunch.target])


def content(folder, name, table, **more):
    path = folder / f"{name}.csv"
    np.savetxt(path, table, delimiter=",", header=",".join("abcdefghi"), comments="")
    return Content(node(name, **more), marks=marks_of(path))


def pairs(edges):
    return {(edge.source, edge.target) for edge in edges}


class TestTables:
    def test_a_scaled_table_and_a_sample_come_from_the_first_and_another_half_does_not(
        self, tmp_path, rows
    ):
        scaled = (rows - rows.mean(0)) / rows.std(0)
        scaled[:, -1] = rows[:, -1]
        half = len(rows) // 2
        given = [
            content(tmp_path, "raw", rows[:half], at=1),
            content(tmp_path, "scaled", scaled[:half], at=2),
            content(tmp_path, "sample", rows[20:120], at=3),
            content(tmp_path, "others", rows[half:], at=4),
        ]
        edges = propose(given)
        assert {("raw", "scaled"), ("raw", "sample")} <= pairs(edges)
        assert not any("others" in pair for pair in pairs(edges))
        why = {(edge.source, edge.target): edge.why for edge in edges}
        assert "ranks" in why["raw", "scaled"] or "same order" in why["raw", "scaled"]
        assert "100 equal rows, 100% of the smaller table" in why["raw", "sample"]
        assert all(0.5 <= edge.confidence <= MOST for edge in edges)
        assert {edge.by for edge in edges} == {"content matching"}

    def test_without_times_the_larger_one_is_taken_for_the_first(self, tmp_path, rows):
        given = [content(tmp_path, "part", rows[:100]), content(tmp_path, "whole", rows)]
        (edge,) = propose(given)
        assert (edge.source, edge.target) == ("whole", "part")
        assert "nothing says which came first" in edge.why

    def test_rows_that_anybody_has_mean_nothing(self, tmp_path):
        rng = np.random.default_rng(0)
        tables = rng.integers(0, 2, (2, 300, 9))
        given = [content(tmp_path, f"t{n}", one, at=n) for n, one in enumerate(tables)]
        assert propose(given) == []


class TestNetworks:
    @pytest.fixture(scope="class")
    def digits(self):
        bunch = load_digits()
        return bunch.data / 16, bunch.target

    @pytest.fixture(scope="class")
    def nets(self, digits):
        x, y = digits

        def fit(seed):
            return MLPClassifier((32,), max_iter=25, random_state=seed).fit(x[:600], y[:600])

        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            base, other, tuned = fit(1), fit(2), fit(1)
            tuned.set_params(warm_start=True, max_iter=5, learning_rate_init=1e-4)
            tuned.fit(x[600:1200], y[600:1200])
        return {"base": base, "other": other, "tuned": tuned}

    def of(self, name, net, x, kind="model", **more):
        tensors = [Tensor(f"w{n}", one) for n, one in enumerate(net.coefs_)]
        return Content(
            node(name, kind, **more), sketch=likeness.sketch(tensors),
            answers=Answers("digits", net.predict_proba(x[1200:])),
        )  # fmt: skip

    def test_a_tuned_network_comes_from_its_base_and_not_from_another(self, digits, nets):
        given = [self.of(name, net, digits[0], at=n) for n, (name, net) in enumerate(nets.items())]
        edges = [edge for edge in propose(given) if "cosine" in edge.why]
        assert pairs(edges) == {("base", "tuned")}
        assert edges[0].relation == "derived-from"

    def test_a_deployment_that_gives_the_same_answers_runs_the_model(self, digits, nets):
        x = digits[0]
        given = [self.of(name, net, x, at=n) for n, (name, net) in enumerate(nets.items())]
        live = self.of("live", nets["other"], x, kind="deployment", at=9)._replace(sketch=None)
        edges = [edge for edge in propose([*given, live]) if edge.relation == "deployed-as"]
        assert pairs(edges) == {("other", "live")}

    def test_which_of_two_came_first_is_left_open_where_nothing_says_so(self, digits, nets):
        given = [self.of(name, nets[name], digits[0]) for name in ("base", "tuned")]
        edges = [edge for edge in propose(given) if "cosine" in edge.why]
        assert pairs(edges) == {("base", "tuned"), ("tuned", "base")}

    def test_equal_content_is_left_to_the_book(self, digits, nets):
        digest = "sha256:" + "1" * 64
        given = [
            self.of(name, nets["base"], digits[0], at=n, digest=digest)._replace(answers=None)
            for n, name in enumerate("ab")
        ]
        assert propose(given) == []


def test_nothing_is_proposed_from_nothing():
    assert propose([]) == []
    assert propose([Content(node("a")), Content(node("b"))]) == []
