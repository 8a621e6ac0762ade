import contextlib
import http.server
import json
import threading

import pytest

from casemate.errors import Refused, TargetError, UsageError
from casemate.targets import service
from casemate.targets.service import Service


@pytest.fixture
def echo():
    """A service that answers with what it was sent; `/big` with 4 MiB, `/no` with 403."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status = 403 if self.path.startswith("/api/no") else 200
            said = {"method": self.command, "path": self.path, "body": body.decode()}
            if status == 403:
                said = {"message": "not you, Bearer s3cret"}
            raw = (
                b"x" * (4 << 20) if self.path.startswith("/api/big") else json.dumps(said).encode()
            )
            self.send_response(status)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(raw)

        do_GET = do_DELETE = do_POST  # noqa: N815

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}/api"
    running.shutdown()
    running.server_close()


def test_it_sends_what_it_is_given_below_the_path_of_its_address(echo):
    with Service(f"{echo}/", {}) as asked:
        assert asked.get("/models", name="a b")["path"] == "/api/models?name=a+b"
        assert asked.send("DELETE", "/alias", {"alias": "prod"}) == {
            "method": "DELETE", "path": "/api/alias", "body": '{"alias": "prod"}',
        }  # fmt: skip


def test_a_refusal_is_told_without_the_credentials(echo):
    with (
        Service(echo, {"CASEMATE_TOKEN": "s3cret"}) as asked,
        pytest.raises(Refused, match="403: not you") as caught,
    ):
        asked.get("/no")
    assert "s3cret" not in str(caught.value)
    assert caught.value.hint


def test_answers_are_bounded(echo, monkeypatch):
    monkeypatch.setattr(service, "MAX_ANSWER", 1 << 20)
    with Service(echo, {}) as asked:
        with pytest.raises(TargetError, match="longer than"):
            asked.get("/big")
        assert sum(len(piece) for piece in asked.pieces("/big", 5 << 20)) == 4 << 20
        with pytest.raises(TargetError, match="longer than"):
            list(asked.pieces("/big", 1 << 20))


def test_a_service_that_is_not_there_is_told():
    with (
        Service("http://127.0.0.1:9", {}) as asked,
        pytest.raises(TargetError, match="cannot be asked") as caught,
    ):
        asked.get("/x")
    assert caught.value.retry


def test_no_address_holds_a_password():
    with pytest.raises(UsageError):
        Service("http://a:b@host/", {})
