"""What goes out as JSON is JSON, and what comes in is a form or refused."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from starlette.requests import Request

from casemate.console.answer import as_json, fields, plain
from casemate.console.people import Person
from casemate.errors import UsageError
from casemate.records.order import Order, Scope


def read(kind, body):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
    return asyncio.run(fields(Request(scope, receive)))


FORM = "application/x-www-form-urlencoded"


def test_forms_and_objects_say_the_same():
    assert read(FORM, b"a=1&b=x%20y&a=2&c=") == {"a": "2", "b": "x y", "c": ""}
    assert read("application/json; charset=utf-8", b'{"a": 2, "b": true}') == {
        "a": "2",
        "b": "true",
    }
    assert read("", b"") == {}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FORM, b"&".join(b"a=1" for _ in range(65))),
        (FORM, b"a=%ff"),
        (FORM, b"a=\xff"),
        ("application/json", b"[1]"),
        ("application/json", b'{"a": {"b": 1}}'),
        ("application/json", b"[" * 50_000),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("text/xml", b"<a/>"),
    ],
)
def test_what_is_neither_is_refused(kind, body):
    with pytest.raises(UsageError):
        read(kind, body)


def test_records_and_tuples_become_objects():
    at = datetime(2026, 11, 21, tzinfo=UTC)
    order = Order(
        id="ord-1", at=at, expires=at, action="rate", scope=Scope(principal="\ud800"), author="a",
        reason="r",
    )  # fmt: skip
    found = json.loads(as_json({"who": Person("a", "viewer", "token"), "orders": (order,)}).body)
    assert found["who"] == {"name": "a", "role": "viewer", "way": "token", "sub": ""}
    assert found["orders"][0]["schema"] == "order/1"
    assert found["orders"][0]["scope"]["principal"] == "\\ud800"
    assert found["orders"][0]["at"].startswith("2026-11-21T00:00:00")
    assert [plain(float(one)) for one in ("nan", "inf", "0.5")] == [None, None, 0.5]
