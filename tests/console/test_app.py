"""Nobody sees or does anything without a session, a role and a form that is theirs."""

import re

import pytest
from starlette.routing import Route

from casemate.console import app, limits, tokens
from casemate.console.acting import ACTS, Outcome
from casemate.console.reading import PAGES
from casemate.store.cases import CaseBook
from tests.console.scene import client, enter

ANYONE = {"/static/{name}", "/sign-in"}


@pytest.fixture
def asking(night):
    with client(night) as asking:
        yield asking


def team(night, tmp_path):
    """Return a token file and a token of each role."""
    file = tmp_path / "tokens.toml"
    return file, {
        role: tokens.add(file, f"the-{role}", role) for role in ("viewer", "responder", "admin")
    }


def filled(path, night):
    return path.replace("{case}", night.case)


def test_every_path_is_closed_to_strangers(asking, night):
    routes = [one for one in asking.built.app._app.routes if isinstance(one, Route)]
    seen = 0
    for route in routes:
        if route.path in ANYONE:
            continue
        path = filled(route.path, night)
        for method in route.methods - {"HEAD"}:
            found = asking.request(method, path)
            assert found.status_code in (303, 401), (method, path)
            assert night.case not in found.text
            if found.status_code == 303:
                assert found.headers["location"].startswith("/sign-in")
            seen += 1
    assert seen > 2 * (len(PAGES) + len(ACTS))


def test_a_link_lets_in_once(asking):
    key = asking.built.link.fresh()
    found = asking.post("/sign-in", data={"key": key, "next": "/cases"})
    assert (found.status_code, found.headers["location"]) == (303, "/cases")
    cookie = found.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert key not in cookie
    assert asking.get("/cases").status_code == 200
    asking.cookies.clear()
    assert asking.post("/sign-in", data={"key": key}).status_code == 403
    assert asking.get("/cases").status_code == 303


@pytest.mark.parametrize(
    "after",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "",
        "/sign-in", "\\\\evil", "/x\r\nSet-Cookie: a=b",
    ],
)  # fmt: skip
def test_nobody_is_sent_elsewhere_after_signing_in(asking, after):
    found = asking.post("/sign-in", data={"key": asking.built.link.fresh(), "next": after})
    assert found.headers["location"] == "/now"
    assert found.headers.get_list("set-cookie") == [found.headers["set-cookie"]]


def test_guessing_is_slowed_down_and_on_the_trail(asking):
    for _ in range(limits.EACH):
        assert asking.post("/sign-in", data={"key": "guess"}).status_code == 403
    found = asking.post("/sign-in", data={"key": "guess"})
    assert found.status_code == 429
    assert 0 < int(found.headers["retry-after"]) <= limits.WINDOW
    trail = asking.built.desk.trail.read()
    assert [one.what for one in trail.entries] == ["refused"] * limits.EACH
    assert "guess" not in str(trail.entries)
    found = asking.post("/sign-in", data={"key": asking.built.link.fresh()})
    assert found.status_code == 303


def test_no_guessing_locks_out_who_has_a_token(night, tmp_path):
    file, given = team(night, tmp_path)
    settings = {"tokens": str(file), "behind_tls_proxy": True, "url": "https://console.example"}
    with client(night, **settings) as asking:
        for number in range(2 * limits.LISTED):
            headers = {"x-forwarded-for": f"192.0.2.{number}", "authorization": "Bearer guess"}
            assert asking.get("/api/now", headers=headers).status_code == 401
        for _ in range(2 * limits.EACH):
            headers = {"x-forwarded-for": "203.0.113.9", "authorization": "Bearer guess"}
            assert asking.get("/api/now", headers=headers).status_code == 401
        assert len(asking.built.desk.trail.read().entries) <= limits.LISTED
        good = {"x-forwarded-for": "203.0.113.9", "authorization": f"Bearer {given['viewer']}"}
        assert asking.get("/api/now", headers=good).status_code == 200
        del good["authorization"]
        found = asking.post("/sign-in", data={"key": given["viewer"]}, headers=good)
        assert found.status_code == 303


def test_every_act_wants_a_form_of_this_session(asking, night):
    own = enter(asking)
    before = CaseBook(night.workspace).log(night.case).actions
    for path in ACTS:
        for given in ({}, {"csrf": ""}, {"csrf": own[:-1]}, {"csrf": own + "x"}):
            found = asking.post(filled(path, night), data={**given, "text": "x", "why": "x"})
            assert found.status_code == 403, path
    assert CaseBook(night.workspace).log(night.case).actions == before
    assert asking.post("/sign-out", data={}).status_code == 403
    assert asking.get("/cases").status_code == 200
    found = asking.post(f"/cases/{night.case}/note", data={"csrf": own, "text": "hello"})
    assert found.headers["location"] == f"/cases/{night.case}#log"
    last = CaseBook(night.workspace).log(night.case).actions[-1]
    assert (last.author, last.text) == ("olga", "hello")


def test_signing_out_ends_the_session(asking):
    own = enter(asking)
    kept = dict(asking.cookies)
    assert asking.post("/sign-out", data={"csrf": own}).status_code == 303
    asking.cookies.update(kept)
    assert asking.get("/cases").status_code == 303


def test_roles_are_held_to(night, tmp_path, monkeypatch):
    # Whether they get through is what is asked here, not what is done then.
    idle = {path: one._replace(run=lambda *_: Outcome("", "/now")) for path, one in ACTS.items()}
    monkeypatch.setattr(app, "ACTS", idle)
    file, given = team(night, tmp_path)
    acts = {path: act.role for path, act in ACTS.items()} | {
        one.path: one.role for one in PAGES if one.role != "viewer"
    }
    reached = {}
    for role, token in given.items():
        with client(night, tokens=str(file)) as asking:
            own = enter(asking, token)
            for path, needed in acts.items():
                method = "POST" if path in ACTS else "GET"
                found = asking.request(
                    method, filled(path, night), headers={"x-csrf-token": own}, json={}
                ) if method == "POST" else asking.get(filled(path, night))  # fmt: skip
                reached[role, path] = found.status_code != 403
                order = ("viewer", "responder", "admin")
                assert reached[role, path] == (order.index(role) >= order.index(needed)), (
                    role,
                    path,
                )
            assert asking.get(f"/cases/{night.case}").status_code == 200


def test_programs_use_tokens_and_need_no_form(night, tmp_path):
    file, given = team(night, tmp_path)
    with client(night, tokens=str(file)) as asking:
        headers = {"authorization": f"Bearer {given['responder']}"}
        assert asking.get("/api/now").status_code == 401
        assert asking.get("/api/now", headers={"authorization": "Bearer nope"}).status_code == 401
        assert asking.get("/api/now", headers=headers).json()["now"]["cases"][0]["id"] == night.case
        found = asking.post(
            f"/api/cases/{night.case}/note", headers=headers, json={"text": "from a program"}
        )
        assert found.json()["said"] == "Noted."
        last = CaseBook(night.workspace).log(night.case).actions[-1]
        assert (last.author, last.text) == ("the-responder", "from a program")
        assert asking.built.desk.trail.read(1).entries[0].who == "the-responder"
        assert not asking.built.desk.sessions.all()


def test_a_session_does_not_outlive_its_token(night, tmp_path):
    file, given = team(night, tmp_path)
    with client(night, tokens=str(file)) as asking:
        enter(asking, given["responder"])
        assert asking.get("/cases").status_code == 200
        file.write_text("")
        assert asking.get("/cases").status_code == 303


def test_an_admin_sees_the_trail_and_ends_sessions(night, tmp_path):
    file, given = team(night, tmp_path)
    with client(night, tokens=str(file)) as asking:
        enter(asking, given["responder"])
        theirs = dict(asking.cookies)
        asking.cookies.clear()
        own = enter(asking, given["admin"])
        text = asking.get("/trail").text
        assert "the-responder" in text
        assert "signed-in" in text
        asking.post("/end-sessions", data={"csrf": own, "name": "the-responder"})
        asking.cookies.clear()
        asking.cookies.update(theirs)
        assert asking.get("/cases").status_code == 303


def test_what_is_missing_says_so_in_the_reader_s_language(asking):
    enter(asking)
    found = asking.get("/nope")
    assert found.status_code == 404
    assert "there is no such page" in found.text.lower()
    assert asking.get("/api/nope").json()["error"] == "there is no such page"
    assert asking.get("/cases/case-1999-0001").status_code == 404
    assert asking.post("/now", headers={"x-csrf-token": "x"}).status_code == 405
    assert asking.get("/static/..%2fapp.py").status_code == 404


def test_a_fault_shows_no_insides(asking, monkeypatch):
    enter(asking)
    monkeypatch.setattr("casemate.workflows.overview.now", lambda *_: 1 / 0)
    for path in ("/now", "/api/now"):
        found = asking.get(path)
        assert found.status_code == 500
        assert "ZeroDivision" not in found.text
        assert "content-security-policy" in found.headers


def test_the_caller_behind_our_proxy_is_the_last_it_names(night, tmp_path):
    file, _ = team(night, tmp_path)
    settings = {"tokens": str(file), "behind_tls_proxy": True, "url": "https://console.example"}
    with client(night, **settings) as asking:
        for number in range(limits.EACH + 1):
            headers = [
                ("x-forwarded-for", f"192.0.2.{number}"),
                ("x-forwarded-for", f"192.0.2.{number}, 203.0.113.9"),
            ]
            found = asking.post("/sign-in", data={"key": "guess"}, headers=headers)
        assert found.status_code == 429
        assert asking.post("/sign-in", data={"key": "x"}).status_code == 403
        addresses = {one.address for one in asking.built.desk.trail.read().entries}
        assert "203.0.113.9" in addresses
        assert not any(one.startswith("192.0.2") for one in addresses)


def test_without_a_proxy_of_ours_what_a_caller_says_of_itself_is_not_heard(asking):
    for number in range(limits.EACH + 1):
        headers = {"x-forwarded-for": f"192.0.2.{number}"}
        found = asking.post("/sign-in", data={"key": "guess"}, headers=headers)
    assert found.status_code == 429
    assert not any("192.0.2" in one.address for one in asking.built.desk.trail.read().entries)


def test_over_tls_the_cookie_says_so(night, tmp_path):
    file, given = team(night, tmp_path)
    settings = {"tokens": str(file), "behind_tls_proxy": True, "url": "https://console.example"}
    with client(night, **settings) as asking:
        found = asking.post("/sign-in", data={"key": given["viewer"]})
        cookie = found.headers["set-cookie"]
        assert cookie.startswith("__Host-casemate=")
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
        assert asking.get("/cases").status_code == 200


def test_search_finds_cases_and_else_principals(asking, night):
    enter(asking)
    assert asking.get("/search?q=latest").headers["location"] == f"/cases/{night.case}"
    found = asking.get("/search", params={"q": "a/b&c"}).headers["location"]
    assert found == "/principal?name=a%2Fb%26c"


def test_static_files_are_the_vendored_ones(asking):
    import hashlib
    from pathlib import Path

    table = (Path(app.__file__).parent / "vendor" / "README.md").read_text()
    body = asking.get("/static/htmx.js").content
    assert hashlib.sha256(body).hexdigest() in table
    assert "immutable" in asking.get("/static/htmx.js").headers["cache-control"]
    assert re.search(r"\.bar\{", asking.get("/static/console.css").text)
