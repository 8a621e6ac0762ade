from __future__ import annotations

import numpy as np
import pytest

from casemate.errors import UsageError
from casemate.targets.labels import number_labels


def test_whole_numbers_from_zero_are_kept() -> None:
    labels, names = number_labels(np.array([7, 0, 3], np.uint8), "d")
    assert labels.tolist() == [7, 0, 3]
    assert names is None


def test_one_class_alone_keeps_its_number() -> None:
    assert number_labels(np.array([1, 1]), "d")[0].tolist() == [1, 1]


def test_negative_numbers_become_names() -> None:
    labels, names = number_labels(np.array([-1, 1, -1]), "d")
    assert labels.tolist() == [0, 1, 0]
    assert names == ("-1", "1")


def test_identifiers_become_names() -> None:
    labels, names = number_labels(np.array([900001, 123456]), "d")
    assert labels.tolist() == [1, 0]
    assert names == ("123456", "900001")


def test_truth_values() -> None:
    assert number_labels(np.array([True, False]), "d")[0].tolist() == [1, 0]


def test_a_list_of_pairs_is_no_list_of_labels() -> None:
    with pytest.raises(UsageError, match="one class per input"):
        number_labels(np.eye(3), "d")


def test_dates_are_no_classes() -> None:
    with pytest.raises(UsageError, match="datetime64"):
        number_labels(np.array(["2026-01-01"], "datetime64[D]"), "d")
