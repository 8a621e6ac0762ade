from __future__ import annotations

import gzip
import json
import shutil
import ssl
import subprocess
import time
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from casemate.errors import Refused, TargetError, UsageError
from casemate.targets import connection as transport
from casemate.targets.open import open_target
from casemate.targets.settings import Settings
from tests.targets.serving import http, speak

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casemate.targets.endpoint import ScoredEndpoint

X = np.zeros((2, 4))
BODY = json.dumps({"predictions": [[0.25, 0.75]] * 2}).encode()
OK = http("200 OK", BODY, "Content-Type: application/json")
SETTINGS = Settings(sample=X, timeout=5.0, retries=1)


def opened(host: str, settings: Settings = SETTINGS, extra: str = "") -> ScoredEndpoint:
    return open_target(f"http+mlflow://{host}/invocations{extra}", settings=settings)  # type: ignore[return-value]


def refusal(
    answer: Callable[[int, bytes], bytes | None], settings: Settings = SETTINGS
) -> TargetError:
    with speak(answer) as host, pytest.raises(TargetError) as caught:
        opened(host, settings)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()
    return caught.value


@pytest.mark.parametrize("status", ["429 Too Many", "502 Bad", "503 Busy", "504 Slow"])
def test_busy_then_ok(status: str) -> None:
    replies = [http(status, b"", "Retry-After: 0"), OK, OK, http(status, b""), OK]
    with speak(lambda k, _: replies[k]) as host:
        model = opened(host)
        assert model.scores(X).tolist() == [[0.25, 0.75]] * 2
        model.close()


def test_retry_after_is_honoured() -> None:
    at: list[float] = []

    def answer(k: int, _: bytes) -> bytes:
        at.append(time.monotonic())
        return http("429 Slow down", b"", "Retry-After: 1") if k == 0 else OK

    with speak(answer) as host:
        opened(host).close()
    assert at[1] - at[0] >= 1


def test_throttles_for_ever() -> None:
    error = refusal(lambda _, __: http("429 Slow down", b"", "Retry-After: 0"))
    assert error.retry
    assert "429, 2 times in a row" in str(error)


def test_dies_half_way() -> None:
    with speak(lambda _, __: OK) as host:
        model = opened(host)
    with pytest.raises(TargetError, match=r"broke off|cannot be reached") as caught:
        model.scores(X)
    assert caught.value.retry
    model.close()


def test_nobody_there() -> None:
    with speak(lambda _, __: OK) as host:
        pass
    with pytest.raises(TargetError, match="cannot be reached") as caught:
        opened(host)
    assert caught.value.retry


def test_closes_after_some_requests_and_comes_back() -> None:
    with speak(lambda k, _: None if k == 3 else OK) as host:
        model = opened(host)
        for _ in range(4):
            assert len(model.scores(X)) == 2
        model.close()


def test_truncated_body() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n" + BODY
    error = refusal(lambda _, __: cut)
    assert error.retry
    assert "broke off" in str(error)


def test_not_http() -> None:
    assert "broke off" in str(
        refusal(lambda _, __: b"SSH-2.0-OpenSSH_9.2\r\nconnection: close\r\n")
    )


@pytest.mark.parametrize(("timeout", "option"), [(0.2, ""), (5.0, "#deadline=0.2")])
def test_too_slow(timeout: float, option: str) -> None:
    def answer(_: int, __: bytes) -> bytes:
        time.sleep(0.5)
        return OK

    with speak(answer) as host, pytest.raises(TargetError, match="took longer than") as caught:
        opened(host, SETTINGS._replace(timeout=timeout, retries=0), option)
    assert caught.value.retry


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (http("200 OK", b"<html>", "Content-Type: text/html; charset=utf-8"), "text/html"),
        (http("200 OK", b'{"predictions": [[0.1,'), "not JSON"),
        (http("200 OK", b""), "not JSON"),
        (http("200 OK", b"\xff\xfe\x00"), "not JSON"),
        (http("200 OK", b'{"predictions": [[NaN, 1], [0, 1]]}'), "NaN"),
        (http("200 OK", b'{"predictions": [[1e999, 1], [0, 1]]}'), "out of range"),
        (http("200 OK", b'{"other": 1}'), "predictions"),
        (http("200 OK", b"[" * 5000), "nested"),
        (http("200 OK", b'{"predictions": ' + b"[" * 5000), "nested"),
        (http("302 Found", b"", "Location: http://evil.example/x"), "redirects"),
        (http("307 Moved", b"", "Location: /other"), "redirects"),
        (http("401 No", b""), "401"),
        (http("500 Oops", b"Traceback\n  \x1b[31mred\x07"), "500: Traceback"),
        (http("400 Bad", b"unknown column"), "400: unknown column"),
        (http("200 OK", gzip.compress(b"0" * (17 << 20)), "Content-Encoding: gzip"), "larger"),
        (http("200 OK", zlib.compress(b"0" * (17 << 20)), "Content-Encoding: deflate"), "larger"),
        (http("200 OK", gzip.compress(BODY)[:-4], "Content-Encoding: gzip"), "cut off"),
        (http("200 OK", b"garbage", "Content-Encoding: gzip"), "damaged"),
        (http("200 OK", BODY, "Content-Encoding: br"), "encoding br"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n", "larger"),
    ],
)
def test_bad_answers(reply: bytes, text: str) -> None:
    error = refusal(lambda _, __: reply)
    assert text in str(error)


def test_endless_body() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    assert "larger" in str(refusal(lambda _, __: head + b" " * (17 << 20)))


def test_compressed_answers_are_read() -> None:
    for coded, name in ((gzip.compress(BODY), "gzip"), (zlib.compress(BODY), "deflate")):
        reply = http("200 OK", coded, f"Content-Encoding: {name}")
        with speak(lambda _, __, reply=reply: reply) as host:  # type: ignore[misc]
            model = opened(host)
            assert model.kind == "probabilities"
            model.close()


def test_redirects_go_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEMATE_TOKEN", "SECRET-TOKEN")
    seen: list[bytes] = []

    def other(_: int, request: bytes) -> bytes:
        seen.append(request)
        return OK

    with speak(other) as elsewhere:
        reply = http("307 Moved", b"", f"Location: http://u:p@{elsewhere}/invocations?token=x")
        with speak(lambda _, __: reply) as host, pytest.raises(TargetError) as caught:
            opened(host)
    assert seen == []
    assert "u:p" not in caught.value.hint
    assert "token" not in caught.value.hint


def test_environment_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def proxy(_: int, request: bytes) -> bytes:
        seen.append(request)
        return OK

    with speak(proxy) as between, speak(lambda _, __: OK) as host:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{between}")
        opened(host).close()
    assert seen == []


def test_credentials_are_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEMATE_TOKEN", "SECRET-TOKEN")
    monkeypatch.setenv("CASEMATE_HEADER_X_TENANT", "blue-tenant")
    seen: list[bytes] = []

    def answer(_: int, request: bytes) -> bytes:
        seen.append(request)
        return http("403 No", b"no rights for SECRET-TOKEN of blue-tenant")

    error = refusal(answer)
    assert "SECRET" not in str(error)
    assert "blue-tenant" not in str(error)
    assert b"authorization: Bearer SECRET-TOKEN" in seen[0]
    assert b"x-tenant: blue-tenant" in seen[0]


def test_a_refusal_of_one_request_is_told_from_a_failure() -> None:
    assert isinstance(refusal(lambda _, __: http("403 No", b"request not accepted")), Refused)
    assert not isinstance(refusal(lambda _, __: http("404 No", b"no such model")), Refused)


def test_the_query_goes_along_and_the_fragment_does_not() -> None:
    seen: list[bytes] = []

    def answer(_: int, request: bytes) -> bytes:
        seen.append(request.partition(b"\r\n")[0])
        return OK

    with speak(answer) as host:
        opened(host, extra="?variant=a#form=instances").close()
    assert set(seen) == {b"POST /invocations?variant=a HTTP/1.1"}


def test_too_large_questions_are_split() -> None:
    sizes: list[int] = []

    def answer(_: int, request: bytes) -> bytes:
        n = len(json.loads(request.partition(b"\r\n\r\n")[2])["inputs"])
        sizes.append(n)
        if n > 5:
            return http("413 Too Large", b"")
        return http("200 OK", json.dumps({"predictions": [[0.25, 0.75]] * n}).encode())

    with speak(answer) as host:
        model = opened(host, SETTINGS, "#form=inputs")
        assert model.scores(np.zeros((40, 4))).shape == (40, 2)
        assert model.batch == 5
        sizes.clear()
        assert model.scores(np.zeros((10, 4))).shape == (10, 2)
        assert sorted(sizes) == [5, 5]
        model.close()
    assert "too large" in str(refusal(lambda _, __: http("413 Too Large", b"")))


def test_wrong_row_count_later_on() -> None:
    replies = [OK, OK, http("200 OK", b'{"predictions": [[0.5, 0.5]]}')]
    with speak(lambda k, _: replies[k]) as host:
        model = opened(host)
        with pytest.raises(TargetError, match="1 rows to 2 inputs") as caught:
            model.scores(X)
        assert not caught.value.retry
        model.close()


def test_spend_and_requests_are_capped() -> None:
    with speak(lambda _, __: OK) as host:
        model = opened(host, SETTINGS._replace(spend=6))
        model.scores(X)
        with pytest.raises(TargetError, match="cap of 6 inputs") as caught:
            model.scores(X)
        assert not caught.value.retry
        model.close()
        model = opened(host, extra="#requests=3")
        model.scores(X)
        with pytest.raises(TargetError, match="cap of 3 requests"):
            model.scores(X)
        model.close()


def test_connections_are_kept() -> None:
    import socket
    from unittest.mock import patch

    made: list[object] = []
    real = socket.create_connection

    def counting(*args: object, **kwargs: object) -> socket.socket:
        made.append(args)
        return real(*args, **kwargs)  # type: ignore[arg-type]

    with speak(lambda _, __: OK) as host, patch.object(socket, "create_connection", counting):
        model = opened(host)
        for _ in range(20):
            model.scores(X)
        model.close()
    assert len(made) == 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    names = (folder / "cert.pem", folder / "key.pem")
    subprocess.run(
        [
            openssl,
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "1", "-subj", "/CN=test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", str(names[0]), "-keyout", str(names[1])),
        ],
        check=True,
        capture_output=True,
    )
    return names


def test_certificates_are_verified(
    authority: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority)
    with speak(lambda _, __: OK, tls=context) as host:
        uri = f"https+mlflow://{host}/invocations"
        with pytest.raises(TargetError, match=r"certificate of 127.0.0.1:.* is not trusted"):
            open_target(uri, settings=SETTINGS)
        monkeypatch.setenv("CASEMATE_CA_FILE", str(authority[0]))
        monkeypatch.setenv("CASEMATE_TOKEN", "abcdef")
        model = open_target(uri, settings=SETTINGS)
        assert model.gives == {"scores", "labels"}
        model.close()
        monkeypatch.setenv("CASEMATE_CA_FILE", str(authority[0].with_name("none.pem")))
        with pytest.raises(UsageError, match="CASEMATE_CA_FILE"):
            open_target(uri, settings=SETTINGS)


def test_answers_are_bounded() -> None:
    assert transport.MAX_ANSWER == 16 << 20
