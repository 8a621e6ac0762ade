"""Every form of every format says the same request and answer; what is none of them says so."""

import json
from pathlib import Path

import pytest

from casemate.catalog.entries import LogFormat
from casemate.catalog.loader import entries, entry, load
from casemate.errors import FormatError
from casemate.guard import protocols
from casemate.guard.logs.paths import read_mapping
from casemate.guard.logs.reading import NOT_ONE, Lines
from casemate.guard.logs.record import Row
from casemate.guard.logs.tally import Tally
from casemate.guard.routes import Routes
from tests.guard.logs import samples as s


def read(kind, body, name="f", **fields):
    mapping = read_mapping([f"{key}={value}" for key, value in fields.items()])
    return load(entry("logs", kind, LogFormat))(body, name=name, fields=mapping)


def numbers(logged):
    """The input a request carries, read by the guard's own codecs."""
    route = Routes([], root=Path()).find(logged.call.path)
    asked = protocols.question(route, dict(logged.call.headers), logged.call.body)
    return asked, asked.inputs.x.tolist()


def scores(logged, asked):
    route = Routes([], root=Path()).find(logged.call.path)
    _, found = protocols.answer(asked, route, dict(logged.reply.headers), logged.reply.body)
    return found.scores.tolist()


WHOLE = {
    "sagemaker-csv": ("sagemaker", s.sagemaker("CSV"), "sagemaker"),
    "sagemaker-json": ("sagemaker", s.sagemaker("JSON"), "sagemaker"),
    "sagemaker-base64": ("sagemaker", s.sagemaker("BASE64"), "sagemaker"),
    "gateway": ("mlflow", s.line(s.gateway_row()), "mlflow"),
    "endpoint": ("mlflow", s.line(s.endpoint_row()), "mlflow"),
    "tap-bytes": ("envoy", s.line(s.envoy_tap()), "tfserving"),
    "tap-string": ("envoy", s.line(s.envoy_tap(as_string=True)), "tfserving"),
    "oip": ("oip", s.line({"request": s.OIP_ASKED, "response": s.OIP_GIVEN, "time": s.AT}), "oip"),
    "oip-strings": (
        "oip",
        s.line({"request": json.dumps(s.OIP_ASKED), "response": json.dumps(s.OIP_GIVEN),
                "timestamp": s.AT_US}),
        "oip",
    ),
    "jsonl": (
        "jsonl",
        s.line({"request": s.ASKED, "response": s.GIVEN, "time": s.AT}),
        "tfserving",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_a_line_that_holds_both_halves(name):
    kind, body, protocol = WHOLE[name]
    logged = read(kind, body)
    asked, x = numbers(logged)
    assert x == [s.FIELDS]
    assert asked.protocol == protocol
    assert scores(logged, asked) == [[0.9, 0.1]]
    assert logged.at in (s.AT_US, s.AT_US - 125_000)  # HTTP dates have whole seconds


@pytest.mark.parametrize(
    "form",
    [s.kserve_structured, s.kserve_binary, s.kserve_stored, s.kserve_row,
     lambda *a: s.kserve_row(*a, snake=True)],
    ids=["structured", "binary", "blob-store", "row", "older-row"],
)  # fmt: skip
def test_kserve_halves_in_every_spelling(form):
    asked = read("kserve", form(s.REQUEST, s.ASKED))
    given = read("kserve", form(s.RESPONSE, s.GIVEN))
    assert asked.key == given.key == "q1"
    assert asked.model == given.model == "iris"
    assert ("x-user", "alice") in asked.call.headers
    assert numbers(asked)[1] == [s.FIELDS]
    assert scores(asked._replace(reply=given.reply), numbers(asked)[0]) == [[0.9, 0.1]]
    assert given.reply.status == 200
    timed = form in (s.kserve_structured, s.kserve_binary)
    assert asked.at == (s.AT_US if timed else None)


def test_kserve_bodies_that_are_not_tensorflow_servings():
    oip = read("kserve", s.kserve_structured(s.REQUEST, s.OIP_ASKED))
    assert oip.call.path == "/v2/models/iris/infer"
    text = read("kserve", s.kserve_structured(s.REQUEST, "5.1,3.5", datacontenttype="text/csv"))
    assert (text.call.body, dict(text.call.headers)["content-type"]) == (b"5.1,3.5", "text/csv")
    coded = s.kserve_structured(s.REQUEST, None, data_base64=s.b64(s.ASKED))
    assert numbers(read("kserve", coded))[1] == [s.FIELDS]
    chat = read("kserve", s.kserve_structured(s.REQUEST, {"messages": []}))
    assert chat.call.path == "/v1/chat/completions"


def test_other_cloudevents_are_no_inferences():
    assert read("kserve", s.kserve_structured("org.kubeflow.serving.inference.outlier")) is None


def test_the_model_of_a_capture_is_in_its_folders():
    logged = read("sagemaker", s.sagemaker(), name="c/iris-ep/AllTraffic/2026/11/02/06/a.jsonl")
    assert (logged.model, logged.version) == ("iris-ep", "AllTraffic")
    assert read("sagemaker", s.sagemaker(), name="a.jsonl").model == ""


def test_an_inference_table_says_who_and_what_it_leaves_out():
    row = read("mlflow", s.line(s.gateway_row(sampling_fraction=0.1)))
    assert (row.principal, row.model, row.took, row.share) == ("alice", "iris-3", 12_000, 0.1)
    row = read("mlflow", s.line(s.endpoint_row(request_metadata='{"model_name":"m"}')))
    assert (row.principal, row.model) == (None, "m")
    cut = s.gateway_row(request=None, logging_error_codes=["MAX_REQUEST_SIZE_EXCEEDED"])
    assert "too large" in read("mlflow", s.line(cut)).cut


def test_an_access_log_says_who_asked_which_model_and_nothing_of_the_input():
    logged = read("envoy", s.line(s.envoy_access()))
    assert (logged.model, logged.at, logged.took) == ("iris", s.AT_US, 12_000)
    assert (logged.call.peer, logged.call.body, logged.sizes) == ("203.0.113.7", b"", (44, 31))
    assert logged.reply.status == 200
    assert read("envoy", s.line(s.envoy_access(method="GET"))) is None
    six = s.envoy_access(downstream_remote_address="[2001:db8::1]:443", response_code="503")
    assert read("envoy", s.line(six)).call.peer == "2001:db8::1"
    assert read("envoy", s.line(six)).reply.status == 503


def test_a_body_the_tap_cut_off_is_said_to_be():
    assert read("envoy", s.line(s.envoy_tap(truncated=True))).cut
    with pytest.raises(FormatError, match="streamed"):
        read("envoy", b'{"http_streamed_trace_segment": {"trace_id": "1"}}')


def test_bare_bodies_of_the_open_inference_protocol():
    asked, given = read("oip", s.line(s.OIP_ASKED)), read("oip", s.line(s.OIP_GIVEN))
    assert (asked.key, given.key, given.model) == ("q1", "q1", "iris")
    assert numbers(asked)[1] == [s.FIELDS]
    assert asked.at is None
    assert asked.principal is None


@pytest.mark.parametrize(
    ("record", "mapping", "x"),
    [
        ({"f": [1, 2]}, {"input": "$.f"}, [[1, 2]]),
        ({"f": [[1, 2], [3, 4]]}, {"inputs": "$.f"}, [[1, 2], [3, 4]]),
        ({"f": {"a": 1, "b": 2.5}}, {"input": "$.f"}, [[1, 2.5]]),
        ({"q": {"b": '{"instances": [[7, 8]]}'}}, {"request": "$.q.b"}, [[7, 8]]),
    ],
)
def test_inputs_of_ones_own_form(record, mapping, x):
    logged = read("jsonl", s.line(record), **mapping)
    assert numbers(logged)[1] == x


def test_a_mapped_line_says_who_when_and_what():
    record = {"u": {"id": 7}, "f": [1, 2], "p": [0.3, 0.7], "when": s.AT_US // 1000, "ms": 1.5}
    logged = read(
        "jsonl", s.line(record), input="$.f", output="$.p", principal="$.u.id",
        time="$.when", took="$.ms", model="fraud", session="$.none",
    )  # fmt: skip
    asked, _ = numbers(logged)
    assert scores(logged, asked) == [[0.3, 0.7]]
    assert (logged.principal, logged.at, logged.took) == ("7", s.AT_US, 1500)
    assert (logged.model, logged.session) == ("fraud", None)


def test_who_asked_is_never_guessed():
    assert read("jsonl", s.line({"request": s.ASKED, "user": "x", "email": "y"})).principal is None
    with pytest.raises(FormatError, match="--map"):
        read("jsonl", s.line({"features": [1, 2]}))


HOSTILE = [
    b"", b"{", b"null", b"[]", b'"x"', b"7", b"{}", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 50_000,
    b'{"type": 7}', b'{"type": "x.inference.request", "time": "never"}',
    b'{"type": "x.inference.request", "data_base64": "!!!"}', b'{"headers": []}',
    b'{"headers": {"ce-type": "x.inference.request"}, "body": "\\ud800"}', b'{"ReqType": 5}',
    b'{"captureData": {}}',
    b'{"captureData": {"endpointInput": {"data": "?", "encoding": "BASE64"}}}',
    b'{"request": 5, "response": [], "sampling_fraction": "lots"}',
    b'{"path": "/x", "response_code": "ok"}',
    b'{"http_buffered_trace": {"request": {"headers": [{"raw_value": "?"}]}}}',
    b'{"inputs": 5, "id": []}', b'{"request": "\\"", "outputs": null}',
    b'{"request": {}, "time": true}',
]  # fmt: skip


@pytest.mark.parametrize("kind", entries("logs", LogFormat))
@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_line_is_counted_and_nothing_else_happens(kind, body):
    tally = Tally()
    lines = Lines(load(entry("logs", kind, LogFormat)), {}, tally)
    found = lines.read(Row(3, body, 0), "f")
    assert found is not None or {(c.times, c.first) for c in tally.counts} == {(1, "f:3")}


def test_odd_bytes_cost_nothing_and_are_counted():
    tally = Tally()
    reader = Lines(load(entry("logs", "kserve", LogFormat)), {}, tally)
    body = s.kserve_structured(user="Joerg").replace(b"Joerg", b"J\xf6rg")
    found = reader.read(Row(1, body, 0), "f")
    assert dict(found.call.headers)["x-user"] == "J%F6rg"
    assert [(count.reason.split(";")[0], count.lost) for count in tally.counts] == [
        ("a line that is not UTF-8", False)
    ]


def test_a_mapping_outweighs_what_the_format_says_and_other_kinds_are_counted():
    tally = Tally()
    reader = load(entry("logs", "kserve", LogFormat))
    mapping = read_mapping(
        ["principal=$.metadata['X-User'][0]", "model=$.namespace", "time=$.when"]
    )
    lines = Lines(reader, mapping, tally)
    found = lines.read(Row(1, s.kserve_structured(when=s.AT_US // 1000 + 5), 0), "f")
    assert (found.principal, found.model, found.at) == ("alice", "default", s.AT_US + 5000)
    assert lines.read(Row(2, s.kserve_structured("a.b"), 0), "f") is None
    assert [count.reason for count in tally.counts] == [NOT_ONE]
