"""Fingerprints of texts and token sequences: keyed hashes of overlapping pieces.

The judge asks it for the `Print` of a text. Marks are the smallest hashes of its pieces (Broder,
"On the resemblance and containment of documents", 1997); the sketch counts all pieces, folded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.detect.inline import keyed
from casemate.detect.inline.plain import mix, narrow, smallest
from casemate.detect.inline.signals import Print

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.detect.inline.signals import Signals

LETTERS = 6
"""Bytes of a piece of text."""
TOKENS = 3
"""Tokens of a piece of a token sequence."""
LONGEST = 1 << 16
"""Of a longer text, so many bytes of either end are read."""
PER_ROOT = 256.0
"""Sketch steps per unit of a text of unit length."""


class Texts:
    """Makes prints of texts and token sequences under one key."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals

    def print_of(self, text: str, salts: npt.NDArray[np.uint64]) -> Print:
        """Return the print of a text; case and spacing do not count, but in its digest."""
        plain = " ".join(text.casefold().split()).encode("utf-8", "surrogatepass")
        if len(plain) > 2 * LONGEST:
            plain = plain[:LONGEST] + plain[-LONGEST:]
        given = np.frombuffer(text.encode("utf-8", "surrogatepass") or b"\0", np.uint8)
        return self._print(np.frombuffer(plain, np.uint8), LETTERS, given, salts)

    def print_of_tokens(self, tokens: npt.NDArray[Any], salts: npt.NDArray[np.uint64]) -> Print:
        """Return the print of a sequence of whole numbers."""
        row = np.ascontiguousarray(tokens).astype(np.int64)
        return self._print(row[: 2 * LONGEST], TOKENS, row, salts)

    def _print(
        self,
        values: npt.NDArray[Any],
        width: int,
        given: npt.NDArray[Any],
        salts: npt.NDArray[np.uint64],
    ) -> Print:
        pieces = hashes(values, width, salts)
        marks = np.zeros(keyed.MARKS, np.uint64)
        marks[0] = self._signals.digest(given, salts)
        marks[1:] = smallest(pieces, keyed.MARKS - 1)
        sketch = np.zeros(keyed.PRINT, np.int16)
        own = np.full(2, 1e-3, np.float32)
        if len(pieces):
            slot = (pieces >> np.uint64(8)) % np.uint64(keyed.PRINT)
            sign = np.where(pieces & np.uint64(1), 1.0, -1.0)
            counts = np.bincount(slot.astype(np.int64), sign, minlength=keyed.PRINT)
            sketch[:] = narrow(counts * PER_ROOT)
            distinct = np.unique(pieces, return_counts=True)[1].astype(np.float64)
            length = np.sqrt((distinct**2).sum() / keyed.PRINT) * PER_ROOT / 1024.0
            own[:] = max(1e-3, float(length))
        return Print(marks, sketch, own, float(len(given)), 0)


def hashes(
    values: npt.NDArray[Any], width: int, salts: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """Return a hash per window of `width` values; of the whole where it is shorter."""
    if len(values) == 0:
        return np.zeros(0, np.uint64)
    wide = values.astype(np.int64).astype(np.uint64) + np.uint64(1)
    width = min(width, len(wide))
    total = np.zeros(len(wide) - width + 1, np.uint64)
    for k in range(width):
        total = total * salts[7] + wide[k : len(wide) - width + 1 + k]
    return mix(total * salts[8] + salts[9])
