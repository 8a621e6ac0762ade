"""From what a page is about to its answer: HTML for people, the same as JSON for programs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec
from starlette.responses import Response

from casemate.errors import UsageError

if TYPE_CHECKING:
    from starlette.requests import Request

    from casemate.console.desk import Desk
    from casemate.console.people import Session

_FIELDS = 64
JSON = "application/json"


def plain(value: Any) -> Any:
    """Return a value as JSON has it: named tuples and records become objects."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(one) for name, one in value._asdict().items()}
    if isinstance(value, msgspec.Struct):
        named = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        tag = value.__struct_config__.tag
        return named if tag is None else {"schema": tag, **named}
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, int) else msgspec.to_builtins(
        value, enc_hook=str
    )  # fmt: skip


def wants_json(request: Request) -> bool:
    """Say whether a program asks: under /api, or by what it accepts."""
    if request.url.path.startswith("/api/"):
        return True
    accepts = request.headers.get("accept", "")
    return JSON in accepts and "text/html" not in accepts


def as_json(value: Any, status: int = 200) -> Response:
    """Return a value as JSON."""
    return Response(msgspec.json.encode(plain(value)), status, media_type=JSON)


def page(
    desk: Desk, request: Request, session: Session | None, name: str, values: dict[str, Any],
    status: int = 200,
) -> Response:  # fmt: skip
    """Return a page, with what every page shows besides."""
    said = None
    if session is not None and "hx-request" not in request.headers:
        said, session.said = session.said, None
    body = desk.pages.write(
        name,
        {
            "me": session.person if session is not None else None,
            "csrf": session.csrf if session is not None else "",
            "said": said,
            "path": request.url.path,
            "address": str(request.url.path)
            + (f"?{request.url.query}" if request.url.query else ""),
            **values,
        },
    )
    return Response(body, status, media_type="text/html; charset=utf-8")


def problem(
    desk: Desk, request: Request, session: Session | None, status: int, words: str, hint: str = ""
) -> Response:
    """Return what went wrong and what to do next."""
    if wants_json(request):
        return as_json({"error": words, "hint": hint}, status)
    values = {"words": words, "hint": hint, "status": status}
    return page(desk, request, session, "error.html", values, status)


async def fields(request: Request) -> dict[str, str]:
    """Return what a form or a JSON object says; of a repeated name the last.

    Raises:
        UsageError: Neither, or more than a form has.
    """
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == JSON:
            given = msgspec.json.decode(body or b"{}", type=dict[str, str | int | float | bool])
            return {name: _word(value) for name, value in given.items()}
        if kind == "application/x-www-form-urlencoded" or not body:
            pairs = parse_qsl(
                body.decode("utf-8"), keep_blank_values=True, max_num_fields=_FIELDS,
                errors="strict",
            )  # fmt: skip
            return dict(pairs)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(f"a form that cannot be read: {error}") from error
    raise UsageError(f"a body of the kind '{kind}' is not read", hint=f"send a form or {JSON}")


def _word(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
