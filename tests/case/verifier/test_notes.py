"""Signed notes, against the example of the format's first implementation."""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from casemate.case.bundle import sealing
from casemate.case.verifier.notes import note_signed, parse_checkpoint

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2"
    "pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
"""From the documentation of golang.org/x/mod/sumdb/note."""
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
RAW = KEY.public_key().public_bytes_raw()


def sealed(**given):
    body = {
        "size": 3, "root": bytes(32), "case": "case-2026-0001",
        "sealed": "2026-11-21T03:00:00.000000Z", "previous": sealing.FIRST,
    }  # fmt: skip
    return sealing.sign_checkpoint(KEY, **{**body, **given})


def test_a_note_of_another_implementation_holds():
    key = base64.b64decode(PETER.split("+", 2)[2])[1:]
    assert note_signed(NOTE.encode(), key)
    assert not note_signed(NOTE.replace("cryptography", "Cryptography").encode(), key)
    assert not note_signed(NOTE.encode(), RAW)


def test_a_checkpoint_is_read_as_it_was_written():
    note = sealed()
    found = parse_checkpoint(note)
    assert (found.size, found.root, found.case) == (3, bytes(32), "case-2026-0001")
    assert note_signed(note, RAW)


def test_no_byte_of_a_checkpoint_can_be_changed():
    note = sealed()
    for place in range(len(note)):
        changed = bytearray(note)
        changed[place] ^= 1
        try:
            parse_checkpoint(bytes(changed))
        except ValueError:
            continue
        assert not note_signed(bytes(changed), RAW), place
