"""NaN and Infinity in JSON, which the standard does not know and several servers read all the same.

A guard that gave up on them would not see what the model sees, so they are read where the route
is open; where it is closed they are refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from casemate.guard.protocols import Question

_NUMBER = b"-1.7976931348623157e308"
_LOWEST = float(_NUMBER)
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"|-?\b(?:NaN|Infinity)\b', re.DOTALL)


def without(body: bytes) -> bytes | None:
    """Return a JSON body with a number in the place of each NaN and Infinity, None without any."""
    if b"NaN" not in body and b"Infinity" not in body:
        return None
    made, count = _TOKENS.subn(lambda one: one[0] if one[0][:1] == b'"' else _NUMBER, body)
    return made if count and made != body else None


def restored(question: Question) -> Question:
    """Return a question read from such a body with NaN where one of them stood."""
    x = question.inputs.x
    if x is None:
        return question
    # In narrower floats the number has become infinity.
    with np.errstate(over="ignore", invalid="ignore"):
        wide = x.astype(np.float64) if x.dtype.kind != "f" else x
        marked = np.where((wide <= _LOWEST) | ~np.isfinite(wide), np.nan, wide)
    return question._replace(inputs=question.inputs._replace(x=marked.astype(wide.dtype)))
