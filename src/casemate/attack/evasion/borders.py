"""The decision border, seen through labels: who is fooled, where to start, how to close in.

Used by decision-based attacks. Every question goes through `ask`, which leaves out rows that have
nothing left of their budget instead of failing the whole batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.attack.measure import distances

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from casemate.attack.questions import Labels
    from casemate.targets.capabilities import Array, Ints

    Rows = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]
    Doubles = npt.NDArray[np.float64]

POOL = 512
"""Inputs of the batch that are looked through for starts."""
NEARER = 0.9
"""A further start is worth a search only if it fools at this share of the best distance so far."""
GUESSES = 50
"""Random inputs tried where no other start fools."""


class Border:
    """The inputs of one batch and the side of the border on which points lie.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        norm: Norm in which near is meant.
    """

    def __init__(self, oracle: Labels, x: Array, y: Ints, norm: str) -> None:
        self.oracle, self.x, self.y, self.norm = oracle, x, y, norm

    def distance(self, rows: Rows, at: Array) -> Doubles:
        """Return the distance (n,) of points from the inputs `rows`."""
        return distances(at, self.x[rows], self.norm)

    def able(self, rows: Rows) -> Mask:
        """Say which inputs `rows` have something left of their budget."""
        left = self.oracle.left(rows)
        return np.ones(len(rows), bool) if left is None else left > 0

    def ask(self, points: Array, rows: Rows) -> tuple[Mask, Array]:
        """Say which points fool the model, and return them as they were sent.

        A row may stand several times; one that cannot pay counts as not fooled.
        """
        points = self.oracle.domain.project(points, self.x[rows])
        fooled = np.zeros(len(rows), bool)
        able = np.flatnonzero(self.able(rows))
        if len(able) == len(rows):
            fooled = self.oracle.labels(points, rows) != self.y[rows]
        elif len(able):
            fooled[able] = self.oracle.labels(points[able], rows[able]) != self.y[rows[able]]
        return fooled, points

    def shrink(self, rows: Rows, at: Array, steps: int) -> Array:
        """Return points nearer to the inputs that still fool, by bisection.

        Along the line to the input, or in linf by shrinking the cube about it.
        """
        x, best = self.x[rows], at
        radius = self.distance(rows, at)
        inside, outside = np.zeros(len(rows)), np.ones(len(rows))
        for _ in range(steps):
            share = (inside + outside) / 2
            if self.norm == "linf":
                edge = per_row(share * radius, x)
                aim = np.clip(at, x - edge, x + edge)
            else:
                aim = x + per_row(share, x) * (at - x)
            fooled, tried = self.ask(aim, rows)
            outside, inside = np.where(fooled, share, outside), np.where(fooled, inside, share)
            best = np.where(per_row(fooled, best), tried, best)
        return best

    def start(self, starts: int, rng: np.random.Generator, steps: int = 6) -> tuple[Rows, Array]:
        """Return the rows that have a point on the border to start from, and the points.

        Starts are the nearest inputs of other classes in the batch; where none of them fools,
        random inputs. A row without a start is given up, at no harm to the others.
        """
        rows = np.arange(len(self.y))
        found, at = np.zeros(len(rows), bool), self.x.copy()
        for others in self._neighbours(starts, rng):
            here = np.flatnonzero(others >= 0)
            aim, x = self.x[others[here]], self.x[here]
            # Once there is a start, a further one must fool from nearer by.
            far = np.linalg.norm((aim - x).reshape(len(here), -1), axis=1)
            near = np.linalg.norm((at[here] - x).reshape(len(here), -1), axis=1)
            share = np.where(found[here], np.minimum(1, NEARER * near / np.maximum(far, 1e-12)), 1)
            fooled, tried = self.ask(x + per_row(share, x) * (aim - x), here)
            new = here[fooled]
            if len(new):
                at[new], found[new] = self.shrink(new, tried[fooled], steps), True
        for guess in range(GUESSES):
            lost = np.flatnonzero(~found)
            if not len(lost):
                break
            fooled, tried = self.ask(self._guess(lost, guess, rng), lost)
            new = lost[fooled]
            if len(new):
                at[new], found[new] = self.shrink(new, tried[fooled], steps), True
        if not found.all():
            missed = int((~found).sum())
            self.oracle.notes.append(
                f"{missed} of {len(rows)} inputs were given up without a start"
            )
        return rows[found], at[found]

    def _neighbours(self, starts: int, rng: np.random.Generator) -> Iterator[Rows]:
        """Yield for each row the k-th nearest input of another class in the batch, -1: none."""
        n = len(self.y)
        pool = np.arange(n) if n <= POOL else np.sort(rng.permutation(n)[:POOL])
        flat = self.x.reshape(n, -1).astype(np.float64)
        square = (flat[pool] ** 2).sum(axis=1) - 2 * flat @ flat[pool].T
        square[self.y[:, None] == self.y[pool]] = np.inf
        order = square.argsort(axis=1)[:, :starts]
        none = np.isinf(np.take_along_axis(square, order, axis=1))
        for k in range(order.shape[1]):
            others = np.where(none[:, k], -1, pool[order[:, k]])
            if (others < 0).all():
                return
            yield others

    def _guess(self, rows: Rows, number: int, rng: np.random.Generator) -> Array:
        """Return random points: uniform in the box where it is finite, else ever farther out."""
        x = self.x[rows]
        low = np.broadcast_to(np.asarray(self.oracle.domain.lower, x.dtype), x.shape)
        high = np.broadcast_to(np.asarray(self.oracle.domain.upper, x.dtype), x.shape)
        boxed = np.isfinite(low) & np.isfinite(high)
        uniform = rng.random(x.shape, dtype=np.float32).astype(x.dtype)
        noise = rng.standard_normal(x.shape, dtype=np.float32).astype(x.dtype)
        spread = np.maximum(self.x.std(axis=0), 1e-3) * 1.25**number
        inside = np.where(boxed, low, 0) + np.where(boxed, high - low, 0) * uniform
        return np.asarray(np.where(boxed, inside, x + spread.astype(x.dtype) * noise))


def per_row(values: npt.NDArray[Any], x: Array) -> Any:
    """Give a value per row (n,) the dimensions of `x` (n, ...), and its type if no mask."""
    shaped = values.reshape(-1, *[1] * (x.ndim - 1))
    return shaped if shaped.dtype == bool else shaped.astype(x.dtype)
