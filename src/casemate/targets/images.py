"""A folder of images with one subfolder per class, as (n, channels, height, width) bytes.

Subfolders in order of their names are the classes, as torchvision has it; subfolders that are all
numbers are the labels themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from casemate.targets.data import Raw

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
_MOST_PIXELS = 1 << 26


def read_folder(folder: Path) -> Raw:
    """Read all images below the class subfolders of `folder`.

    Images are grey when all of them are, else RGB; they must be of one size.

    Raises:
        UsageError: No images, sizes that differ, or a file that is no image.
        MissingExtra: Pillow is not installed.
    """
    from casemate.targets.data import Raw

    classes = sorted(inside for inside in folder.iterdir() if inside.is_dir())
    files = [
        (file, label.name)
        for label in classes
        for file in sorted(label.rglob("*"))
        if file.suffix.lower() in _SUFFIXES
    ]
    if not files:
        raise UsageError(
            f"{folder.name} holds no images in class subfolders",
            hint=f"put them in {folder.name}/CLASS/*.png; a single file is given by its own path",
        )
    images = [_read_image(file) for file, _ in files]
    sizes = {image.shape[:2] for image in images}
    if len(sizes) > 1:
        first, other = sorted(sizes)[:2]
        raise UsageError(
            f"images in {folder.name} differ in size, e.g. {first[1]}x{first[0]} and "
            f"{other[1]}x{other[0]}",
            hint="resize them to the model's input first",
        )
    channels = max(image.shape[2] for image in images)
    x = np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])
    names = [name for _, name in files]
    numeric = all(label.name.isdecimal() for label in classes)
    y = np.array([int(name) for name in names]) if numeric else np.array(names)
    notes = ("class subfolders are numbers, taken as the labels themselves",) if numeric else ()
    return Raw(np.ascontiguousarray(x.transpose(0, 3, 1, 2)), y, notes=notes)


def _read_image(file: Path) -> npt.NDArray[Any]:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("attack", for_="reading images") from error
    try:
        with Image.open(file) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise UsageError(f"{file.name} has {image.width}x{image.height} pixels: too many")
            grey = image.mode in ("1", "L")
            pixels = np.asarray(image.convert("L" if grey else "RGB"), np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"{file.parent.name}/{file.name} is not a readable image") from error
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
