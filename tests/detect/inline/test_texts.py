"""Prints of texts and tokens."""

import numpy as np
import pytest

from casemate.detect.inline.signals import Signals
from casemate.detect.inline.texts import Texts, hashes

KEY = b"a key of the tests, 32 bytes long"
SIGNALS = Signals(KEY)
SALTS = SIGNALS.salts("text")
TEXTS = Texts(SIGNALS)
FULL = (1 << 64) - 1


def common(one, two):
    a, b = (set(TEXTS.print_of(text, SALTS).marks[1:].tolist()) - {0} for text in (one, two))
    return len(a & b)


def mix(h):
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9 & FULL
    h = (h ^ (h >> 27)) * 0x94D049BB133111EB & FULL
    return h ^ (h >> 31)


def test_hashes_are_those_of_the_oracle():
    s = [int(one) for one in SALTS]
    values = [5, 3, 200, 7, 7, 1]
    wanted = []
    for i in range(4):
        h = 0
        for one in values[i : i + 3]:
            h = (h * s[7] + one + 1) & FULL
        wanted.append(mix((h * s[8] + s[9]) & FULL))
    assert hashes(np.array(values), 3, SALTS).tolist() == wanted
    assert len(hashes(np.array([1, 2]), 6, SALTS)) == 1
    assert len(hashes(np.array([]), 6, SALTS)) == 0


def test_a_changed_word_leaves_most_pieces():
    text = "the quick brown fox jumps over the lazy dog and then sleeps under the old tree"
    assert common(text, text.replace("lazy", "tired")) >= 8
    assert common(text, "  " + text.upper().replace(" ", "\n")) == 17
    assert common(text, "an entirely different sentence about the weather in the mountains") <= 3


@pytest.mark.parametrize("text", ["", " ", "a", "\ud800", "é" * 300_000, "\x1f\x1f", "\0"])
def test_any_text_has_a_print(text):
    made = TEXTS.print_of(text, SALTS)
    assert made.marks[0] != 0
    assert np.isfinite(made.own).all()


def test_tokens_are_compared_in_order():
    rng = np.random.default_rng(0)
    row = rng.integers(0, 50_000, 128)
    other = row.copy()
    other[40] = 7
    one, two, back = (
        set(TEXTS.print_of_tokens(r, SALTS).marks[1:].tolist()) for r in (row, other, row[::-1])
    )
    assert len(one & two) >= 12
    assert not one & back
