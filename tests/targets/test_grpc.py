from __future__ import annotations

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from casemate.errors import Refused, TargetError, UsageError
from casemate.targets.capabilities import Scores
from casemate.targets.open import open_target
from casemate.targets.settings import Settings
from tests.targets.serving import probabilities

grpc = pytest.importorskip("grpc")
messages = pytest.importorskip("tests.targets.wire.messages")
GOOGLE = messages.GOOGLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

X = np.random.default_rng(1).normal(size=(37, 4))
SETTINGS = Settings(bounds=(-8.0, 8.0), sample=X[:4], batch=10, retries=1, timeout=5.0)


def metadata(request: Any, context: Any) -> Any:
    if request.name != "iris":
        context.abort(grpc.StatusCode.NOT_FOUND, f"no model\n{request.name}")
    found = GOOGLE["Model"](name="iris")
    found.inputs.add(name="rows", datatype="FP32", shape=[-1, 4])
    return found


def infer(request: Any, context: Any) -> Any:
    (given,) = request.inputs
    assert (given.name, given.datatype) == ("rows", "FP32")
    if request.raw_input_contents:
        x = np.frombuffer(request.raw_input_contents[0], "<f4").reshape(list(given.shape))
    else:
        x = np.array(given.contents.fp32_contents).reshape(list(given.shape))
    p = probabilities(x)
    answer = GOOGLE["Response"](model_name="iris", model_version=request.model_version)
    out = answer.outputs.add(name="p", datatype="FP64", shape=p.shape)
    if request.raw_input_contents:
        answer.raw_output_contents.append(p.tobytes())
    else:
        out.contents.fp64_contents.extend(p.ravel().tolist())
    return answer


@contextlib.contextmanager
def serve(
    infer: Callable[[Any, Any], Any] = infer,
    metadata: Callable[[Any, Any], Any] = metadata,
    options: Any = (),
) -> Iterator[str]:
    """Run a gRPC server with Google's messages and yield its host:port."""
    handlers = {
        "ModelMetadata": grpc.unary_unary_rpc_method_handler(
            metadata, GOOGLE["Model"].FromString, lambda message: message.SerializeToString()
        ),
        "ModelInfer": grpc.unary_unary_rpc_method_handler(
            infer, GOOGLE["Request"].FromString, lambda message: message.SerializeToString()
        ),
    }
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, options=options)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(0).wait(5)


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with serve() as where:
        yield where


@pytest.mark.parametrize("place", ["iris", "v2/models/iris", "iris/versions/2", "iris#form=typed"])
def test_scores_are_the_servers_own(host: str, place: str) -> None:
    uri = f"grpc+oip://{host}/{place}"
    model = open_target(uri, settings=SETTINGS)
    try:
        assert (model.target.kind, model.target.uri) == ("endpoint", uri)
        assert isinstance(model, Scores)
        assert (model.kind, model.classes, model.shape) == ("probabilities", 3, (4,))
        np.testing.assert_allclose(model.scores(X), probabilities(X), atol=1e-6)
        np.testing.assert_array_equal(model.labels(X), probabilities(X).argmax(1))
    finally:
        model.close()
        model.close()


def refused(host: str, place: str = "iris", **settings: Any) -> TargetError:
    with pytest.raises(TargetError) as caught:
        open_target(f"grpc+oip://{host}/{place}", settings=SETTINGS._replace(**settings))
    assert "\n" not in str(caught.value)
    return caught.value


def test_unknown_model(host: str) -> None:
    error = refused(host, "other")
    assert "NOT_FOUND: no model other" in str(error)
    assert not error.retry
    for place in ("", "iris/2", "v2/models"):
        with pytest.raises(UsageError, match="names no model"):
            open_target(f"grpc+oip://{host}/{place}", settings=SETTINGS)
    with pytest.raises(UsageError, match="form=other"):
        open_target(f"grpc+oip://{host}/iris#form=other", settings=SETTINGS)


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{free.getsockname()[1]}"
    error = refused(where)
    assert error.retry
    assert "cannot be reached" in str(error)


def test_dies_half_way() -> None:
    with serve() as host:
        model = open_target(f"grpc+oip://{host}/iris", settings=SETTINGS)
        assert isinstance(model, Scores)
    with pytest.raises(TargetError, match="cannot be reached") as caught:
        model.scores(X)
    assert caught.value.retry
    model.close()
    with pytest.raises(TargetError, match="closed"):
        model.scores(X)


def test_busy_then_ok() -> None:
    asked = iter(range(100))

    def busy(request: Any, context: Any) -> Any:
        if next(asked) == 0:
            context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        return infer(request, context)

    with serve(busy) as host:
        open_target(f"grpc+oip://{host}/iris", settings=SETTINGS).close()


def test_a_refusal_of_one_request_is_told_from_a_failure() -> None:
    def deny(request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "request not accepted")

    with serve(deny) as host:
        assert isinstance(refused(host), Refused)


def test_too_slow() -> None:
    import time

    def slow(request: Any, context: Any) -> Any:
        time.sleep(0.5)
        return infer(request, context)

    with serve(slow) as host:
        error = refused(host, timeout=0.2, retries=0)
    assert "took longer than 0.2 s" in str(error)


def test_too_large_questions_are_split() -> None:
    wide = [("grpc.max_receive_message_length", 700)]
    with serve(options=wide) as host:
        model = open_target(f"grpc+oip://{host}/iris", settings=SETTINGS._replace(batch=64))
        assert isinstance(model, Scores)
        x = np.tile(X, (4, 1))
        np.testing.assert_allclose(model.scores(x), probabilities(x), atol=1e-6)
        model.close()


@pytest.mark.parametrize("body", [b"garbage", b"\xff" * 20, b"*\x05\n\x01o\x12\x00"])
def test_garbage(body: bytes) -> None:
    class Raw:
        def SerializeToString(self) -> bytes:  # noqa: N802 - what the server calls
            return body

    with serve(lambda *_: Raw()) as host:
        assert "protocol" in str(refused(host)) or "without any output" in str(refused(host))


def test_credentials_are_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEMATE_TOKEN", "SECRET-TOKEN")
    seen: list[Any] = []

    def closed(request: Any, context: Any) -> Any:
        seen.append(dict(context.invocation_metadata()))
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "not SECRET-TOKEN")

    with serve(metadata=closed) as host:
        error = refused(host)
    assert seen[0]["authorization"] == "Bearer SECRET-TOKEN"
    assert "SECRET" not in str(error)
    assert "CASEMATE_TOKEN" in error.hint
