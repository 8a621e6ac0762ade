"""Ed25519 in pure Python, against RFC 8032's vectors and another implementation."""

import random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from casemate.case.verifier.curve import ed25519, name_key, read_key
from casemate.store.telemetry.keys import public_pem

RFC_8032 = (  # section 7.1: public key, message, signature
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)
L = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_the_vectors_of_the_standard_hold_and_none_beside_them(key, message, signature):
    key, message, signature = map(bytes.fromhex, (key, message, signature))
    assert ed25519(key, message, signature)
    assert not ed25519(key, message + b"\0", signature)
    s = int.from_bytes(signature[32:], "little") + L
    assert not ed25519(key, message, signature[:32] + s.to_bytes(32, "little"))


def test_it_agrees_with_another_implementation_on_whole_and_broken_signatures():
    rng = random.Random(0)
    seen = set()
    for number in range(60):
        private = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        key = private.public_key().public_bytes_raw()
        message = rng.randbytes(rng.randrange(200))
        signature = bytearray(private.sign(message))
        if number % 2:
            signature[rng.randrange(64)] ^= 1 << rng.randrange(8)
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(bytes(signature), message)
            theirs = True
        except InvalidSignature:
            theirs = False
        seen.add(theirs)
        assert ed25519(key, message, bytes(signature)) is theirs
    assert seen == {True, False}


@pytest.mark.parametrize("size", [0, 31, 63, 65, 200])
def test_what_has_not_the_size_of_a_signature_is_none(size):
    key = bytes.fromhex(RFC_8032[0][0])
    assert not ed25519(key, b"", bytes(size))
    assert not ed25519(bytes(size), b"", bytes.fromhex(RFC_8032[0][2]))


def test_a_key_is_read_in_both_ways_it_is_written():
    public = Ed25519PrivateKey.generate().public_key()
    raw = public.public_bytes_raw()
    assert read_key(public_pem(public)) == raw
    assert read_key(name_key(raw).encode() + b"\n") == raw


@pytest.mark.parametrize(
    "text", [b"", b"ed25519:", b"ed25519:AAAA", b"ed25519:!", b"-----BEGIN PUBLIC KEY-----\n\n"]
)
def test_what_is_no_key_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        read_key(text)
