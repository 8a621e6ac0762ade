"""The page in a real browser: quiet, still, narrow enough, and deaf to hostile names."""

import shutil

import pytest

from casemate.export.report import write
from tests.export import bundles

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", ["image", "tabular", "hostile"])
def test_the_page_in_a_browser(browser, tmp_path, name, width, scheme):
    path = tmp_path / "report.html"
    path.write_bytes(write(getattr(bundles, f"{name}_bundle")(), "html"))
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    for details in page.locator("details").all():
        details.evaluate("one => { one.open = true }")
    wide = page.evaluate("document.documentElement.scrollWidth")
    styled = page.evaluate("getComputedStyle(document.querySelector('.verdict')).borderLeftStyle")
    broken = page.evaluate("[...document.images].filter(one => !one.naturalWidth).length")
    title = page.title()
    page.close()
    assert said == []
    assert [one for one in asked if not one.startswith("data:")] == [path.as_uri()]
    assert wide <= width
    assert styled == "solid"
    assert broken == 0
    assert title != "owned"
