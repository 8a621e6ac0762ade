"""The console in a real browser: a night in a few clicks, nothing from elsewhere, no name runs."""

import pytest

from casemate.store.cases import CaseBook
from casemate.workflows import custody
from casemate.workflows.config import OidcTable
from tests.console.browsing import chromium, listen, missing
from tests.console.scene import HOSTILE, console, scene

pytestmark = missing
PAGES = ("/now", "/cases", "/cases/CASE", "/principal?name=NAME", "/models", "/guard")


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


def enter(browser, served, **settings):
    page = browser.new_context(**settings).new_page()
    page.goto(served.invitation())
    page.wait_for_url("**/now")
    return page


def settled(page):
    """Wait until the parts that come later are there."""
    for one in page.locator(".later > p.soft > a").all():
        one.wait_for(state="detached", timeout=60_000)


def test_a_night_in_a_few_clicks(browser, night):
    with console(night) as served:
        page = browser.new_context().new_page()
        said, asked = listen(page)
        page.goto(served.invitation())
        page.wait_for_url("**/now")
        assert "#" not in page.url
        page.get_by_role("link", name=f"Go to {night.case}").click()
        settled(page)
        assert page.locator(".plot svg rect.named").count() > 5
        broken = page.evaluate("[...document.images].filter(one => !one.naturalWidth).length")
        assert (page.locator(".inputs img").count(), broken) == (18, 0)
        page.get_by_role("button", name="Take this case").click()
        page.get_by_text("is now olga's").wait_for()
        page.get_by_label("Block: refuse them altogether.").check()
        page.get_by_role("button", name="See what that would do").click()
        page.get_by_role("heading", name="Block for 4h?").wait_for()
        page.get_by_role("button", name="Do it").click()
        page.locator("#orders-part").get_by_text("in force").wait_for(timeout=60_000)
        page.get_by_label("Note", exact=True).fill("handed over at 06:00")
        page.get_by_role("button", name="Put it on the log").click()
        page.locator("#log-part").get_by_text("handed over at 06:00").wait_for()
        page.locator("#close").get_by_label("Why").fill("contained and handed over")
        page.get_by_role("button", name="Close the case").click()
        page.locator("#close").get_by_text("contained and handed over").wait_for()
        assert said == []
        assert [one for one in asked if not one.startswith((served.url, "data:"))] == []
        page.context.close()
    log = CaseBook(night.workspace).log(night.case)
    assert log.faults == ()
    assert [one.kind for one in log.actions][2:] == ["assigned", "contained", "noted", "closed"]
    assert {one.author for one in log.actions[2:]} == {"olga"}


@pytest.mark.slow
def test_a_page_changes_by_itself_but_not_under_the_writer_s_hands(browser, night):
    with console(night) as served:
        page = enter(browser, served)
        page.goto(f"{served.url}/cases/{night.case}")
        page.locator("html[data-live=yes]").wait_for()
        field = page.locator("#text")
        field.fill("half a thought")
        CaseBook(night.workspace).change(
            night.case, custody.action("pat", "noted", "from elsewhere")
        )
        page.locator("#log-part").get_by_text("from elsewhere").wait_for(timeout=30_000)
        assert field.input_value() == "half a thought"
        page.context.close()


@pytest.mark.slow
def test_it_is_used_without_a_mouse(browser, night):
    with console(night) as served:
        page = enter(browser, served)
        page.keyboard.press("g")
        page.keyboard.press("c")
        page.wait_for_url("**/cases")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/{night.case}")
        page.keyboard.press("?")
        assert page.locator("dialog[open]").count() == 1
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        page.keyboard.type("eve")
        page.keyboard.press("Enter")
        page.wait_for_url("**/principal?name=eve")
        page.context.close()


@pytest.mark.slow
def test_without_scripts_everything_is_still_there(browser, night):
    with console(night) as served:
        page = browser.new_context(java_script_enabled=False).new_page()
        page.goto(f"{served.url}/sign-in")
        page.get_by_label("Key of the link").fill(served.link.fresh())
        page.get_by_role("button", name="Sign in").click()
        page.goto(f"{served.url}/cases/{night.case}")
        page.locator("#timeline a").click()
        assert page.locator("svg rect").count() > 5
        page.go_back()
        page.get_by_role("button", name="Take this case").click()
        page.get_by_text("is now olga's").wait_for()
        page.context.close()


@pytest.mark.slow
def test_no_name_runs(browser, tmp_path):
    made = scene(tmp_path, suspects=HOSTILE[:-3] + HOSTILE[-2:], title=HOSTILE[0])
    with console(made) as served:
        page = enter(browser, served)
        said, asked = listen(page)
        for path in PAGES:
            for name in HOSTILE[1:4] if "NAME" in path else HOSTILE[:1]:
                found = path.replace("CASE", made.case)
                page.goto(
                    f"{served.url}{found.partition('=')[0]}"
                    + ("=" if "=" in found else "")
                    + (__import__("urllib.parse").parse.quote(name) if "=" in found else "")
                )
                settled(page)
                assert "owned" not in page.title().replace("document.title='owned'", "")
                assert page.locator("iframe, main img:not(.inputs img), main script").count() == 0
                assert page.locator("main").is_visible()
        assert said == []
        assert [one for one in asked if not one.startswith((served.url, "data:"))] == []
        page.context.close()
    made.workspace.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_in_anybody_s_way(browser, night, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with console(night) as served:
        page = enter(browser, served, viewport={"width": width, "height": 800}, color_scheme=scheme)
        paths = (*PAGES, "/trail", "/nope", "/sign-in?x", f"/cases/{night.case}/timeline")
        for path in paths:
            page.goto(served.url + path.replace("CASE", night.case).replace("NAME", "eve"))
            settled(page)
            for one in page.locator("details").all():
                one.evaluate("one => { one.open = true }")
            # A fragment shown by itself is no whole page.
            found = axe.run(page) if not path.endswith("timeline") else None
            if found is not None:
                assert found.response["violations"] == [], (path, found.generate_report())
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, path
        page.goto(f"{served.url}/cases/{night.case}")
        page.get_by_role("button", name="See what that would do").click()
        page.get_by_role("button", name="Do it").wait_for()
        assert axe.run(page).response["violations"] == []
        page.context.clear_cookies()
        page.goto(f"{served.url}/sign-in")
        assert axe.run(page).response["violations"] == []
        page.context.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_identity_provider_lets_in_through_the_browser(browser, night):
    mock = pytest.importorskip("oidc_provider_mock")
    user = mock.User(sub="ann", claims={"preferred_username": "ann", "groups": ["ml-security"]})
    with mock.run_server_in_thread(require_nonce=True, user_claims=[user]) as server:
        oidc = OidcTable(
            issuer=f"http://localhost:{server.server_port}", client="console",
            roles={"ml-security": "responder"}, secret_env="CASEMATE_USER",
        )  # fmt: skip
        with console(night, oidc=oidc) as served:
            page = browser.new_context().new_page()
            said, _ = listen(page)
            # Another site's name than the provider's, so that strict cookies are put to the test.
            page.goto(f"{served.url}/cases/{night.case}")
            page.get_by_role("button", name="Sign in with localhost").click()
            page.locator("input[name=sub]").fill("ann")
            page.locator("button[type=submit], button:not([type])").first.click()
            page.wait_for_url(f"{served.url}/cases/{night.case}")
            page.get_by_text("ann, responder").wait_for()
            assert "code=" not in page.url
            # The provider's own page asks for what it does not get.
            assert [one for one in said if "Failed to load resource" not in one] == []
            page.context.close()
