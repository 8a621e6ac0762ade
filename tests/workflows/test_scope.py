"""A scope holds only as signed, for what it names, when it says, while something is left."""

import base64
import json
from datetime import UTC, datetime

import pytest

from casemate.errors import UsageError
from casemate.workflows import scope

TEXT = """\
version = 1
name = "staging"
approver = "A. Name"
hosts = ["127.0.0.1:9090"]
paths = ["/v2/models/digits*"]
attacks = ["evasion-*"]
hours = "08:00-18:00"
not_before = 2026-01-01T00:00:00Z
not_after = 2026-02-01T00:00:00Z
rate = 100
spend = 1000
"""
URI = "http+oip://127.0.0.1:9090/v2/models/digits"
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.fixture
def signed(tmp_path):
    path = tmp_path / "scope.toml"
    path.write_text(TEXT)
    where, public = scope.sign(path, tmp_path / "keys" / "approver.key")
    assert where.is_file()
    return path, public


def test_a_signed_scope_holds_and_its_key_stays_private(signed, tmp_path):
    path, public = signed
    found = scope.check(path, (public,))
    assert found.scope.approver == "A. Name"
    assert found.key == public
    key = tmp_path / "keys" / "approver.key"
    assert key.stat().st_mode & 0o077 == 0
    assert scope.sign(path, key)[1] == public, "the same key signs again"
    scope.refuse(found.scope, URI, "evasion-square", NOON, 999)


def test_the_envelope_is_dsse_that_another_program_can_verify(signed):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    path, public = signed
    envelope = json.loads(scope.envelope_of(path).read_text())
    body = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"]
    message = f"DSSEv1 {len(kind)} {kind} {len(body)} ".encode() + body
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("ed25519:")))
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), message)
    assert body == TEXT.encode()


def test_one_changed_byte_ends_it(signed):
    path, public = signed
    path.write_text(TEXT.replace("spend = 1000", "spend = 9000"))
    with pytest.raises(UsageError, match="not what was signed"):
        scope.check(path, (public,))


def test_an_envelope_over_another_text_with_an_old_signature_is_refused(signed):
    path, public = signed
    changed = TEXT.replace("spend = 1000", "spend = 9000")
    path.write_text(changed)
    where = scope.envelope_of(path)
    envelope = json.loads(where.read_text())
    envelope["payload"] = base64.b64encode(changed.encode()).decode()
    where.write_text(json.dumps(envelope))
    with pytest.raises(UsageError, match="nobody that casemate"):
        scope.check(path, (public,))


def test_only_trusted_keys_count(signed, tmp_path):
    path, public = signed
    with pytest.raises(UsageError, match="names nobody"):
        scope.check(path, ())
    (tmp_path / "other.toml").write_text(TEXT)
    _, other = scope.sign(tmp_path / "other.toml", tmp_path / "keys" / "other.key")
    with pytest.raises(UsageError, match="nobody that casemate"):
        scope.check(path, (other,))
    assert scope.check(path, (other, public)).key == public


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"payload": 1}'])
def test_an_envelope_of_any_bytes_is_a_clear_answer(signed, body):
    path, public = signed
    scope.envelope_of(path).write_bytes(body)
    with pytest.raises(UsageError, match="DSSE"):
        scope.check(path, (public,))


def test_no_envelope_says_who_must_sign(signed):
    path, public = signed
    scope.envelope_of(path).unlink()
    with pytest.raises(UsageError) as raised:
        scope.check(path, (public,))
    assert "--sign scope.toml" in raised.value.hint


@pytest.mark.parametrize(
    ("uri", "attack", "at", "spent", "says"),
    [
        (
            "http+oip://127.0.0.1:9091/v2/models/digits",
            "evasion-square",
            NOON,
            0,
            "9091 is outside",
        ),
        ("http+oip://example.org/v2/models/digits", "evasion-square", NOON, 0, "example.org:80"),
        ("https+oip://example.org/v2/models/digits", "evasion-square", NOON, 0, "example.org:443"),
        ("http+oip://127.0.0.1:9090/v2/models/fraud", "evasion-square", NOON, 0, "path"),
        ("http+oip://127.0.0.1:9090/v2/models/digits/../x", "evasion-square", NOON, 0, "one way"),
        (
            "http+oip://127.0.0.1:9090/v2/models/digits/%2E%2e/x",
            "evasion-square",
            NOON,
            0,
            "one way",
        ),
        ("http+oip://127.0.0.1:9090/v2/models/digits%2Fx", "evasion-square", NOON, 0, "one way"),
        (URI, "extraction-surrogate", NOON, 0, "does not allow"),
        (URI, "evasion-square", datetime(2025, 12, 31, 12, tzinfo=UTC), 0, "holds from"),
        (URI, "evasion-square", datetime(2026, 2, 1, 12, tzinfo=UTC), 0, "holds from"),
        (URI, "evasion-square", datetime(2026, 1, 15, 7, 59, tzinfo=UTC), 0, "08:00-18:00"),
        (URI, "evasion-square", datetime(2026, 1, 15, 18, tzinfo=UTC), 0, "08:00-18:00"),
        (URI, "evasion-square", NOON, 1000, "spent"),
    ],
)
def test_what_it_does_not_allow_is_refused(signed, uri, attack, at, spent, says):
    path, public = signed
    found = scope.check(path, (public,)).scope
    with pytest.raises(UsageError, match=says):
        scope.refuse(found, uri, attack, at, spent)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("version = 1", "version = 2", "version"),
        ('hosts = ["127.0.0.1:9090"]', 'hosts = ["*:9090"]', "no patterns|hosts names"),
        ('hosts = ["127.0.0.1:9090"]', "hosts = []", "allows nothing"),
        ("rate = 100", "rate = inf", "above 0"),
        ("rate = 100", "rate = 0", "above 0"),
        ("spend = 1000", "spend = 0", "above 0"),
        ("not_after = 2026-02-01T00:00:00Z", "not_after = 2026-02-01T00:00:00", "zone"),
        ('hours = "08:00-18:00"', 'hours = "always"', "hours"),
        ('approver = "A. Name"', 'approver = " "', "approver"),
        ("spend = 1000", "spend = 1000\nextra = 1", "extra"),
        ("version = 1", "version = ", "TOML"),
    ],
)
def test_a_scope_that_says_too_much_or_too_little_is_not_signed(tmp_path, old, new, says):
    path = tmp_path / "scope.toml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(UsageError, match=says):
        scope.sign(path, tmp_path / "key")
    assert not scope.envelope_of(path).exists()


def test_hours_may_cross_midnight(tmp_path):
    path = tmp_path / "scope.toml"
    path.write_text(TEXT.replace("08:00-18:00", "22:00-06:00"))
    _, public = scope.sign(path, tmp_path / "key")
    found = scope.check(path, (public,)).scope
    scope.refuse(found, URI, "evasion-square", datetime(2026, 1, 15, 23, tzinfo=UTC), 0)
    scope.refuse(found, URI, "evasion-square", datetime(2026, 1, 15, 5, tzinfo=UTC), 0)
    with pytest.raises(UsageError, match="22:00"):
        scope.refuse(found, URI, "evasion-square", NOON, 0)
