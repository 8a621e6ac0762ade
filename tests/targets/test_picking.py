from __future__ import annotations

import numpy as np
import pytest

from casemate.errors import TargetError, UsageError
from casemate.targets.picking import Pick, labels_of, pick, take
from casemate.targets.settings import Settings
from casemate.targets.wire.tensor import Answer, Text, tensor

P = np.array([[0.25, 0.75], [0.5, 0.5]])
WHOLE = np.array([1, 0])
PART = np.array([0.75, 0.25])


def answer(*texts: Text, **arrays: np.ndarray) -> Answer:
    return Answer(tuple(tensor(name, array) for name, array in arrays.items()), texts)


@pytest.mark.parametrize(
    ("given", "settings", "expected"),
    [
        (answer(p=P), Settings(), ("scores", ("p",))),
        (answer(p=WHOLE), Settings(), ("labels", ("p",))),
        (answer(p=WHOLE.astype(np.float32)), Settings(), ("labels", ("p",))),
        (answer(p=WHOLE), Settings(scores="logits"), ("scores", ("p",))),
        (answer(p=PART), Settings(), ("scores", ("p",))),
        (answer(p=PART[:, None]), Settings(), ("scores", ("p",))),
        (answer(p=P[:, :, None, None]), Settings(), ("scores", ("p",))),
        (answer(label=WHOLE, p=P), Settings(), ("scores", ("p",))),
        (answer(features=P * 9, probabilities=P), Settings(), ("scores", ("probabilities",))),
        (answer(predicted_label=WHOLE, score=PART), Settings(), ("scores", ("score",))),
        (answer(a=PART, b=1 - PART), Settings(), ("scores", ("a", "b"))),
        (answer(Text("t", ("a", "b"))), Settings(class_names=("a", "b")), ("names", ("t",))),
        (answer(Text("t", ("a", "b")), p=P), Settings(), ("scores", ("p",))),
    ],
)
def test_what_is_taken(
    given: Answer, settings: Settings, expected: tuple[str, tuple[str, ...]]
) -> None:
    found = pick(given, 2, settings)
    assert (found.how, found.names) == expected
    assert all("\n" not in note for note in found.notes)


def test_the_choice_is_said_and_can_be_made() -> None:
    given = answer(first=P, second=P)
    found = pick(given, 2, Settings())
    assert found.notes == ("of the outputs first, second, 'first' is attacked",)
    assert pick(given, 2, Settings(), "second") == Pick("scores", ("second",))
    assert pick(given, 2, Settings(), 1) == Pick("scores", ("second",))
    assert pick(given, 2, Settings(), "1") == Pick("scores", ("second",))
    for output in ("third", 2, "2"):
        with pytest.raises(UsageError, match="no output") as caught:
            pick(given, 2, Settings(), output)
        assert "first, second" in caught.value.hint


def test_classes_by_name_and_by_number() -> None:
    given = answer(yes=PART, no=1 - PART)
    found = pick(given, 2, Settings(class_names=("no", "yes")))
    assert (found.names, found.order) == (("yes", "no"), (1, 0))
    assert take(given, found, 2).tolist() == [[0.75, 0.25], [0.25, 0.75]]
    given = Answer((tensor("1", PART), tensor("0", 1 - PART)))
    assert pick(given, 2, Settings()).order == (1, 0)
    found = pick(answer(a=PART, b=1 - PART), 2, Settings())
    assert found.order is None
    assert "endpoint's order: a, b" in found.notes[0]


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (Answer(()), TargetError, "without any output"),
        (answer(p=np.zeros((2, 3, 4))), TargetError, "to 2 inputs"),
        (answer(p=np.zeros((3, 2))), TargetError, "to 2 inputs"),
        (answer(p=np.zeros((2, 0))), TargetError, "to 2 inputs"),
        (answer(p=np.array(1.0)), TargetError, "to 2 inputs"),
        (answer(Text("t", ("a",))), TargetError, "1 strings"),
        (answer(Text("t", ("a", "b"))), UsageError, "class names such as 'a'"),
    ],
)
def test_nothing_to_take(given: Answer, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        pick(given, 2, Settings())


def test_later_answers_are_held_to_it() -> None:
    found = Pick("scores", ("p",))
    assert take(answer(p=P), found, 2) is not None
    with pytest.raises(TargetError, match="no output 'p'"):
        take(answer(q=P), found, 2)
    with pytest.raises(TargetError, match="2 rows to 3 inputs"):
        take(answer(p=P), found, 3)
    with pytest.raises(TargetError, match="1 rows to 3 inputs"):
        take(answer(p=np.array(1.0)), found, 3)


def test_labels() -> None:
    found = Pick("labels", ("p",))
    assert labels_of(answer(p=WHOLE), found, 2, None).tolist() == [1, 0]
    assert labels_of(answer(p=WHOLE[:, None] * 1.0), found, 2, None).tolist() == [1, 0]
    assert labels_of(answer(p=WHOLE + 4), found, 2, ("4", "5")).tolist() == [1, 0]
    for bad in (PART, P, np.array([np.nan, 0.0])):
        with pytest.raises(TargetError, match="answered labels before"):
            labels_of(answer(p=bad), found, 2, None)
    with pytest.raises(TargetError, match="the class '9'"):
        labels_of(answer(p=WHOLE + 8), found, 2, ("4", "5"))
    named = Pick("names", ("t",))
    assert labels_of(answer(Text("t", ("b", "a"))), named, 2, ("a", "b")).tolist() == [1, 0]
    with pytest.raises(TargetError, match="1 rows to 2"):
        labels_of(answer(Text("t", ("b",))), named, 2, ("a", "b"))
