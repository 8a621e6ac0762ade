"""The README's picture, from a real report: verdict, curves, and the first worst examples.

    make demo && python docs/picture.py demo/digits/.casemate/run-*.html

Needs Chromium. Run it when the report changes its looks; the parts are those of the page, stacked.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parent / "assets" / "report.png"
PARTS = (
    "#verdict",
    ".charts >> nth=0",
    "h3:has-text('Worst examples') >> nth=0",
    ".three >> nth=0",
)


def main(report: str) -> None:
    """Write docs/assets/report.png."""
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1100, "height": 1200}, color_scheme="light")
        page.goto(Path(report).resolve().as_uri())
        boxes = [page.locator(part).first.bounding_box() for part in PARTS]
        shot = Image.open(io.BytesIO(page.screenshot(full_page=True)))
        browser.close()
    spans = [(int(box["y"]) - 12, int(box["y"] + box["height"]) + 12) for box in boxes]
    spans[2:] = [(spans[2][0], spans[3][1])]
    picture = Image.new("RGB", (shot.width, sum(end - start for start, end in spans)))
    top = 0
    for start, end in spans:
        picture.paste(shot.crop((0, start, shot.width, end)), (0, top))
        top += end - start
    picture.quantize(128).save(PICTURE, optimize=True)
    print(f"{PICTURE.name}: {picture.width} x {picture.height}, {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
