"""The inputs an attack found, as pictures or as rows with the changed columns marked.

Reads the blob a trial keeps: `index`, `x` and `adv` in one .npz. Arrays are read without pickles.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import FormatError, MissingExtra
from casemate.export.wording import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from casemate.records.column import Column
    from casemate.records.trial import Outcome, Trial

    Array = npt.NDArray[np.float64]

MAX_SIDE = 192
MAX_COLUMNS = 12


class Picture(NamedTuple):
    """An input as three pictures, each a data URI."""

    outcome: Outcome
    original: str
    adversarial: str
    difference: str
    magnified: str
    """How much the difference was stretched to be seen."""
    width: int
    height: int


class Change(NamedTuple):
    """A column an attack changed."""

    name: str
    before: str
    after: str
    difference: str


class Row(NamedTuple):
    """A tabular input: what changed, and how many columns did not."""

    outcome: Outcome
    changes: list[Change]
    more: int
    """Changed columns beyond those shown."""
    kept: int


def worst(trial: Trial, limit: int) -> list[Outcome]:
    """Return the successes a reader should see first: smallest change, else surest mistake."""
    fooled = [one for one in trial.outcomes if one.success and one.clean]
    if trial.eps is None:
        fooled.sort(
            key=lambda one: (one.distance if one.distance is not None else 1e300, one.index)
        )
    else:
        fooled.sort(key=lambda one: (one.margin if one.margin is not None else 0.0, one.index))
    first_of_label = {one.label: one for one in reversed(fooled)}
    ahead = [one for one in fooled if first_of_label[one.label] is one]
    return (ahead + [one for one in fooled if one not in ahead])[:limit]


def examples(
    trial: Trial,
    blob: Callable[[str], bytes],
    *,
    columns: Sequence[Column] = (),
    limit: int = 4,
) -> list[Picture] | list[Row]:
    """Return the worst inputs of a trial, as pictures where they have the shape of one.

    Raises:
        StoreError: The blob is gone.
        FormatError: It is not what a trial keeps.
        MissingExtra: numpy is not installed.
    """
    if trial.adversarial is None:
        return []
    index, x, adv = _arrays(blob(trial.adversarial))
    rows = {int(row): i for i, row in enumerate(index)}
    shown = [one for one in worst(trial, len(trial.outcomes)) if one.index in rows][:limit]
    places = [rows[one.index] for one in shown]
    if not shown:
        return []
    if x.ndim in (3, 4):
        low, high = _range(x)
        return [
            _picture(one, x[i], adv[i], low, high) for one, i in zip(shown, places, strict=True)
        ]
    flat, changed = x.reshape(len(x), -1), adv.reshape(len(adv), -1)
    names = [one.name for one in columns]
    if len(names) != flat.shape[1]:
        names = [f"x[{i}]" for i in range(flat.shape[1])]
    return [_row(one, flat[i], changed[i], names) for one, i in zip(shown, places, strict=True)]


def picture(image: Array) -> str:
    """Return an image of any layout and range as the data URI of a PNG, small enough to embed.

    Args:
        image: (height, width), (height, width, channels) or (channels, height, width).
    """
    import numpy as np

    # No bound is taken from what is not finite, and an input a little outside 0..1 is still one.
    known = np.where(np.isfinite(image), image, 0.0)
    low, high = _range(known)
    if high == 255.0 and float(known.max()) <= 2.0:
        low, high = float(known.min()), float(known.max())
    return _png(_upright(known), low, high)


def _arrays(data: bytes) -> tuple[Any, Array, Array]:
    if importlib.util.find_spec("numpy") is None:
        raise MissingExtra("attack", for_="showing adversarial inputs")
    import numpy as np

    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            index, x, adv = found["index"], found["x"], found["adv"]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FormatError(f"the kept inputs cannot be read: {error}") from error
    if not (len(index) == len(x) == len(adv)) or x.shape != adv.shape:
        raise FormatError("the kept inputs do not match one another")
    return index, np.asarray(x, np.float64), np.asarray(adv, np.float64)


def _range(x: Array) -> tuple[float, float]:
    low, high = float(x.min()), float(x.max())
    for least, most in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        if low >= least - 1e-6 and high <= most + 1e-6:
            return least, most
    return low, high


def _picture(outcome: Outcome, x: Array, adv: Array, low: float, high: float) -> Picture:
    import numpy as np

    before, after = _upright(x), _upright(adv)
    moved = after - before
    most = float(np.abs(moved).max())
    factor = (high - low) / (2 * most) if most > 0 else 1.0
    middle = (high + low) / 2
    height, width = before.shape[:2]
    return Picture(
        outcome=outcome,
        original=_png(before, low, high),
        adversarial=_png(after, low, high),
        difference=_png(middle + moved * factor, low, high),
        magnified=number(float(f"{factor:.2g}")),
        width=width,
        height=height,
    )


def _upright(image: Array) -> Array:
    """Return an image as (height, width, 1 or 3), made small enough to embed."""
    import numpy as np

    if image.ndim == 2:
        image = image[:, :, None]
    elif image.shape[0] in (1, 3):
        image = np.moveaxis(image, 0, -1)
    if image.shape[2] not in (1, 3):
        image = image.mean(axis=2, keepdims=True)
    factor = -(-max(image.shape[:2]) // MAX_SIDE)
    if factor > 1:
        height, width = (size // factor * factor for size in image.shape[:2])
        blocks = image[:height, :width].reshape(
            height // factor, factor, width // factor, factor, image.shape[2]
        )
        image = blocks.mean(axis=(1, 3))
    return image


def _png(image: Array, low: float, high: float) -> str:
    """Return an image as a PNG data URI (RFC 2083: 8-bit gray or RGB, no filter)."""
    import numpy as np

    scaled = (image - low) / ((high - low) or 1.0) * 255
    pixels = np.nan_to_num(np.rint(scaled)).clip(0, 255).astype(np.uint8)
    height, width, channels = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    )
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _row(outcome: Outcome, x: Array, adv: Array, names: Sequence[str]) -> Row:
    moved = [
        i for i in range(len(x)) if not (x[i] == adv[i] or (x[i] != x[i] and adv[i] != adv[i]))
    ]
    moved.sort(key=lambda i: -abs(float(adv[i] - x[i])) / (abs(float(x[i])) + 1e-9))
    changes = [
        Change(
            name=names[i],
            before=number(float(x[i])),
            after=number(float(adv[i])),
            difference=f"{'+' if adv[i] > x[i] else '−'}{number(abs(float(adv[i] - x[i])))}",
        )
        for i in sorted(moved[:MAX_COLUMNS])
    ]
    return Row(outcome, changes, max(0, len(moved) - MAX_COLUMNS), len(x) - len(moved))
