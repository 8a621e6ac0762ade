"""What every request passes: names, origins, sizes; and what every answer carries."""

import asyncio

import httpx
import pytest
from starlette.responses import PlainTextResponse

from casemate.console.shield import MOST_BODY, Shield

HOST = "127.0.0.1:8700"


async def app(scope, receive, send):
    body = b""
    if scope["method"] == "POST":
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
    await PlainTextResponse(f"{scope['method']} {len(body)}")(scope, receive, send)


def ask(method="GET", path="/", headers=None, body=b"", scheme="http", host=HOST):
    async def once():
        shield = Shield(app, hosts={HOST, "localhost:8700"}, scheme=scheme)
        transport = httpx.ASGITransport(app=shield)
        async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://{HOST}") as client:
            sent = {"host": host, **(headers or {})}
            return await client.request(method, path, headers=sent, content=body)

    return asyncio.run(once())


@pytest.mark.parametrize("host", [HOST, "localhost:8700", "LOCALHOST:8700"])
def test_our_names_are_answered(host):
    assert ask(host=host).text == "GET 0"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8700",
        "127.0.0.1",
        "127.0.0.1:80",
        "",
        "localhost:8700.evil",
        "x",
    ],
)
def test_a_name_that_was_pointed_at_us_is_not(host):
    found = ask(host=host)
    assert found.status_code == 421
    assert "GET" not in found.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": f"https://{HOST}"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_site_cannot_have_anything_done(headers):
    assert ask("POST", headers=headers, body=b"x").status_code == 403
    assert ask("GET", headers=headers).status_code == 200


def test_our_own_pages_can():
    found = ask(
        "POST", headers={"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}, body=b"xy"
    )
    assert found.text == "POST 2"


def test_bodies_and_addresses_are_bounded():
    assert ask("POST", body=b"x" * MOST_BODY).text == f"POST {MOST_BODY}"
    assert ask("POST", body=b"x" * (MOST_BODY + 1)).status_code == 413
    assert ask(path="/" + "x" * 4000).status_code == 414
    assert ask(path="/?" + "x" * 4000).status_code == 414


def test_a_body_in_many_pieces_is_bounded_too():
    async def pieces():
        for _ in range(100):
            yield b"x" * 1024

    async def once():
        transport = httpx.ASGITransport(app=Shield(app, hosts={HOST}, scheme="http"))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            return await client.post("/", content=pieces())

    assert asyncio.run(once()).status_code == 413


@pytest.mark.parametrize("found", [{}, {"host": "evil.example"}], ids=["page", "refusal"])
def test_every_answer_tells_the_browser_to_run_nothing_else(found):
    headers = ask(**found).headers
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers
    assert "strict-transport-security" in ask(scheme="https", **found).headers
