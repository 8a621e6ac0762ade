"""Square attack, in linf and l2: random search with scores only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from casemate.attack.evasion.radius import box, margin

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.attack.questions import Scores
    from casemate.targets.capabilities import Array, Ints

    Index = npt.NDArray[np.intp]
    Place = tuple[Index, Index, Index, Index]

SCHEDULE = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Questions, of 10,000, after which the area of the square is halved."""
_INSIDE = 1 - 1e-6
_TINY = 1e-12


def square(
    oracle: Scores,
    x: Array,
    y: Ints,
    *,
    rng: np.random.Generator,
    eps: float,
    norm: str,
    steps: int,
    p_init: float,
    p_least: float,
    rescale: bool,
) -> None:
    """Change random squares, keep what lowers the margin.

    Andriushchenko et al. 2020, "Square Attack: a query-efficient black-box adversarial attack via
    random search" (arXiv 1912.00049). Score-based. We differ in asking no question that changes
    nothing (with one channel every second small square would), in stretching the schedule of sizes
    to the questions there are (in l2 by the square root: small waves gain little there), and in
    comparing logarithms where the target answers probabilities, so that margins do not saturate.
    A vector is an image one cell high.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        rng: Source of the squares.
        eps: Radius in input units.
        norm: `linf` or `l2`.
        steps: Most questions per input.
        p_init: Share of the cells in the first square.
        p_least: Share of the cells below which no square falls.
        rescale: Stretch the schedule of sizes, made for 10,000 questions, to those there are.
    """
    stretch = (1.0 if norm == "linf" else 0.5) if rescale else 0.0
    left = oracle.left()
    total = steps if left is None else min(steps, int(left.max(initial=0)))
    low, high = box(oracle.domain, x, eps if norm == "linf" else np.inf)
    adv = _stripes(low, high, rng) if norm == "linf" else _tiles(x, low, high, eps, rng)
    best = margin(oracle, adv, x, y)
    adv, x, y, low, high, best = oracle.shed(adv, x, y, low, high, best)
    for step in range(1, total):
        if not len(x):
            return
        passed = step * (10_000 / total) ** stretch
        share = max(p_least, p_init * 0.5 ** sum(passed > at for at in SCHEDULE))
        if norm == "linf":
            moved = _recolour(adv, low, high, share, rng)
        else:
            moved = _move_mass(adv, x, low, high, eps, share, rng)
        value = margin(oracle, moved, x, y)
        better = value < best
        adv = np.where(better.reshape(-1, *[1] * (adv.ndim - 1)), moved, adv)
        best = np.where(better, value, best)
        adv, x, y, low, high, best = oracle.shed(adv, x, y, low, high, best)


def planes(x: Array) -> Array:
    """Return a view (n, channels, height, width) of a batch, wherever its channels are."""
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4:
        return np.moveaxis(x, -1, 1) if x.shape[-1] <= 4 < x.shape[1] else x
    return x.reshape(len(x), 1, 1, -1)


def _stripes(low: Array, high: Array, rng: np.random.Generator) -> Array:
    """Return vertical stripes, one cell wide, of the smallest and largest values."""
    adv = np.empty_like(low)
    view = planes(adv)
    sign = rng.random((len(view), view.shape[1], 1, view.shape[3])) < 0.5
    view[...] = np.where(sign, planes(low), planes(high))
    return adv


def _sides(share: float, height: int, width: int) -> tuple[int, int]:
    """Return height and width of a window that covers a share of the plane."""
    tall = min(height, max(1, round((share * height * width) ** 0.5)))
    return tall, min(width, max(1, round(share * height * width / tall)))


def _window(view: Array, tall: int, wide: int, rng: np.random.Generator) -> Place:
    """Return the index of one window per image, at random places."""
    n, channels, height, width = view.shape
    top = rng.integers(0, height - tall + 1, n)[:, None] + np.arange(tall)
    left = rng.integers(0, width - wide + 1, n)[:, None] + np.arange(wide)
    return (
        np.arange(n)[:, None, None, None],
        np.arange(channels)[None, :, None, None],
        top[:, None, :, None],
        left[:, None, None, :],
    )


def _recolour(adv: Array, low: Array, high: Array, share: float, rng: np.random.Generator) -> Array:
    """Return `adv` with one square per image and channel set to an end of the box."""
    moved = adv.copy()
    view = planes(moved)
    at = _window(view, *_sides(share, *view.shape[2:]), rng)
    old, bottom, top = view[at], planes(low)[at], planes(high)[at]
    up = rng.random((len(old), old.shape[1], 1, 1)) < 0.5
    new = np.where(up, top, bottom)
    same = (new == old).all(axis=(1, 2, 3))
    new[same] = np.where(up[same], bottom[same], top[same])
    view[at] = new
    return moved


def _bump(tall: int, wide: int) -> Array:
    """Return the paper's pyramid of shrinking rectangles, of length 1."""
    bump = np.zeros((tall, wide))
    middle = tall // 2, wide // 2
    for ring in range(max(middle) + 1):
        rows = slice(max(middle[0] - ring, 0), middle[0] + ring + 1)
        bump[rows, max(middle[1] - ring, 0) : middle[1] + ring + 1] += 1 / (ring + 1) ** 2
    return bump / np.linalg.norm(bump)


def _waves(n: int, channels: int, tall: int, wide: int, rng: np.random.Generator) -> Array:
    """Return windows (n, channels, tall, wide) of one rise beside one fall, of length 1 each."""
    upright, across = _wave(tall, wide), _wave(wide, tall).T
    wave = np.where(rng.random((n, 1, 1, 1)) < 0.5, upright, across)
    return np.asarray(wave * rng.choice([-1.0, 1.0], (n, channels, 1, 1)))


def _wave(tall: int, wide: int) -> Array:
    """Return a rise above a fall; where there is no room for both, the one."""
    half = tall // 2
    parts = [_bump(half, wide)] if half else []
    wave = np.concatenate([*parts, -_bump(tall - half, wide)])
    return np.asarray(wave / np.linalg.norm(wave))


def _tiles(x: Array, low: Array, high: Array, eps: float, rng: np.random.Generator) -> Array:
    """Return a grid of waves scaled to the radius."""
    n, channels, height, width = planes(x).shape
    tall, wide = max(1, height // 5), max(1, width // 5)
    moved = np.zeros((n, channels, height, width))
    for top in range(height % tall // 2, height - tall + 1, tall):
        for left in range(width % wide // 2, width - wide + 1, wide):
            moved[:, :, top : top + tall, left : left + wide] = _waves(n, channels, tall, wide, rng)
    return _to_radius(x, moved, low, high, eps)


def _to_radius(x: Array, moved: Array, low: Array, high: Array, eps: float) -> Array:
    """Return x plus `moved` (n, channels, height, width) scaled to the radius, inside the box."""
    length = np.sqrt((moved**2).sum(axis=(1, 2, 3), keepdims=True))
    out = x.copy()
    view = planes(out)
    view[...] = view + moved * (eps * _INSIDE / np.maximum(length, _TINY))
    return np.clip(out, low, high)


def _move_mass(
    adv: Array,
    x: Array,
    low: Array,
    high: Array,
    eps: float,
    share: float,
    rng: np.random.Generator,
) -> Array:
    """Return `adv` with the change in one window of each image spent on a wave in another."""
    moved = np.asarray(planes(adv), np.float64) - planes(x)
    channels = moved.shape[1]
    tall, wide = _sides(share, *moved.shape[2:])
    if moved.shape[2] > 1:
        tall, wide = (
            min(max(side + 1 - side % 2, 3), most)
            for side, most in zip((tall, wide), moved.shape[2:], strict=True)
        )
    here, there = _window(moved, tall, wide, rng), _window(moved, tall, wide, rng)
    unused = np.maximum(eps**2 - (moved**2).sum(axis=(1, 2, 3), keepdims=True), 0)
    touched = np.zeros(moved.shape, bool)
    touched[here], touched[there] = True, True
    mass = (np.where(touched, moved, 0) ** 2).sum(axis=(2, 3), keepdims=True)
    own = moved[here]
    own_length = np.sqrt((own**2).sum(axis=(2, 3), keepdims=True))
    wave = _waves(len(moved), channels, tall, wide, rng) + own / np.maximum(own_length, _TINY)
    wave /= np.maximum(np.sqrt((wave**2).sum(axis=(2, 3), keepdims=True)), _TINY)
    moved[there] = 0
    moved[here] = wave * np.sqrt(mass + unused / channels)
    return _to_radius(x, moved, low, high, eps)
