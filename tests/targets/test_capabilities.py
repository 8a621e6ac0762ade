from __future__ import annotations

from typing import Any

import numpy as np

from casemate.targets.capabilities import Gradients, Labels, Scores
from casemate.targets.open import wrap
from casemate.targets.settings import Settings


def test_protocols_tell_what_a_target_can_do() -> None:
    scoring: Any = wrap(lambda x: x[:, :2], settings=Settings(shape=(3,)))
    naming: Any = wrap(
        lambda x: (x[:, 0] > 0.5).astype(np.int64), settings=Settings(shape=(3,), classes=2)
    )
    assert isinstance(scoring, Scores)
    assert isinstance(scoring, Labels)
    assert not isinstance(scoring, Gradients)
    assert isinstance(naming, Labels)
    assert not isinstance(naming, Scores)
