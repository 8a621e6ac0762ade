"""The promises every target keeps, whatever stands behind it."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from casemate.errors import CasemateError, UsageError
from casemate.targets.capabilities import Gradients, Labels, Scores
from casemate.targets.data import Data, describe
from casemate.targets.open import open_target
from casemate.targets.settings import Settings
from tests.targets.subjects import SUBJECTS, Made, Subject, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator


class Opened(NamedTuple):
    subject: Subject
    made: Made
    model: Any
    settings: Settings

    @property
    def data(self) -> Data:
        return self.made.data


@pytest.fixture(scope="module", params=SUBJECTS, ids=lambda subject: subject.name)
def opened(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    subject: Subject = request.param
    for module in subject.needs:  # not imported: Keras wants its backend chosen first
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    folder = tmp_path_factory.mktemp(subject.name)
    made = subject.make(folder)
    settings = describe(made.data, Settings(root=folder, **subject.options))
    model = open_target(made.uri, vet=snapshot, settings=settings)
    yield Opened(subject, made, model, settings)
    model.close()
    model.close()
    made.close()


@pytest.fixture
def gradients(opened: Opened) -> Opened:
    if "gradients" not in opened.model.gives:
        pytest.skip("gives no gradients")
    return opened


@pytest.fixture
def scores(opened: Opened) -> Opened:
    if "scores" not in opened.model.gives:
        pytest.skip("gives no scores")
    return opened


def test_says_what_it_is(opened: Opened) -> None:
    model = opened.model
    assert model.gives == opened.subject.gives
    assert model.target.kind in ("model", "endpoint")
    assert model.target.uri == opened.made.uri
    if opened.subject.fixed_digest:
        assert re.fullmatch("sha256:[0-9a-f]{64}", model.target.digest)
    assert model.shape == opened.data.x.shape[1:]
    assert model.classes >= int(opened.data.y.max()) + 1
    assert np.array_equal(model.lower, opened.data.lower)
    assert np.array_equal(model.upper, opened.data.upper)
    assert model.deterministic in (True, None)
    assert all(isinstance(note, str) and "\n" not in note for note in model.notes)
    assert isinstance(model, Labels)
    assert ("scores" in model.gives) == isinstance(model, Scores)


def test_is_right_about_the_data_it_was_trained_on(opened: Opened) -> None:
    labels = opened.model.labels(opened.data.x)
    assert labels.dtype == np.int64
    assert labels.shape == opened.data.y.shape
    assert (labels == opened.data.y).mean() > 0.85


def test_the_largest_score_is_the_label(scores: Opened) -> None:
    x = scores.data.x[:50]
    answer = scores.model.scores(x)
    assert answer.shape == (50, scores.model.classes)
    assert answer.dtype in (np.float32, np.float64)
    assert np.isfinite(answer).all()
    assert np.array_equal(answer.argmax(1), scores.model.labels(x))
    assert scores.model.kind in ("logits", "probabilities")
    if scores.model.kind == "probabilities":
        assert np.allclose(answer.sum(1), 1, atol=1e-4)
        assert (answer >= 0).all()


def test_a_row_is_answered_alike_alone_and_in_company(opened: Opened) -> None:
    x = opened.data.x[:9]
    model = opened.model
    if "scores" in model.gives:
        alone = np.concatenate([model.scores(x[i : i + 1]) for i in range(9)])
        assert np.allclose(alone, model.scores(x), atol=1e-4)
    alone = np.concatenate([model.labels(x[i : i + 1]) for i in range(9)])
    assert np.array_equal(alone, model.labels(x))


def test_nothing_asked_nothing_answered(opened: Opened) -> None:
    assert opened.model.labels(opened.data.x[:0]).shape == (0,)
    if "scores" in opened.model.gives:
        assert opened.model.scores(opened.data.x[:0]).shape == (0, opened.model.classes)


def test_inputs_are_left_as_they_are(opened: Opened) -> None:
    x = opened.data.x[:8].copy()
    opened.model.labels(x)
    assert np.array_equal(x, opened.data.x[:8])


def test_batches_do_not_matter(opened: Opened) -> None:
    model, size = opened.model, opened.model.batch
    before = model.labels(opened.data.x[:30])
    model.batch = 7
    try:
        assert np.array_equal(model.labels(opened.data.x[:30]), before)
    finally:
        model.batch = size


def test_another_shape_is_refused_in_one_line(opened: Opened) -> None:
    wrong = np.zeros((2, 3, 5, 7), np.float32)
    with pytest.raises(CasemateError) as caught:
        opened.model.labels(wrong)
    assert "\n" not in str(caught.value)


def test_opening_it_again_gives_the_same_digest(opened: Opened) -> None:
    if not opened.subject.fixed_digest:
        pytest.skip("an endpoint has no digest")
    again = open_target(opened.made.uri, vet=snapshot, settings=opened.settings)
    assert again.target == opened.model.target
    again.close()


def test_a_threshold_moves_the_decision(scores: Opened) -> None:
    if scores.model.classes != 2:
        with pytest.raises(UsageError, match="two classes"):
            open_target(
                scores.made.uri, vet=snapshot, settings=scores.settings._replace(threshold=0.7)
            )
        return
    x = scores.data.x
    answer = scores.model.scores(x).astype(np.float64)
    if scores.model.kind == "logits":
        answer = 1 / (1 + np.exp(answer[:, :1] - answer[:, 1:]))
    chance = answer[:, -1]
    threshold = float(np.quantile(chance, 0.8))
    strict = open_target(
        scores.made.uri, vet=snapshot, settings=scores.settings._replace(threshold=threshold)
    )
    assert strict.threshold == threshold
    clear = np.abs(chance - threshold) > 1e-6
    assert np.array_equal(strict.labels(x)[clear], (chance >= threshold)[clear])
    strict.close()


def _loss(logits: Any, y: Any) -> Any:
    return -logits.log_softmax(1).gather(1, y[:, None])[:, 0]


def test_gradients_are_those_of_the_loss(gradients: Opened) -> None:
    import torch

    model: Gradients = gradients.model
    x = torch.tensor(gradients.data.x[:6], dtype=torch.float32)
    y = torch.tensor(gradients.data.y[:6])
    logits, value, grad = model.value_and_grad(x, y, _loss)
    assert not logits.requires_grad
    assert not grad.requires_grad
    assert not x.requires_grad
    assert torch.allclose(logits, model.logits(x), atol=1e-5)
    assert torch.allclose(value, _loss(logits, y), atol=1e-5)
    assert grad.shape == x.shape
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(x.shape, generator=generator)
    step = 1e-2 * direction
    slope = (_loss(model.logits(x + step), y) - _loss(model.logits(x - step), y)) / 2e-2
    assert torch.allclose((grad * direction).flatten(1).sum(1), slope, atol=2e-2, rtol=2e-2)


def test_the_jacobian_is_the_gradient_of_each_logit(gradients: Opened) -> None:
    import torch

    model = gradients.model
    x = torch.tensor(gradients.data.x[:4], dtype=torch.float32)
    classes = torch.tensor([[0, 1], [1, 0], [0, 0], [1, 1]])
    logits, jacobian = model.jacobian(x, classes)
    assert jacobian.shape == (4, 2, *x.shape[1:])
    for j in range(2):
        _, _, grad = model.value_and_grad(
            x, classes[:, j], lambda z, t: z.gather(1, t[:, None])[:, 0]
        )
        assert torch.allclose(jacobian[:, j], grad, atol=1e-5)
    assert torch.allclose(logits, model.logits(x), atol=1e-5)


def test_gradients_and_labels_speak_of_the_same_model(gradients: Opened) -> None:
    import torch

    x = gradients.data.x[:50]
    logits = gradients.model.logits(torch.tensor(x, dtype=torch.float32))
    assert np.array_equal(logits.argmax(1).numpy(), gradients.model.labels(x))
