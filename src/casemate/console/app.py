"""The console as an ASGI application: doors, pages, acts, live updates, and nothing besides.

Every path but the doors and the static files asks for a session; every act asks for the session's
own token and puts a line on the trail before and, when it fails, after.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from casemate.console import acting, live
from casemate.console.acting import ACTS, Act, status_of
from casemate.console.answer import as_json, fields, page, plain, problem, wants_json
from casemate.console.limits import Failures
from casemate.console.people import Person, Session
from casemate.console.reading import PAGES, Page
from casemate.console.shield import SAFE, Shield
from casemate.errors import CasemateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from casemate.console.desk import Desk
    from casemate.console.render import File
    from casemate.console.signin import Doors

    Handler = Callable[[Request], Awaitable[Response]]

NAME = "casemate"


class Console:
    """Handles every request of one console."""

    def __init__(
        self,
        desk: Desk,
        doors: Doors,
        static: Mapping[str, File],
        *,
        cookie: str,
        secure: bool,
        proxied: bool = False,
    ) -> None:
        """Prepare the pages.

        Args:
            desk: What they share.
            doors: How people come in.
            static: Files served as they are.
            cookie: Name of the session's cookie: browsers share cookies between ports.
            secure: Whether browsers come over TLS.
            proxied: Whether a proxy of ours names the caller in the last of X-Forwarded-For.
        """
        self._desk = desk
        self._doors = doors
        self._static = static
        self._cookie = cookie
        self._secure = secure
        self._proxied = proxied
        self._failures = Failures()

    def routes(self) -> list[Route]:
        """Return every route there is."""
        found = [
            Route("/static/{name}", self._file),
            Route("/sign-in", self._door, methods=["GET"]),
            Route("/sign-in", self._enter, methods=["POST"]),
            Route("/", self._signed(self._home)),
            Route("/search", self._signed(self._search)),
            Route("/live", self._signed(self._live)),
            Route("/sign-out", self._signed(self._leave), methods=["POST"]),
            Route("/api", self._signed(self._index)),
        ]
        if self._doors.provider is not None:
            found += [
                Route("/oidc/begin", self._begin, methods=["POST"]),
                Route("/oidc/callback", self._back, methods=["GET"]),
                Route("/oidc/finish", self._finish, methods=["POST"]),
            ]
        for one in PAGES:
            handler = self._signed(self._read(one))
            found += [Route(one.path, handler), Route(f"/api{one.path}", handler)]
        for path, act in ACTS.items():
            handler = self._signed(self._act(path, act))
            found += [Route(prefix + path, handler, methods=["POST"]) for prefix in ("", "/api")]
        return found

    def _signed(self, handler: Callable[[Request, Session], Awaitable[Response]]) -> Handler:
        async def signed(request: Request) -> Response:
            session = await self._session(request)
            if session is None:
                if wants_json(request):
                    return as_json({"error": "sign in first", "hint": "Authorization: Bearer"}, 401)
                if "hx-request" in request.headers:
                    return Response(status_code=401, headers={"HX-Redirect": "/sign-in"})
                after = f"?next={quote(request.url.path)}" if request.url.path != "/" else ""
                return RedirectResponse(f"/sign-in{after}", 303)
            if request.method not in SAFE and not self._meant(request, session):
                given = await self._fields(request)
                if given is None or not session.knows(given.get("csrf", "")):
                    words = "that form was not made for you, or is from before you signed in"
                    return problem(self._desk, request, session, 403, words, "open the page again")
            try:
                return await handler(request, session)
            except CasemateError as error:
                return problem(
                    self._desk, request, session, status_of(error), str(error), error.hint
                )

        return signed

    async def _session(self, request: Request) -> Session | None:
        cookie = request.cookies.get(self._cookie)
        if cookie:
            return self._desk.sessions.get(cookie)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self._doors.tokens is None:
            return None
        person = self._doors.tokens.person(token.strip())
        if person is not None:
            return Session("", person, 0.0)
        address = self._address(request)
        if not self._failures.wait(address):
            await self._refused(address, "a token")
        return None

    async def _refused(self, address: str, about: str, way: str = "") -> None:
        unlisted = self._failures.failed(address)
        if unlisted is None:
            return
        outcome = f"refused; {unlisted} more before it are not listed" if unlisted else "refused"
        await asyncio.to_thread(
            self._desk.trail.add, "refused", about, address=address, way=way, outcome=outcome
        )

    def _meant(self, request: Request, session: Session) -> bool:
        """Say whether no other site can have made the browser send this."""
        return not session.ident or session.knows(request.headers.get("x-csrf-token", ""))

    async def _fields(self, request: Request) -> dict[str, str] | None:
        try:
            return await fields(request)
        except UsageError:
            return None

    def _address(self, request: Request) -> str:
        peer = request.client.host if request.client is not None else ""
        if self._proxied:
            # A caller may send lines of its own; the proxy's is the last, and so is its address.
            lines = request.headers.getlist("x-forwarded-for")
            return (lines[-1].rpartition(",")[2].strip() if lines else "") or peer
        return peer

    async def _file(self, request: Request) -> Response:
        found = self._static.get(request.path_params["name"])
        if found is None:
            return Response(status_code=404)
        headers = {"cache-control": "max-age=31536000, immutable"}
        return Response(found.body, media_type=found.media_type, headers=headers)

    # -- the doors

    async def _door(self, request: Request) -> Response:
        if await self._session(request) is not None:
            return RedirectResponse(_inside(request.query_params.get("next", "")), 303)
        return self._sign_in(request)

    def _sign_in(
        self, request: Request, words: str = "", status: int = 200, headers: Any = None
    ) -> Response:
        doors = self._doors
        values = {
            "words": words,
            "link": doors.link is not None,
            "token": doors.tokens is not None,
            "provider": doors.provider.name if doors.provider is not None else "",
            "next": _inside(request.query_params.get("next", "")),
        }
        found = page(self._desk, request, None, "sign_in.html", values, status)
        found.headers.update(headers or {})
        return found

    def _later(self, request: Request, wait: float) -> Response:
        seconds = f"{math.ceil(wait)}"
        words = f"Too many tries. Wait {seconds} seconds."
        return self._sign_in(request, words, 429, {"retry-after": seconds})

    async def _enter(self, request: Request) -> Response:
        given = await self._fields(request) or {}
        person = self._doors.enter(given.get("key", "").strip())
        if person is None:
            address = self._address(request)
            wait = self._failures.wait(address)
            if wait:
                return self._later(request, wait)
            await self._refused(address, "sign-in")
            words = "That did not open. A link works once, for ten minutes; tokens may expire."
            return self._sign_in(request, words, 403)
        return await self._welcome(request, person, given.get("next", ""))

    async def _welcome(self, request: Request, person: Person, after: str) -> Response:
        address = self._address(request)
        self._failures.passed(address)
        await asyncio.to_thread(self._desk.note, person, address, "signed-in", "")
        cookie, _ = self._desk.sessions.open(person)
        found = RedirectResponse(_inside(after), 303)
        found.set_cookie(
            self._cookie, cookie, path="/", httponly=True, samesite="strict", secure=self._secure
        )
        return found

    async def _leave(self, request: Request, session: Session) -> Response:
        await asyncio.to_thread(
            self._desk.note, session.person, self._address(request), "signed-out", ""
        )
        self._desk.sessions.close(session)
        found = RedirectResponse("/sign-in", 303)
        found.delete_cookie(
            self._cookie, path="/", httponly=True, samesite="strict", secure=self._secure
        )
        return found

    async def _begin(self, request: Request) -> Response:
        assert self._doors.provider is not None
        given = await self._fields(request) or {}
        try:
            where = await asyncio.to_thread(
                self._doors.provider.begin, _inside(given.get("next", ""))
            )
        except CasemateError as error:
            return self._sign_in(request, f"{error}. {error.hint}", 502)
        # Not a redirect: the policy lets forms lead to ourselves alone, redirects included.
        found = page(self._desk, request, None, "away.html", {"url": where.url})
        found.set_cookie(
            f"{self._cookie}-way", where.state, path="/", max_age=600, httponly=True,
            samesite="strict", secure=self._secure,
        )  # fmt: skip
        return found

    async def _back(self, request: Request) -> Response:
        # The provider's redirect comes from another site, so that no cookie of ours is with it.
        # This page sends it on from our own site, and then the cookie is.
        given = {name: request.query_params.get(name, "") for name in ("code", "state", "error")}
        return page(self._desk, request, None, "back.html", given)

    async def _finish(self, request: Request) -> Response:
        assert self._doors.provider is not None
        address = self._address(request)
        wait = self._failures.wait(address)
        if wait:
            return self._later(request, wait)
        given = await self._fields(request) or {}
        bound = request.cookies.get(f"{self._cookie}-way", "")
        try:
            person, after = await asyncio.to_thread(self._doors.provider.finish, given, bound)
        except CasemateError as error:
            await self._refused(address, str(error), "oidc")
            return self._sign_in(request, f"{error}. {error.hint}", 403)
        found = await self._welcome(request, person, after)
        found.delete_cookie(f"{self._cookie}-way", path="/", secure=self._secure, httponly=True)
        return found

    # -- inside

    async def _home(self, _: Request, __: Session) -> Response:
        return RedirectResponse("/now", 303)

    async def _index(self, _: Request, session: Session) -> Response:
        return as_json(
            {
                "you": session.person,
                "read": [f"/api{one.path}" for one in PAGES],
                "act": [f"/api{path}" for path in ACTS],
            }
        )

    async def _search(self, request: Request, _: Session) -> Response:
        from casemate.store.cases import CaseBook

        text = request.query_params.get("q", "").strip()
        try:
            found = CaseBook(self._desk.workspace).get(text)
        except UsageError:
            return RedirectResponse(f"/principal?name={quote(text, safe='')}", 303)
        return RedirectResponse(f"/cases/{found.id}", 303)

    async def _live(self, _: Request, session: Session) -> Response:
        found = live.stream(self._desk.watch, session, self._desk.sessions)
        return found if found is not None else Response(status_code=429)

    def _read(self, one: Page) -> Callable[[Request, Session], Awaitable[Response]]:
        async def read(request: Request, session: Session) -> Response:
            if not session.person.may(one.role):
                return self._denied(request, session, one.role)
            given = {**request.query_params, **request.path_params}
            if one.looks is not None:
                about = f"{one.looks} {given.get('case', '')}".strip()
                await asyncio.to_thread(
                    self._desk.note, session.person, self._address(request), "looked", about
                )
            values = await asyncio.to_thread(one.gather, self._desk, given)
            if wants_json(request):
                return as_json(values)
            return await asyncio.to_thread(
                page, self._desk, request, session, one.template, dict(values)
            )

        return read

    def _act(self, path: str, act: Act) -> Callable[[Request, Session], Awaitable[Response]]:
        async def do(request: Request, session: Session) -> Response:
            if not session.person.may(act.role):
                return self._denied(request, session, act.role)
            given = {**await fields(request), **request.path_params}
            name = path.rpartition("/")[2]
            about = " ".join(
                [
                    name,
                    *(
                        given[one]
                        for one in ("case", "action", "from", "order", "name")
                        if given.get(one)
                    ),
                ]
            )
            note = (session.person, self._address(request))
            if not act.asks:
                await asyncio.to_thread(self._desk.note, *note, "acted", about, "begun")
            try:
                found = await asyncio.to_thread(act.run, self._desk, session.person, given)
            except CasemateError as error:
                await asyncio.to_thread(self._desk.note, *note, "failed", about, str(error))
                raise
            if wants_json(request):
                return as_json({"said": found.words, "data": plain(found.data)})
            if act.template is not None:
                values = {"given": given, "seen": found.data, "to": found.to}
                return page(self._desk, request, session, act.template, values)
            session.said = (found.tone, found.words)
            return RedirectResponse(found.to, 303)

        return do

    def _denied(self, request: Request, session: Session, role: str) -> Response:
        words = f"that needs the role {role}; you are {session.person.role}"
        return problem(self._desk, request, session, 403, words, "ask an admin of this console")

    async def missing(self, request: Request, error: Exception) -> Response:
        """Answer for a path that is none, or a method it does not have."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        words = {404: "there is no such page", 405: "that cannot be done there"}
        session = await self._session(request)
        if session is None and not wants_json(request):
            return RedirectResponse("/sign-in", 303)
        said = words.get(status, "that did not work: a fault of casemate; its terminal says more")
        return problem(self._desk, request, session, status, said, "go to the page 'now'")


def create(console: Console, *, hosts: set[str], scheme: str) -> ASGIApp:
    """Return the application.

    Args:
        console: What handles requests.
        hosts: Values of the Host header that are ours.
        scheme: As browsers see it.
    """
    app = Starlette(
        routes=console.routes(),
        exception_handlers={HTTPException: console.missing, Exception: console.missing},
    )
    return Shield(app, hosts=hosts, scheme=scheme)


def _inside(path: str) -> str:
    """Return a path of ours to go on with; anything that might lead elsewhere is `now`."""
    good = path.startswith("/") and not path.startswith(("//", "/\\", "/sign-in", "/oidc", "/live"))
    return path if good and path.isprintable() and "\\" not in path else "/now"


__all__ = ["ACTS", "PAGES", "Console", "acting", "create"]
