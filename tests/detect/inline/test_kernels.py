"""Every kernel against the same thing in plain Python with unbounded integers."""

import math
import subprocess
import sys

import numpy as np
import pytest

from casemate.detect.inline import keyed, plain, signals
from casemate.detect.inline.compiling import COMPILED
from casemate.detect.inline.signals import Signals, layout_of, words

kernels = pytest.importorskip("casemate.detect.inline.kernels")
if not COMPILED:
    pytest.skip("numba is not installed", allow_module_level=True)

KEY = b"a key of the tests, 32 bytes long"
FULL = (1 << 64) - 1
HOLD = Signals(KEY)
SALTS = HOLD.salts("line")
S = [int(one) for one in SALTS]


def mix(h):
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9 & FULL
    h = (h ^ (h >> 27)) * 0x94D049BB133111EB & FULL
    return h ^ (h >> 31)


def digest(raw):
    keys = [int(one) for one in HOLD._keyed.words]
    total = len(raw) * S[0]
    for start in range(0, len(raw), len(keys)):
        part = 0
        for i in range(0, min(len(keys), len(raw) - start), 2):
            a = (int(raw[start + i]) + keys[i]) % (1 << 32)
            b = (int(raw[start + i + 1]) + keys[i + 1]) % (1 << 32)
            part += a * b
        total += mix((part + start * S[1]) & FULL)
    return mix((total & FULL) ^ S[2])


def levels(v):
    return [math.floor(np.float32(one) * np.float32(5) + np.float32(0.5)) for one in v]


def smallest(hashes, count):
    found = sorted(set(hashes))[:count]
    return found + [0] * (count - len(found))


def blocks(q, depth, count):
    cells = HOLD._keyed.cells.astype(object)
    halves, changes = [], []
    for t in range(len(q) // 8):
        part = q[8 * t : 8 * t + 8]
        one, two = (sum(c * int(k) for c, k in zip(part, cells[r], strict=True)) for r in (0, 1))
        halves.append((one % (1 << 32)) << 32 | two % (1 << 32))
        changes.append(sum(q[i] != q[i - depth] for i in range(8 * t, 8 * t + 8) if i >= depth))
    step = max(1, len(q) // 8 // 4096)
    return smallest(
        [
            mix((halves[t - 1] * S[3] + halves[t] * S[4] + t * S[5] + S[6]) & FULL)
            for t in range(1, len(halves))
            if changes[t] + changes[t - 1] >= 2 and t % step == S[5] % step
        ],
        count,
    )


def roll(q, depth, count):
    n = len(q)
    length = n if n <= 8192 else 96
    starts = [0] if n <= 8192 else [p * (n - length) // 127 for p in range(128)]
    found = []
    for start in starts:
        for first in range(start, start + length - 23):
            window = q[first : first + 24]
            if sum(window[i] != window[i - depth] for i in range(depth, 24)) >= 3:
                h = 0
                for cell in window:
                    h = (h * S[7] + cell + 1024) & FULL
                found.append(mix((h * S[8] + S[9]) & FULL))
    return smallest(found, count)


def locality(sketch, dims, shifts, groups, salts):
    each = len(dims) // groups
    out = []
    for g in range(groups):
        h = salts[10 + g]
        for j in range(g * each, (g + 1) * each):
            cell = (int(sketch[dims[j]]) + ((int(shifts[j]) * 1024) >> 20)) // 1024
            h = mix(h ^ (cell & FULL)) * salts[16] & FULL
        out.append(mix(h))
    return out


def sketch(v, shape):
    """Both projections in double precision, number by number."""
    k = HOLD._keyed
    sign = keyed.signs(KEY, len(v))
    fine = [0.0] * 32
    for i, one in enumerate(v):
        fine[k.buckets[i % 256]] += float(one) * float(sign[i])
    layout = layout_of(shape)
    means = [0.0] * 64
    for start, stop, block in layout.runs.T:
        means[block] += sum(float(one) for one in v[start:stop])
    means = [m / max(1.0, c) for m, c in zip(means, layout.counts, strict=True)]
    centre = sum(means) / 64
    means = [m - centre for m in means]
    low = [sum(float(c) * m for c, m in zip(row, means, strict=True)) for row in k.combs]
    scale = math.sqrt(32 / len(v))
    numbers = [f * scale / 0.3125 * 1024 for f in fine] + [m / 8 / 0.3125 * 1024 for m in low]
    return np.clip(np.rint(numbers), -32767, 32767).astype(int), math.sqrt(
        sum(m * m for m in means) / 64
    ) / 0.3125


SHAPES = [
    (64,),
    (100,),
    (28, 28),
    (1, 28, 28),
    (3, 20, 24),
    (20, 24, 3),
    (9000,),
    (3, 64, 64),
    (3, 200, 200),
]


def picture(shape, seed=0):
    """Cells whose sums are exact in any order: whole 1/256ths, half of them flat."""
    rng = np.random.default_rng(seed)
    x = np.floor(rng.random(shape) * 256) / 256
    x.reshape(-1)[: x.size // 2] = 0.25
    return x


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("engine", [kernels, plain], ids=["compiled", "plain"])
def test_a_print_is_what_the_oracle_says(shape, engine, monkeypatch):
    monkeypatch.setattr(signals, "engine", engine)
    row = picture(shape).ravel()
    made = HOLD.print_of(HOLD.load(row, 1.0), shape, SALTS)
    v = row.astype(np.float32)
    wanted, coarse = sketch(v, shape)
    assert np.abs(made.sketch - wanted).max() <= 1  # the last rounding of a product
    depth = layout_of(shape).depth
    q = levels(v)
    a, b, c, d, e = keyed.ENDS
    marks = [int(one) for one in made.marks]
    assert marks[0] == digest(words(row)) | 1
    assert marks[a:b] == blocks(q, depth, b - a)
    assert marks[b:c] == roll(q, depth, c - b)
    k = HOLD._keyed
    cut = (d - c) * keyed.WHOLE_DIMS
    assert marks[c:d] == locality(made.sketch, k.dims[:cut], k.shifts[:cut], d - c, S)
    assert marks[d:e] == locality(made.sketch, k.dims[cut:], k.shifts[cut:], e - d, S[3:])
    spread = v.astype(np.float64).std() / 0.3125
    assert made.own[0] == pytest.approx(max(spread, 0.02), rel=1e-4)
    assert made.own[1] == pytest.approx(max(coarse, 0.02), rel=1e-4)
    assert made.norm == pytest.approx(np.abs(v).mean(), rel=1e-5)


@pytest.mark.parametrize("kind", ["u1", "f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "?"])
def test_kinds_of_numbers_give_the_same_print(kind):
    x = np.floor(np.random.default_rng(1).random(400) * (2 if kind == "?" else 100))
    one = HOLD.print_of(HOLD.load(x, 128.0), (20, 20), SALTS)
    two = HOLD.print_of(HOLD.load(x.astype(kind), 128.0), (20, 20), SALTS)
    np.testing.assert_array_equal(one.marks[1:], two.marks[1:])
    np.testing.assert_array_equal(one.sketch, two.sketch)


@pytest.mark.parametrize("engine", [kernels, plain], ids=["compiled", "plain"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308, -1e38])
def test_cells_that_are_no_numbers_are_counted_and_break_nothing(engine, bad, monkeypatch):
    monkeypatch.setattr(signals, "engine", engine)
    x = picture((28, 28)).ravel()
    x[[3, 500]] = bad
    made = HOLD.print_of(HOLD.load(x, 1.0), (28, 28), SALTS)
    assert made.broken == (0 if np.isfinite(bad) else 2)
    assert np.isfinite(made.own).all()
    assert math.isfinite(made.norm)


def test_the_digest_sees_every_byte():
    row = picture((300,)).ravel().astype(np.float32)
    seen = {int(HOLD.digest(row, SALTS))}
    for i in range(len(row)):
        other = row.copy()
        other.view(np.uint32)[i] ^= 1
        seen.add(int(HOLD.digest(other, SALTS)))
    assert len(seen) == 301


def test_another_key_gives_other_marks_and_another_sketch():
    row = picture((28, 28)).ravel()
    other = Signals(b"another key, of as many bytes!!!")
    one = HOLD.print_of(HOLD.load(row, 1.0), (28, 28), SALTS)
    two = other.print_of(other.load(row, 1.0), (28, 28), other.salts("line"))
    assert not set(one.marks.tolist()) & set(two.marks.tolist())
    assert np.corrcoef(one.sketch[:32], two.sketch[:32])[0, 1] < 0.8
    assert not set(one.marks.tolist()) & set(
        HOLD.print_of(HOLD.load(row, 1.0), (28, 28), HOLD.salts("other line")).marks.tolist()
    )


def test_a_shift_keeps_windows_that_may_lie_anywhere():
    x = np.random.default_rng(2).random((28, 28))
    moved = np.roll(x.ravel(), 1)
    a, b, c = keyed.ENDS[:3]
    one = HOLD.print_of(HOLD.load(x.ravel(), 1.0), (28, 28), SALTS).marks
    two = HOLD.print_of(HOLD.load(moved, 1.0), (28, 28), SALTS).marks
    assert not set(one[a:b]) & set(two[a:b])
    assert len(set(one[b:c]) & set(two[b:c])) >= c - b - 1


def test_signs_and_salts_are_the_same_in_every_process():
    code = (
        "from casemate.detect.inline import keyed;"
        f"print(keyed.salt({KEY!r}, 'x'), keyed.signs({KEY!r}, 64).sum())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == [str(keyed.salt(KEY, "x")), str(keyed.signs(KEY, 64).sum())]
    np.testing.assert_array_equal(keyed.signs(KEY, 1000)[:77], keyed.signs(KEY, 77))
