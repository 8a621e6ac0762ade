"""Captured inputs are drawn by us or said to be missing, whatever is in them."""

import base64
import io
import json
from datetime import UTC, datetime

import pytest
from PIL import Image

from casemate.guard.keys import Keys
from casemate.records.incident import Incident, Triage
from casemate.records.severity import Confidence, Severity
from casemate.store.payloads import Vault
from casemate.store.workspace import Workspace
from casemate.workflows import config, overview
from casemate.workflows.pictures import inputs_of
from casemate.workflows.traffic import Asked

KEY = "7d0c1f4e92ab56c3d8e1f09b4a6725dc3e8f51b07a94c62d1be8f3057c9a64d2"
DIGEST = "ab" * 16


class Told:
    """Events as Traffic gives them."""

    def __init__(self, *found):
        self.found = found

    def events(self, ids, since, until):
        return self.found


def asked(**fields):
    given = dict.fromkeys(Asked.__struct_fields__)
    given |= {"id": "w-1:1", "at": 1, "principal": "eve", "model": "m", "kind": "inference"}
    given |= {"status": 200, "decision": "pass", "row": 0, "protocol": "oip"}
    given |= {"route": "/v2/models/m/infer", "payload": DIGEST}
    return Asked(**{**given, **fields})


@pytest.fixture
def seen(tmp_path, monkeypatch):
    monkeypatch.setenv("CASEMATE_GUARD_KEY", KEY)
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))
    workspace = Workspace.open(tmp_path / ".casemate")
    key = Keys(bytes.fromhex(KEY)).derive("payloads")
    vault = Vault(workspace.folder / "payloads", key)
    loaded = config.Loaded(config=config.Config(), root=tmp_path)
    triage = Triage(assessment="attack", confidence=Confidence.FIRM, events=("w-1:1",))
    moment = datetime.now(UTC)
    incident = Incident(
        id="case-2026-0001", title="t", severity=Severity.LOW, opened=moment, opened_by="a",
        aware=moment, triage=triage,
    )  # fmt: skip

    def seen(body=None, event=None, incident=incident, **fields):
        if body is not None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            vault.keep(DIGEST, "eve", "application/json", raw, at=overview.micros())
        found = inputs_of(loaded, workspace, incident, Told(event or asked(**fields)))
        return found.shown[0]

    seen.of = lambda *events: inputs_of(loaded, workspace, incident, Told(*events))
    yield seen
    workspace.close()


def oip(data, shape, name="x"):
    return {"inputs": [{"name": name, "datatype": "FP32", "shape": shape, "data": data}]}


def pixels(shown):
    kind, _, data = shown.picture.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_row_of_a_square_number_is_drawn_as_one(seen):
    image = pixels(seen(oip([0.0] * 63 + [1.0] + [0.5] * 64, [2, 64])))
    assert (image.size, image.getpixel((7, 7)), image.getpixel((0, 0))) == ((8, 8), 255, 0)


def test_the_right_row_of_a_request_is_drawn(seen):
    shown = seen(oip([0.0] * 64 + [1.0] * 64, [2, 64]), row=1)
    assert pixels(shown).getpixel((0, 0)) == 255
    assert "guess" in shown.drawn
    assert "does not hold" in seen(row=2).why


def test_colours_and_ranges_are_kept(seen):
    data = [255.0, 0.0, 0.0] * 64
    assert pixels(seen(oip(data, [1, 8, 8, 3]))).getpixel((3, 3)) == (255, 0, 0)


def test_a_little_outside_is_still_a_picture(seen):
    assert pixels(seen(oip([1.04] * 32 + [0.0] * 32, [1, 64]))).getpixel((0, 0)) == 255


def test_a_table_is_shown_as_names_and_values(seen):
    shown = seen(oip([1.5, -2.0, 30000.0], [1, 3]))
    assert [name for name, _ in shown.values] == ["x[0]", "x[1]", "x[2]"]
    assert shown.picture is None


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b'{"inputs": []}', b"\xff" * 100, b"[" * 5000,
        oip([1], [1, 10**9]), oip(["<script>"], [1, 1]), oip([1e308] * 64, [1, 64]),
    ],
    ids=range(8),
)  # fmt: skip
def test_hostile_bodies_are_a_sentence_or_a_picture_of_ours(seen, body):
    shown = seen(body)
    assert shown.why or shown.picture or shown.values or shown.text is not None


def test_not_a_number_is_drawn_dark(seen):
    data = [float("nan")] * 32 + [1.0] * 32
    raw = json.dumps(oip(data, [1, 64])).encode()
    shown = seen(raw)
    assert shown.picture is None or pixels(shown).getpixel((0, 0)) == 0


def test_what_was_not_captured_says_so(seen, monkeypatch, tmp_path):
    assert seen(payload=None).why == "not captured"
    assert "is not here" in seen(payload="cd" * 16).why
    found = seen.of(asked(payload=None))
    assert "keep" in found.note
    assert seen.of().note == "The events are no longer on record."
    monkeypatch.delenv("CASEMATE_GUARD_KEY")
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "none"))
    assert "key is not on this machine" in seen().why
    assert not (tmp_path / "none").exists()


def test_a_case_without_evidence_shows_none():
    moment = datetime.now(UTC)
    bare = Incident(
        id="c", title="t", severity=Severity.LOW, opened=moment, opened_by="a", aware=moment
    )
    assert inputs_of(None, None, bare, None).shown == ()
