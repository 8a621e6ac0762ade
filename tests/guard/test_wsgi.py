"""The WSGI shell around the library's own server, from many threads at once."""

import concurrent.futures
import http.client
import io
import json
import random

import pytest

from casemate.guard.marks import HEADER
from casemate.guard.policy import RouteTable, RuleTable
from casemate.guard.wsgi import wsgi
from casemate.records.event import Measures
from casemate.targets.wire import chat
from tests.guard.serving import SCORES, wsgi_server
from tests.guard.traffic import Judge, guard, image

INFER = "/v2/models/digits/infer"
ANN = {"Host": "model", "X-User": "ann", "Content-Type": "application/json"}


def model(environ, start_response):
    """A small model server."""
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if path == "/v1/chat/completions":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return iter(chat.encode_stream("gpt", ["one ", "two"]))
    if path.endswith("/large/infer"):
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return (b"x" * 65536 for _ in range(16))
    if path.endswith("/broken/infer"):
        raise ZeroDivisionError
    if path.endswith("/late/infer"):

        def pieces():
            yield b"x"
            raise ZeroDivisionError

        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return pieces()
    if path.endswith("/written/infer"):
        write = start_response("200 OK", [("Content-Type", "application/json")])
        write(SCORES[:10])
        return [SCORES[10:]]
    if path.endswith("/infer"):
        start_response("200 OK", [("Content-Type", "application/json"), ("X-Pod", "3")])
        return [SCORES]
    said = {name: value for name, value in sorted(environ.items()) if name.startswith("HTTP_")}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([path, body.hex(), said]).encode()]


def post(port, path, body, headers=ANN):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", path, body, {**headers})
    reply = connection.getresponse()
    found = (reply.status, {k: v for k, v in reply.getheaders() if k != "Date"}, reply.read())
    connection.close()
    return found


def test_threads_leave_a_record_without_holes():
    events = []
    with (
        wsgi_server(wsgi(model, guard(Judge()), events.extend)) as port,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        found = list(pool.map(lambda n: post(port, INFER, image(n).body), range(48)))
    assert {one[0] for one in found} == {200}
    assert {one[2] for one in found} == {SCORES}
    assert [one.sequence for one in events] == list(range(48))
    assert {(one.principal, one.kind) for one in events} == {("ann", "inference")}


def test_observing_changes_no_byte():
    judge = Judge(Measures(signs=("x",), broken=1))
    rules = (RuleTable(when="always", action="block"), RuleTable(when="x", action="coarsen"))
    made = guard(judge, rule=rules, route=(RouteTable(match="/**", fail="closed"),))
    rng = random.Random(7)
    paths = [INFER, "/echo", "/a%20b/%C3%A9", "/v2/models/written/infer", "/v1/chat/completions"]
    with wsgi_server(model) as bare, wsgi_server(wsgi(model, made, lambda _: None)) as guarded:
        for _ in range(60):
            body = rng.choice([image().body, rng.randbytes(rng.randrange(200)), b"", b"{"])
            path = rng.choice(paths)
            assert post(bare, path, body) == post(guarded, path, body)


def test_the_mark_of_the_red_team_stays_with_the_guard():
    with wsgi_server(wsgi(model, guard(), lambda _: None)) as port:
        said = post(port, "/echo", b"x", {**ANN, HEADER: "run.1.a", "X-A": "b"})[2]
    assert b"HTTP_X_A" in said
    assert b"REDTEAM" not in said


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        (INFER, "inference", 200),
        ("/v2/models/written/infer", "inference", 200),
        ("/v2/models/broken/infer", "failed", 500),
        ("/v2/models/large/infer", "inference", 200),
    ],
)
def test_every_way_to_answer_is_on_record(path, kind, status, capfd):
    events = []
    with wsgi_server(wsgi(model, guard(max_body=300_000), events.extend)) as port:
        got = post(port, path, image().body)
    assert got[0] == status
    assert [(one.kind, one.status) for one in events] == [(kind, status)]
    if "large" in path:
        assert events[0].bytes_out == 16 * 65536
        assert got[2] == b"x" * (16 * 65536)


def test_a_stream_that_breaks_off_is_noted(capfd):
    events = []
    made = wsgi(model, guard(), events.extend)
    with wsgi_server(made) as port:
        post(port, "/v2/models/late/infer", image().body)
    assert "ZeroDivisionError, within its answer" in events[0].note


def test_a_stream_is_passed_on_as_it_comes():
    events = []
    body = chat.encode_request("gpt", ["hi"], stream=True).body
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/v1/chat/completions",
        "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/json",
    }  # fmt: skip
    found = wsgi(model, guard(), events.extend)(environ, lambda *_: None)
    assert b"one" in next(found) + next(found)
    assert not events
    assert b"".join(found).endswith(b"[DONE]\n\n")
    assert events[0].protocol == "chat"


def asked(body=b"", **more):
    return {"REQUEST_METHOD": "POST", "PATH_INFO": INFER, "wsgi.input": io.BytesIO(body), **more}


def test_lines_are_whole_across_what_was_read_ahead():
    events, lines = [], []

    def app(environ, start_response):
        source = environ["wsgi.input"]
        lines.append([source.readline(), source.readline(3), source.readline(), *source])
        start_response("200 OK", [])
        return [b""]

    text = b"a" * 990 + b"\n" + b"b" * 50 + b"\nlast\nline"
    wsgi(app, guard(max_body=1000), events.extend)(
        asked(text, CONTENT_LENGTH=str(len(text))), lambda *_: None
    )
    assert lines[0] == [b"a" * 990 + b"\n", b"bbb", b"b" * 47 + b"\n", b"last\n", b"line"]


def test_a_body_of_no_known_end_is_left_to_the_application():
    events, bodies = [], []

    def app(environ, start_response):
        bodies.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return [b""]

    guarded = wsgi(app, guard(), events.extend)
    guarded(asked(image().body, HTTP_TRANSFER_ENCODING="chunked"), lambda *_: None)
    assert bodies == [image().body]
    assert [(one.kind, "no known end" in one.note) for one in events] == [("bypassed", True)]


def test_pieces_are_passed_on_as_they_come_when_nothing_is_to_be_changed():
    events, told = [], []

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        for piece in (SCORES[:9], SCORES[9:]):
            told.append(piece)
            yield piece

    body = image().body
    question = {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json"}
    found = iter(wsgi(app, guard(Judge()), events.extend)(asked(body, **question), lambda *_: None))
    assert next(found) == SCORES[:9]
    assert told == [SCORES[:9]]
    assert list(found) == [SCORES[9:]]
    assert (events[0].measures.label, events[0].bytes_out) == (1, len(SCORES))
    left = wsgi(app, guard(Judge()), events.extend)(asked(body, **question), lambda *_: None)
    next(left)
    left.close()
    assert (events[1].kind, events[1].status) == ("failed", 200)
    assert "within its answer" in events[1].note


def test_enforcing():
    events = []
    made = guard(mode="enforce", rule=(RuleTable(when="always", action="coarsen"),))
    with wsgi_server(wsgi(model, made, events.extend)) as port:
        status, headers, body = post(port, INFER, image().body)
    assert json.loads(body)["outputs"][0]["data"] == [0.3, 0.7]
    assert status == 200
    assert headers["X-Pod"] == "3"
    assert {name.lower(): value for name, value in headers.items()}["content-length"] == str(
        len(body)
    )
    blocked = guard(mode="enforce", rule=(RuleTable(when="always", action="block"),))
    with wsgi_server(wsgi(model, blocked, events.extend)) as port:
        assert post(port, INFER, image().body)[0] == 403


@pytest.mark.parametrize("size", [999, 1001, 300_000])
def test_a_body_over_the_limit_reaches_the_application_whole(size):
    events = []
    with wsgi_server(wsgi(model, guard(max_body=1000), events.extend)) as port:
        got = post(port, "/echo", b"x" * size)
    assert bytes.fromhex(json.loads(got[2])[1]) == b"x" * size
    assert [one.kind for one in events] == ["bypassed"]
