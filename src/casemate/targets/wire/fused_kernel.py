"""The compiled scanner behind `fused`: bytes in, doubles and a shape out.

A decimal number of at most 15 significant digits and a power of ten up to 22 is the quotient or
product of two exact doubles, so one rounding makes it right (Clinger, "How to read floating point
numbers accurately", PLDI 1990). Up to 19 digits are rounded by 128-bit powers of five (Lemire,
"Number parsing at a gigabyte per second", 2021). Any other number ends the scan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

njit: Any
try:
    from numba import njit
except ImportError:
    njit = None

COMPILED = njit is not None


def _compile(function: Any) -> Any:
    if njit is None:
        return function
    try:
        return njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no folder for the cache can be written
        return njit(nogil=True, error_model="numpy")(function)


def _high(a: Any, b: Any) -> Any:
    """Return the upper 64 bits of a product of two unsigned 64-bit numbers."""
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    one = (a & low) * (b & low)
    two = (a >> half) * (b & low) + (one >> half)
    three = (a & low) * (b >> half) + (two & low)
    return (a >> half) * (b >> half) + (two >> half) + (three >> half)


high = _compile(_high)


def _round(w: Any, q: int, fives: npt.NDArray[np.uint64]) -> Any:
    """Return the bits of the double nearest to w * 10**q, 0 where that is not certain.

    Args:
        w: Up to 19 digits; not 0.
        q: Power of ten.
        fives: (2 * FIVES + 1, 2) upper and lower halves of the powers of five.
    """
    zeros = 0
    for step in (32, 16, 8, 4, 2, 1):
        if w >> np.uint64(64 - step) == np.uint64(0):
            w = w << np.uint64(step)
            zeros += step
    upper_five = fives[q + 60, 0]
    upper = high(w, upper_five)
    lower = w * upper_five
    if upper & np.uint64(0x1FF) == np.uint64(0x1FF):
        more = high(w, fives[q + 60, 1])
        lower = lower + more
        if more > lower:
            upper = upper + np.uint64(1)
    if lower == np.uint64(0xFFFFFFFFFFFFFFFF) and (q < -27 or q > 55):
        return np.uint64(0)
    top = upper >> np.uint64(63)
    shift = top + np.uint64(9)
    mantissa = upper >> shift
    binary = ((217706 * q) >> 16) + 63 + np.int64(top) - zeros + 1023
    if binary <= 0:
        return np.uint64(0)
    halfway = lower <= np.uint64(1) and -4 <= q <= 23 and mantissa & np.uint64(3) == np.uint64(1)
    if halfway and mantissa << shift == upper:
        mantissa = mantissa & ~np.uint64(1)
    mantissa = (mantissa + (mantissa & np.uint64(1))) >> np.uint64(1)
    if mantissa >= np.uint64(1 << 53):
        mantissa = np.uint64(1 << 52)
        binary += 1
    if binary >= 2047:
        return np.uint64(0)
    return (mantissa & ~np.uint64(1 << 52)) | (np.uint64(binary) << np.uint64(52))


rounded = _compile(_round)


def _scan(
    data: npt.NDArray[np.uint8],
    levels: int,
    values: npt.NDArray[np.float64],
    bits: npt.NDArray[np.uint64],
    shape: npt.NDArray[np.int64],
    powers: npt.NDArray[np.float64],
    fives: npt.NDArray[np.uint64],
) -> Any:
    """Read nested lists of numbers, all `levels` deep.

    Args:
        data: JSON.
        levels: Depth.
        values: Takes the numbers.
        bits: The same memory, as bits.
        shape: Takes the lengths; zeros.
        powers: Of ten, that are exact.
        fives: See `rounded`.

    Returns:
        Numbers read, 0 when the scan gave up; and whether any is written as a float.
    """
    n = len(data)
    counts = np.zeros(8, np.int64)
    depth = 0
    at = 0
    total = 0
    floats = 0
    expect = True  # a value or a list must come next
    while at < n:
        c = data[at]
        if c == 32 or c == 10 or c == 13 or c == 9:
            at += 1
            continue
        if depth == 0 and at > 0 and shape[0] != 0:
            return 0, 0  # something after the end
        if c == 91:  # [
            if not expect or depth == levels:
                return 0, 0
            counts[depth] = 0
            depth += 1
            at += 1
            continue
        if c == 93:  # ]
            if expect or depth == 0:
                return 0, 0
            depth -= 1
            if shape[depth] == 0:
                shape[depth] = counts[depth]
            elif shape[depth] != counts[depth]:
                return 0, 0
            if depth > 0:
                counts[depth - 1] += 1
            at += 1
            continue
        if c == 44:  # ,
            if expect or depth == 0:
                return 0, 0
            expect = True
            at += 1
            continue
        if not expect or depth != levels:
            return 0, 0
        negative = c == 45
        if negative:
            at += 1
            if at >= n:
                return 0, 0
            c = data[at]
        if c < 48 or c > 57:
            return 0, 0
        mantissa = np.uint64(0)
        digits = 0
        first = at
        while at < n and 48 <= data[at] <= 57:
            mantissa = mantissa * np.uint64(10) + np.uint64(data[at] - 48)
            digits += mantissa != np.uint64(0)
            at += 1
            if digits > 19:
                return 0, 0
        if data[first] == 48 and at - first > 1:
            return 0, 0  # a leading zero
        power = 0
        written = False
        if at < n and data[at] == 46:
            written = True
            at += 1
            first = at
            while at < n and 48 <= data[at] <= 57:
                mantissa = mantissa * np.uint64(10) + np.uint64(data[at] - 48)
                digits += mantissa != np.uint64(0)
                at += 1
                if digits > 19:
                    return 0, 0
            if at == first:
                return 0, 0
            power = first - at
        if at < n and (data[at] == 101 or data[at] == 69):
            written = True
            at += 1
            down = False
            if at < n and (data[at] == 45 or data[at] == 43):
                down = data[at] == 45
                at += 1
            first = at
            exponent: Any = 0
            while at < n and 48 <= data[at] <= 57:
                exponent = exponent * 10 + np.int64(data[at] - 48)
                at += 1
                if at - first > 3:
                    return 0, 0
            if at == first:
                return 0, 0
            power += -exponent if down else exponent
        if not written and (digits > 15 or (negative and mantissa == np.uint64(0))):
            return 0, 0  # may not fit a double; and the integer -0 has no sign
        if digits <= 15 and -22 <= power <= 22:
            value = np.float64(mantissa)
            if power < 0:
                value /= powers[-power]
            elif power > 0:
                value *= powers[power]
            values[total] = -value if negative else value
        elif mantissa != np.uint64(0) and -60 <= power <= 60:
            found = rounded(mantissa, power, fives)
            if found == np.uint64(0):
                return 0, 0
            bits[total] = found | (np.uint64(1 << 63) if negative else np.uint64(0))
        else:
            return 0, 0
        floats += written
        total += 1
        counts[depth - 1] += 1
        expect = False
    if depth != 0 or expect:
        return 0, 0
    return total, floats


scan = _compile(_scan)
