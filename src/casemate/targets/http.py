"""Models behind HTTP: one way in, and a dialect for each protocol.

A dialect is a pair of functions over the pure codecs in `wire/`: inputs to a request body, an
answer's body to tensors. Everything else (limits, retries, what the answer means) is the same for
all. The openers here are what the catalog's entries name.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, cast, get_args

import numpy as np

from casemate.errors import FormatError, TargetError, UsageError
from casemate.targets import address, credentials, endpoint
from casemate.targets.connection import Connection
from casemate.targets.patience import Caps, Patience
from casemate.targets.shaping import columns_of, fit, one_row, values_of
from casemate.targets.wire import mlflow, oip, sagemaker, template, tfserving
from casemate.targets.wire.tensor import Answer, Message, Metadata, Spec, Tensor, datatype_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casemate.targets.address import Address
    from casemate.targets.capabilities import Array
    from casemate.targets.endpoint import Endpoint
    from casemate.targets.open import Vet
    from casemate.targets.settings import Settings

CONNECTIONS = 4


class Dialect(NamedTuple):
    """How one protocol asks and answers."""

    path: str
    """Where questions go."""
    encode: Callable[[Array], Message]
    decode: Callable[[Message, int], Answer]
    expects: Spec | None = None
    """What the server's metadata says of the input, where it says something."""
    single: bool = False
    """Whether a question carries one input."""


def open_oip(
    uri: str, *, vet: Vet | None = None, settings: Settings, device: str = "cpu"
) -> Endpoint:
    """Open `http+oip://host/v2/models/MODEL[/versions/VERSION]`, also `http+oip-binary://`.

    Options: `input`, `output`, `datatype`.

    Raises:
        UsageError: The URI is wrong, or the metadata contradicts the data.
        TargetError: The endpoint does not answer, or not with scores or labels.
    """
    del vet, device

    def dialect(at: Address, connection: Connection) -> Dialect:
        place = at.path.rstrip("/").removesuffix("/infer")
        if "/models/" not in f"{place}/":
            raise UsageError(
                "the endpoint's URI names no model", hint=f"{at.uri.rstrip('/')}/v2/models/MODEL"
            )
        body = connection.get(place)
        known = None if body is None else oip.decode_metadata(body)
        ask = Inputs(known, settings, at)
        binary = at.protocol.endswith("-binary")

        def encode(x: Array) -> Message:
            return oip.encode_request(ask.tensors(x), outputs=ask.outputs, binary=binary)

        return Dialect(
            f"{place}/infer", encode, lambda message, _: oip.decode_response(message), ask.expects
        )

    return _open(uri, settings, dialect)


def open_tfserving(
    uri: str, *, vet: Vet | None = None, settings: Settings, device: str = "cpu"
) -> Endpoint:
    """Open `http+tfserving://host/v1/models/MODEL[:predict]`; KServe v1 too.

    Options: `form` (`rows`, `columns`), `input`, `columns`, `signature`, `output`.
    """
    del vet, device

    def dialect(at: Address, connection: Connection) -> Dialect:
        place = at.path.rstrip("/").removesuffix(":predict")
        if "/models/" not in f"{place}/":
            raise UsageError(
                "the endpoint's URI names no model", hint=f"{at.uri.rstrip('/')}/v1/models/MODEL"
            )
        form = _choice(at, "form", ("rows", "columns"))
        signature = at.options.get("signature")
        expects = _described(connection.get(f"{place}/metadata"), signature)
        columns = columns_of(settings, at) if "columns" in at.options else ()

        def encode(x: Array) -> Message:
            return tfserving.encode_request(
                values_of(fit(x, expects), settings),
                columnar=form == "columns",
                name=at.options.get("input"),
                columns=columns,
                signature=signature,
            )

        return Dialect(
            f"{place}:predict", encode, lambda m, _: tfserving.decode_response(m), expects
        )

    return _open(uri, settings, dialect)


def open_mlflow(
    uri: str, *, vet: Vet | None = None, settings: Settings, device: str = "cpu"
) -> Endpoint:
    """Open `http+mlflow://host/invocations`.

    Options: `form` (`split`, `records`, `inputs`, `instances`, `csv`), `columns`, `output`.
    """
    del vet, device

    def dialect(at: Address, _: Connection) -> Dialect:
        form = _choice(at, "form", get_args(mlflow.Form)) if "form" in at.options else None
        columns = columns_of(settings, at)

        def encode(x: Array) -> Message:
            chosen = cast("mlflow.Form", form or mlflow.form_for(x.shape[1:]))
            return mlflow.encode_request(values_of(x, settings), form=chosen, columns=columns)

        return Dialect(_invocations(at), encode, lambda m, _: mlflow.decode_response(m))

    return _open(uri, settings, dialect)


def open_sagemaker(
    uri: str, *, vet: Vet | None = None, settings: Settings, device: str = "cpu"
) -> Endpoint:
    """Open `http+sagemaker://host/invocations`.

    Options: `form` (`csv`, `instances`, `features`, `list`, `jsonlines`, `npy`), `output`.
    """
    del vet, device

    def dialect(at: Address, _: Connection) -> Dialect:
        form = _choice(at, "form", get_args(sagemaker.Form)) if "form" in at.options else None

        def encode(x: Array) -> Message:
            chosen = cast("sagemaker.Form", form or ("csv" if x.ndim == 2 else "list"))
            values = x if chosen == "npy" else values_of(x, settings)
            return sagemaker.encode_request(values, form=chosen)

        return Dialect(_invocations(at), encode, sagemaker.decode_response)

    return _open(uri, settings, dialect)


def open_json(
    uri: str, *, vet: Vet | None = None, settings: Settings, device: str = "cpu"
) -> Endpoint:
    """Open `http+json://host/path#template=FILE&answer=PATH`; see `casemate.targets.wire.template`.

    Options: `template`, `answer`, `columns`, `output`.
    """
    del vet, device

    def dialect(at: Address, _: Connection) -> Dialect:
        name = at.options.get("template")
        if name is None:
            raise UsageError(
                "a templated endpoint needs a template of its body",
                hint=f"{at.uri.partition('#')[0]}#template=body.json&answer=result.scores",
            )
        form = template.read(_file(settings.root / name))
        path = at.options.get("answer", "")
        template.steps(path)
        columns = columns_of(settings, at)

        def encode(x: Array) -> Message:
            return template.encode_request(form, values_of(x, settings), columns=columns)

        def decode(message: Message, _: int) -> Answer:
            found = template.decode_response(message, path)
            return one_row(found) if form.single else found

        return Dialect(at.path or "/", encode, decode, single=form.single)

    return _open(uri, settings, dialect)


class Inputs:
    """How inputs become the tensors a model's metadata asks for; shared with gRPC."""

    def __init__(self, known: Metadata | None, settings: Settings, at: Address) -> None:
        wanted = at.options.get("input")
        specs = known.inputs if known else ()
        if wanted is not None:
            named = tuple(spec for spec in specs if spec.name == wanted)
            if specs and not named:
                raise UsageError(
                    f"the model has no input '{wanted[:40]}'",
                    hint=f"it has {', '.join(spec.name for spec in specs)[:200]}",
                )
            specs = named
        self.name = wanted or (specs[0].name if len(specs) == 1 else "input-0")
        self.datatype = at.options.get("datatype") or (specs[0].datatype if specs else None)
        self.expects = specs[0] if len(specs) == 1 else None
        self.parts = specs if len(specs) > 1 else ()
        self.outputs: tuple[str, ...] = ()
        output = at.options.get("output", settings.output)
        if isinstance(output, str) and not output.isdecimal():
            self.outputs = (output,)
        whole = self.datatype is not None and self.datatype.startswith(("INT", "UINT", "BOOL"))
        upper = 1.0 if settings.bounds is None else float(np.max(settings.bounds[1]))
        if whole and not self.parts and upper <= 1:
            raise UsageError(
                f"the model takes {self.datatype}, the data lie within 0 and {upper:g}",
                hint="state the bounds the model's own inputs have, for example 0 and 255",
            )

    def tensors(self, x: Array) -> list[Tensor]:
        """Return the tensors that ask about inputs (n, ...)."""
        if not self.parts:
            shaped = fit(x, self.expects)
            return [Tensor(self.name, shaped, self.datatype or datatype_of(x.dtype))]
        if x.ndim != 2 or x.shape[1] != len(self.parts):
            raise UsageError(
                f"the model has {len(self.parts)} inputs, the data {list(x.shape[1:])}",
                hint="#input=NAME says which one to attack",
            )
        return [
            Tensor(spec.name, fit(x[:, i : i + 1], spec), spec.datatype)
            for i, spec in enumerate(self.parts)
        ]


def caps(settings: Settings, at: Address) -> Caps:
    """Return what the settings and the URI's options allow an endpoint to cost."""
    requests = address.number(at.options, "requests")
    return Caps(
        settings.timeout,
        settings.retries,
        settings.rate,
        settings.spend,
        None if requests is None else int(requests),
        address.number(at.options, "deadline"),
    )


def _open(
    uri: str, settings: Settings, dialect: Callable[[Address, Connection], Dialect]
) -> Endpoint:
    at = address.read(uri, settings.options)
    many = int(address.number(at.options, "connections") or CONNECTIONS)
    connection = Connection(
        at,
        Patience(caps(settings, at), permit=settings.permit),
        headers={**settings.headers, **credentials.headers(os.environ, at)},
        ca_file=credentials.ca_file(os.environ),
        connections=many,
    )
    try:
        spoken = readable(lambda: dialect(at, connection))

        def ask(x: Array) -> Answer | None:
            message = readable(lambda: spoken.encode(x))
            answer = connection.post(spoken.path, message, inputs=len(x))
            return None if answer is None else readable(lambda: spoken.decode(answer, len(x)))

        return endpoint.build(
            at.uri,
            ask,
            settings,
            expects=spoken.expects,
            output=at.options.get("output", settings.output),
            connections=many,
            single=spoken.single,
            release=connection.close,
        )
    except BaseException:
        connection.close()
        raise


def readable(read: Callable[[], Any]) -> Any:
    """Run a codec; what it refuses is the endpoint's failure.

    Raises:
        TargetError: The codec raised FormatError.
    """
    try:
        return read()
    except FormatError as error:
        raise TargetError(f"the endpoint's protocol: {error}", hint=error.hint) from error


def _described(body: bytes | None, signature: str | None) -> Spec | None:
    if body is None:
        return None
    try:
        inputs = tfserving.decode_metadata(body, signature).inputs
    except FormatError:
        # KServe v1 answers something of its own here; the data then says the shape.
        return None
    return inputs[0] if len(inputs) == 1 else None


def _invocations(at: Address) -> str:
    return at.path if at.path.strip("/") else "/invocations"


def _choice(at: Address, name: str, known: tuple[str, ...]) -> str:
    chosen = at.options.get(name, known[0])
    if chosen not in known:
        raise UsageError(f"{name}={chosen[:40]} is not known", hint=f"one of {', '.join(known)}")
    return chosen


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"the template {path} cannot be read: {error.strerror}") from error
