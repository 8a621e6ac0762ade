from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from casemate.errors import UsageError
from casemate.targets import digest
from casemate.targets.open import open_target
from casemate.targets.rehearsal import survives
from casemate.targets.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def test_what_would_crash_the_process_is_one_line(tmp_path: Path) -> None:
    xgb = pytest.importorskip("xgboost")
    rng = np.random.default_rng(0)
    x = rng.random((60, 5))
    made = xgb.XGBClassifier(n_estimators=4, n_jobs=1).fit(x, (x[:, 0] > 0.5).astype(int))
    path = tmp_path / "m.ubj"
    made.save_model(path)
    whole = path.read_bytes()
    assert survives("xgboost", path, digest.of_path(path))
    for share in (0.3, 0.999):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UsageError, match="truncated"):
            open_target("m.ubj", settings=Settings(root=tmp_path))
