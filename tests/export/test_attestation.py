"""A chain of exported records shows every change, loss, insertion and reordering in it."""

import json

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from casemate.export import ocsf
from casemate.export.attestation import Chain, faults
from tests.export.records import event, everything

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def verify(signature, data):
    try:
        KEY.public_key().verify(signature, data)
    except InvalidSignature:
        return False
    return True


def chain(sign=KEY.sign):
    made = Chain("w-1", sign=sign)
    records = [made.attest(ocsf.event(one)) for one in everything()]
    # As a SIEM gives them back: through JSON, in whatever order of keys.
    return [json.loads(msgspec.json.encode(one, order="sorted")) for one in records]


def test_a_whole_chain_is_whole():
    assert len(chain()) > 20
    assert faults(chain(), verify) == []
    assert faults(chain(sign=None)) == []


def test_every_change_of_any_value_is_seen():
    records = chain()
    changes = 0
    for key, value in records[3].items():
        for other in ("x", 0, None, {"x": 1}):
            if value != other:
                altered = [*records[:3], {**records[3], key: other}, *records[4:5]]
                assert faults(altered, verify), key
                changes += 1
    assert changes > 50


def test_what_is_missing_moved_added_or_doubled_is_seen():
    records = chain()
    stranger = Chain("w-1", sign=KEY.sign).attest(ocsf.event(event()))
    assert faults(records[1:], verify)
    assert faults([*records[:4], *records[5:]], verify)
    assert faults([*records[:4], records[5], records[4], *records[6:]], verify)
    assert faults([*records[:4], records[4], *records[4:]], verify)
    assert faults([*records, stranger], verify)
    assert faults([*records[:2], ocsf.event(event()), *records[3:]], verify)


def test_a_chain_made_anew_without_the_key_is_seen():
    forged = chain(sign=Ed25519PrivateKey.generate().sign)
    assert len(faults(forged, verify)) == len(forged)
    assert len(faults(chain(sign=None), verify)) == len(forged)


def test_it_goes_on_after_a_restart():
    first = Chain("w-1", sign=KEY.sign)
    one = first.attest(ocsf.event(event()))
    two = Chain("w-1", sign=KEY.sign, previous=one).attest(ocsf.event(event(sequence=42)))
    assert faults([one, two], verify) == []


def test_hostile_attestations_are_faults_and_no_crash():
    for given in (
        [],
        [{}],
        "x",
        [{"fingerprint": 1}],
        [1, 2],
        None,
        [{"fingerprint": {"value": 1}}],
    ):
        record = {**ocsf.event(event()), "attestation_list": given}
        assert faults([record])
    signed = chain()[:1]
    signed[0]["attestation_list"][0]["signatures"][0]["digest"]["value"] = "not base64"
    assert faults(signed, verify)
