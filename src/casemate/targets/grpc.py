"""Models behind gRPC: the Open Inference Protocol's `inference.GRPCInferenceService`.

The messages come from the hand-written codec in `wire/`; grpcio only carries bytes. It uses no
proxy from the environment and goes only to the host that was named.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from casemate.errors import MissingExtra, Refused, TargetError, UsageError
from casemate.targets import address, credentials, endpoint
from casemate.targets.patience import Later, Patience
from casemate.targets.wire import oip_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casemate.targets.address import Address
    from casemate.targets.capabilities import Array
    from casemate.targets.endpoint import Endpoint
    from casemate.targets.open import Vet
    from casemate.targets.settings import Settings
    from casemate.targets.wire.tensor import Answer

MAX_ANSWER = 16 << 20
_EXCERPT = 160
_AGAIN = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED})
_HINTS = {
    grpc.StatusCode.UNAUTHENTICATED: "set CASEMATE_TOKEN, or CASEMATE_HEADER_<NAME>",
    grpc.StatusCode.PERMISSION_DENIED: "the credentials are not allowed to ask this model",
    grpc.StatusCode.NOT_FOUND: "look at the model's name in the URI",
    grpc.StatusCode.UNIMPLEMENTED: "the server speaks another protocol on this port",
    grpc.StatusCode.INVALID_ARGUMENT: "the model may want another input name, shape or datatype",
}


class Channel:
    """One channel to one endpoint; safe to share between threads."""

    def __init__(
        self,
        at: Address,
        patience: Patience,
        *,
        headers: Mapping[str, str],
        ca_file: str | None = None,
    ) -> None:
        self._at, self.patience, self._secrets = at, patience, headers
        self._metadata = tuple(headers.items())
        options = (
            ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0),
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.max_receive_message_length", MAX_ANSWER),
            ("grpc.max_send_message_length", -1),
        )
        if at.secure:
            trust = grpc.ssl_channel_credentials(None if ca_file is None else _pem(ca_file))
            self._channel = grpc.secure_channel(at.host, trust, options=options)
        else:
            self._channel = grpc.insecure_channel(at.host, options=options)
        self._methods: dict[str, Callable[..., Any]] = {}

    def call(self, method: str, body: bytes, *, inputs: int) -> bytes | None:
        """Send one message and return the answer; None when the endpoint finds it too large.

        Raises:
            TargetError: The endpoint failed or refused.
        """
        return self.patience.call(inputs, lambda seconds: self._send(method, body, seconds)).body

    def close(self) -> None:
        """Close the channel."""
        self.patience.close()
        self._channel.close()

    def _send(self, method: str, body: bytes, seconds: float) -> _Got | Later:
        if method not in self._methods:
            # Without serialisers grpcio passes bytes through.
            self._methods[method] = self._channel.unary_unary(oip_grpc.SERVICE + method, None, None)
        limit = None if math.isinf(seconds) else seconds
        try:
            return _Got(self._methods[method](body, timeout=limit, metadata=self._metadata))
        except grpc.RpcError as error:
            return self._failed(error, seconds)
        except ValueError as error:
            raise TargetError("the endpoint was closed") from error

    def _failed(self, error: grpc.RpcError, seconds: float) -> _Got | Later:
        code, said = error.code(), self._plain(error.details() or "")
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return Later(f"took longer than {seconds:.3g} s to answer")
        if code in _AGAIN:
            return Later(f"cannot be reached: {said}")
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            # The same status stands for a message over the size limit and for throttling.
            if "larger than max" in said:
                return _Got(None)
            return Later(f"answered {code.name}: {said}")
        failure = Refused if code is grpc.StatusCode.PERMISSION_DENIED else TargetError
        raise failure(
            f"the endpoint answered {code.name}{': ' if said else ''}{said}",
            hint=_HINTS.get(code, ""),
        ) from error

    def _plain(self, text: str) -> str:
        line = " ".join(text.split())[:_EXCERPT]
        shown = "".join(one if one.isprintable() else "?" for one in line)
        return credentials.redact(shown, self._secrets)


class _Got:
    def __init__(self, body: bytes | None) -> None:
        self.body = body


def open(  # noqa: A001 - every target module has an `open`, named by its catalog entry
    uri: str, *, vet: Vet | None = None, settings: Settings, device: str = "cpu"
) -> Endpoint:
    """Open `grpc+oip://host:port/MODEL[/versions/VERSION]`; `grpcs+oip://` with TLS.

    The path may also be the HTTP one, `/v2/models/MODEL`. Options: `input`, `output`, `datatype`,
    `form` (`raw`, `typed` for servers that do not read raw contents).

    Raises:
        UsageError: The URI is wrong, or the metadata contradicts the data.
        TargetError: The endpoint does not answer, or not with scores or labels.
    """
    del vet, device
    try:
        from casemate.targets import http
    except ModuleNotFoundError as error:
        raise MissingExtra("grpc", for_="grpc+oip:") from error
    at = address.read(uri, settings.options)
    model, version = _model(at)
    raw = _raw(at)
    channel = Channel(
        at,
        Patience(http.caps(settings, at), permit=settings.permit),
        headers={**settings.headers, **credentials.headers(os.environ, at)},
        ca_file=credentials.ca_file(os.environ),
    )
    try:
        body = channel.call(
            "ModelMetadata", oip_grpc.encode_metadata_request(model, version), inputs=0
        )
        known = http.readable(lambda: oip_grpc.decode_metadata(body or b""))
        inputs = http.Inputs(known, settings, at)

        def ask(x: Array) -> Answer | None:
            question = http.readable(
                lambda: oip_grpc.encode_request(
                    model, inputs.tensors(x), version=version, outputs=inputs.outputs, raw=raw
                )
            )
            answer = channel.call("ModelInfer", question, inputs=len(x))
            if answer is None:
                return None
            found: Answer = http.readable(lambda: oip_grpc.decode_response(answer))
            return found

        return endpoint.build(
            at.uri,
            ask,
            settings,
            expects=inputs.expects,
            output=at.options.get("output", settings.output),
            connections=int(address.number(at.options, "connections") or http.CONNECTIONS),
            release=channel.close,
        )
    except BaseException:
        channel.close()
        raise


def _model(at: Address) -> tuple[str, str]:
    parts = [part for part in at.path.split("/") if part]
    if parts[:2] == ["v2", "models"]:
        parts = parts[2:]
    if len(parts) == 1:
        return parts[0], ""
    if len(parts) == 3 and parts[1] == "versions":
        return parts[0], parts[2]
    raise UsageError(
        "the endpoint's URI names no model", hint=f"grpc+oip://{at.host}/MODEL[/versions/VERSION]"
    )


def _raw(at: Address) -> bool:
    form = at.options.get("form", "raw")
    if form not in ("raw", "typed"):
        raise UsageError(f"form={form[:40]} is not known", hint="one of raw, typed")
    return form == "raw"


def _pem(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"CASEMATE_CA_FILE {path} cannot be read: {error.strerror}") from error
