import base64
import hashlib
import hmac
import json
import tracemalloc
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from casemate.errors import UsageError
from casemate.guard.call import Call
from casemate.guard.guard import Guard
from casemate.guard.policy import ClientTable, GuardTable, PrincipalTable
from casemate.guard.principal import Principals
from casemate.guard.tokens import Tokens
from tests.guard.traffic import AT, KEYS, WRITER

SECRET = "a secret of more than thirty-two bytes"
NOW = AT // 1_000_000


def who(table, headers=(), body=b"", peer="10.0.0.9", secrets=None, root=Path()):
    call = Call("POST", "/", "", tuple(headers), body, peer, AT)
    return Principals(table, secrets=secrets or {}, root=root).read(call, dict(headers), body)


def test_a_header_names_the_user_behind_a_service_account():
    table = PrincipalTable(header="X-User", session="X-Session")
    found = who(table, [("x-user", "ann"), ("x-session", "s1")])
    assert (found.principal, found.session, found.note) == ("ann", "s1", None)


def test_only_trusted_proxies_are_believed():
    table = PrincipalTable(header="X-User", trusted_proxies=("10.0.0.0/8", "fd00::/8"))
    said = [("x-user", "ann"), ("x-forwarded-for", "198.51.100.7, 10.1.1.1")]
    assert who(table, said).principal == "ann"
    assert who(table, said, peer="::ffff:10.0.0.9").principal == "ann"
    found = who(table, said, peer="203.0.113.5")
    assert found.principal == "ip:203.0.113.5"
    assert "not trusted" in found.note


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7, 10.1.1.1"], "198.51.100.7"),
        (["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
        (["198.51.100.7, nonsense"], "10.0.0.9"),
        (["10.2.2.2, 10.1.1.1"], "10.0.0.9"),
        (["2001:db8::1, 10.1.1.1"], "2001:db8::1"),
        ([], "10.0.0.9"),
        ([""], "10.0.0.9"),
    ],
)
def test_the_address_is_the_last_one_not_ours(forwarded, expected):
    table = PrincipalTable(trusted_proxies=("10.0.0.0/8",))
    said = [("x-forwarded-for", one) for one in forwarded]
    assert who(table, said).principal == f"ip:{expected}"


def test_nobody_is_believed_about_addresses_without_declared_proxies():
    assert who(PrincipalTable(), [("x-forwarded-for", "1.1.1.1")]).principal == "ip:10.0.0.9"


def test_two_headers_name_nobody():
    found = who(PrincipalTable(header="X-User"), [("x-user", "ann"), ("x-user", "bob")])
    assert found.principal == "ip:10.0.0.9"
    assert "more than once" in found.note


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ip:1.2.3.4", "name:ip:1.2.3.4"),
        ("name:x", "name:name:x"),
        ("  ann ", "ann"),
        ("an\x00n\x1b[31m", "an\ufffdn\ufffd[31m"),
        ("Zo\u00c3\u00ab", "Zo\u00eb"),
        ("\xff", "\xff"),
    ],
)
def test_names_are_made_safe_and_cannot_pass_for_addresses(value, expected):
    assert who(PrincipalTable(header="X-User"), [("x-user", value)]).principal == expected


def test_long_names_are_bounded_and_stay_apart():
    table = PrincipalTable(header="X-User")
    one = who(table, [("x-user", "a" * 5000)]).principal
    other = who(table, [("x-user", "a" * 5001)]).principal
    assert one != other
    assert len(one) < 100


@pytest.mark.parametrize(
    ("field", "body", "expected"),
    [
        ("user", b'{"user": "ann"}', "ann"),
        ("parameters.user", b'{"parameters": {"user": 7}}', "7"),
        ("user", b'{"user": null}', "ip:10.0.0.9"),
        ("user", b'{"user": ["ann"]}', "ip:10.0.0.9"),
        ("user", b"[1]", "ip:10.0.0.9"),
        ("user", b"\xff{", "ip:10.0.0.9"),
        ("a.b", b'{"a": 1}', "ip:10.0.0.9"),
    ],
)
def test_a_body_field(field, body, expected):
    assert who(PrincipalTable(field=field), body=body).principal == expected


def part(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def hs256(claims, secret=SECRET, alg="HS256", **head):
    signed = f"{part({'alg': alg, **head})}.{part(claims)}"
    return f"{signed}.{part(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def claimed(token, table=None, **more):
    table = table or PrincipalTable(claim="sub", secret_env="S")
    return who(table, [("authorization", f"Bearer {token}")], secrets={"S": SECRET}, **more)


def test_a_signed_claim_names_the_principal():
    assert claimed(hs256({"sub": "ann", "exp": NOW + 10})).principal == "ann"
    assert claimed(hs256({"sub": "ann"}, secret="x" * 40)).principal == "ip:10.0.0.9"
    assert claimed(hs256({"sub": "ann"})[:-4] + "AAAA").principal == "ip:10.0.0.9"


@pytest.mark.parametrize(
    "token",
    [
        f"{part({'alg': 'none'})}.{part({'sub': 'root'})}.",
        hs256({"sub": "root"}, alg="none"),
        hs256({"sub": "root", "exp": NOW - 100}),
        hs256({"sub": "root", "nbf": NOW + 100}),
        hs256({"sub": "root", "exp": "soon"}),
        hs256({"sub": "root"}, crit=["b64"]),
        hs256({"sub": True}),
        hs256({"sub": {"x": 1}}),
        hs256({}),
        "a.b.c",
        "....",
        "\xe9.\xe9.\xe9",
        part(b"[" * 5000) + "..",
        hs256({"sub": "x" * 20000}),
    ],
)
def test_other_tokens_name_nobody(token):
    found = claimed(token)
    assert found.principal == "ip:10.0.0.9"
    assert found.note


def test_an_unverified_claim_is_taken_only_when_nobody_says_how_to_verify():
    table = PrincipalTable(claim="sub")
    assert claimed(hs256({"sub": "ann"}, secret="anything"), table).principal == "ann"


def number(value):
    return part(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def test_public_keys_and_no_confusion_between_algorithms(tmp_path):
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ec_key = ec.generate_private_key(ec.SECP256R1())
    ed_key = ed25519.Ed25519PrivateKey.generate()
    numbers, point = rsa_key.public_key().public_numbers(), ec_key.public_key().public_numbers()
    modulus = numbers.n.to_bytes(256, "big")
    keys = [
        {"kty": "RSA", "kid": "r", "n": part(modulus), "e": number(numbers.e)},
        {"kty": "EC", "kid": "e", "crv": "P-256", "x": number(point.x), "y": number(point.y)},
        {
            "kty": "OKP",
            "kid": "d",
            "crv": "Ed25519",
            "x": part(ed_key.public_key().public_bytes_raw()),
        },
        {"kty": "OKP", "kid": "u", "crv": "X448", "x": "AA"},
    ]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": keys}))
    table = PrincipalTable(claim="sub", jwks="keys.json")

    def head(alg, kid):
        return f"{part({'alg': alg, 'kid': kid})}.{part({'sub': 'ann'})}"

    def name(signed, signature):
        return claimed(f"{signed}.{part(signature)}", table, root=tmp_path).principal

    signed = head("RS256", "r")
    good = rsa_key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert name(signed, good) == "ann"
    assert name(signed, good[:-1] + b"\0") == "ip:10.0.0.9"
    signed = head("ES256", "e")
    r, s = utils.decode_dss_signature(ec_key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    assert name(signed, r.to_bytes(32, "big") + s.to_bytes(32, "big")) == "ann"
    assert name(signed, bytes(64)) == "ip:10.0.0.9"
    signed = head("EdDSA", "d")
    assert name(signed, ed_key.sign(signed.encode())) == "ann"
    # The public key used as an HMAC secret: the classic confusion.
    signed = head("HS256", "r")
    assert name(signed, hmac.digest(modulus, signed.encode(), "sha256")) == "ip:10.0.0.9"


@pytest.mark.parametrize(
    "table",
    [
        PrincipalTable(trusted_proxies=("10.0.0.0/99",)),
        PrincipalTable(claim="sub", secret_env="UNSET"),
        PrincipalTable(claim="sub", jwks="missing.json"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(table, tmp_path):
    with pytest.raises(UsageError):
        Principals(table, secrets={}, root=tmp_path)


def test_a_short_secret_or_empty_key_file_is_refused(tmp_path):
    (tmp_path / "k.json").write_text('{"keys": []}')
    for table in (
        PrincipalTable(claim="s", secret_env="S"),
        PrincipalTable(claim="s", jwks="k.json"),
    ):
        with pytest.raises(UsageError):
            Tokens(table, secrets={"S": "short"}, root=tmp_path)


def test_a_name_as_long_as_a_body_is_not_remembered():
    table = PrincipalTable(field="user")
    name = "x" * 1_000_000
    tracemalloc.start()
    for number in range(20):
        found = who(table, body=json.dumps({"user": f"{name}{number}"}).encode())
        assert found.principal.startswith("name:long:")
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left < 4_000_000


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (PrincipalTable(), ()),
        (PrincipalTable(header="X-User"), ("trusted_proxies",)),
        (PrincipalTable(header="X-User", trusted_proxies=("10.0.0.0/8",)), ()),
        (PrincipalTable(claim="sub"), ("not verified",)),
        (PrincipalTable(claim="sub", secret_env="S"), ()),
        (PrincipalTable(header="X-User", claim="sub", field="user"), ("X-User", "sub", "user")),
    ],
)
def test_the_owner_is_told_when_anybody_may_be_anybody(table, words):
    found = Guard(
        GuardTable(mode="enforce", principal=table), keys=KEYS, writer=WRITER,
        secrets={"S": SECRET},
    ).warnings  # fmt: skip
    assert len(found) == len(words)
    assert all(word in one for word, one in zip(words, found, strict=True))
    observing = GuardTable(principal=table)
    assert Guard(observing, keys=KEYS, writer=WRITER, secrets={"S": SECRET}).warnings == ()
    client = ClientTable(name="x", principals=("x",), purpose="batch", per_hour=1, reason="y")
    declared = GuardTable(principal=table, client=(client,))
    assert Guard(declared, keys=KEYS, writer=WRITER, secrets={"S": SECRET}).warnings == found
