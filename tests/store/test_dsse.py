"""DSSE envelopes, against the specification's own example and an independent implementation."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from casemate.errors import StoreError
from casemate.store import dsse

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = dsse.words(KEY.public_key())
KIND = "application/vnd.test"


def test_what_is_signed_is_as_the_specification_has_it():
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == expected


@pytest.mark.parametrize("payload", [b"", b"{}", "ü\0\n".encode(), bytes(range(256)) * 9])
def test_another_implementation_agrees(payload):
    text = dsse.to_json(dsse.sign(payload, KIND, KEY))
    public = KEY.public_key().public_bytes_raw().hex()
    theirs = Envelope.from_dict(json.loads(text))
    assert theirs.verify([SSlibKey(NAME, "ed25519", "ed25519", {"public": public})], 1)
    assert theirs.payload == payload
    assert dsse.verify(text, [NAME], KIND) == (payload, NAME)


def test_another_kind_key_or_payload_is_refused():
    envelope = dsse.sign(b"yes", KIND, KEY)
    with pytest.raises(StoreError, match="something else"):
        dsse.verify(envelope, [NAME], "application/json")
    with pytest.raises(StoreError, match="nobody who is trusted"):
        dsse.verify(envelope, [], KIND)
    changed = {**envelope, "payload": base64.b64encode(b"no").decode()}
    with pytest.raises(StoreError, match="nobody who is trusted"):
        dsse.verify(changed, [NAME], KIND)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"payload": 1, "signatures": [], "payloadType": ""}',
    ],
)
def test_what_is_no_envelope_is_refused(text):
    with pytest.raises(StoreError, match="not a DSSE envelope"):
        dsse.opened(text)
