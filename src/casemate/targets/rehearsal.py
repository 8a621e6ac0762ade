"""Load a file in a process of its own first, where its library's reader may crash on damage.

XGBoost's and LightGBM's readers take the whole process with them on some truncated files. What
survives here is opened; what does not is one line instead of a segmentation fault.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 20
_BEGIN = """
import sys
for heavy in ("sklearn", "pandas", "pyarrow", "dask", "matplotlib", "graphviz"):
    sys.modules[heavy] = None  # both libraries do without, in a third of the time
import numpy as np
def rows(width):
    assert width < 1 << 20
    scale = 10.0 ** np.arange(-8, 8).repeat(16)
    return np.random.default_rng(0).normal(size=(256, width)) * scale[:, None]
"""
_XGBOOST = """
import xgboost
model = xgboost.Booster({"nthread": 1})
model.load_model(sys.argv[1])
model.save_config(), model.feature_names
model.inplace_predict(rows(model.num_features()), predict_type="margin", validate_features=False)
"""
_LIGHTGBM = """
import lightgbm
model = lightgbm.Booster(model_file=sys.argv[1])
model.feature_name()
model.predict(rows(model.num_feature()), raw_score=True, num_threads=1)
"""
_SCRIPTS = {"xgboost": _BEGIN + _XGBOOST, "lightgbm": _BEGIN + _LIGHTGBM}


def survives(library: str, path: Path, digest: str) -> bool:
    """Say whether another process lived through loading the file and asking it some rows."""
    return _survives(library, str(path), digest)


@functools.lru_cache(maxsize=64)
def _survives(library: str, path: str, digest: str) -> bool:
    del digest  # so that a file is tried again once it has changed
    command = [sys.executable, "-c", _SCRIPTS[library], path]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603 - our own script
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
