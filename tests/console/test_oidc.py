"""Sign-in through a real identity provider on the loopback, and through ones that lie."""

import base64
import hashlib
import json
import re
import time
import urllib.parse

import httpx
import pytest

from casemate.console import oidc
from casemate.console.oidc import Provider
from casemate.errors import CasemateError, FormatError, UsageError
from casemate.workflows.config import OidcTable
from tests.console.scene import client

ISSUER = "https://login.example"
CALLBACK = "http://127.0.0.1:8700/oidc/callback"
ROLES = {"ml-security": "responder", "ops": "viewer", "leads": "admin"}


def table(issuer=ISSUER, **fields):
    return OidcTable(issuer=issuer, client="console", roles=ROLES, **fields)


class Liar:
    """A provider of ours, to be changed by a test: what it discovers, signs and says."""

    def __init__(self, monkeypatch):
        from cryptography.hazmat.primitives.asymmetric import ed25519

        self.key = self.signer = ed25519.Ed25519PrivateKey.generate()
        self.claims = {"iss": ISSUER, "aud": "console", "sub": "1", "groups": ["ops"]}
        self.claims["preferred_username"] = "ann"
        self.expires = time.time() + 60
        self.nonce = None
        self.head = {"alg": "EdDSA", "kid": "k"}
        self.discovered = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize?tenant=7",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
        }
        self.posted = []
        monkeypatch.setattr(Provider, "_ask", lambda _, *given: self.answer(*given))

    def answer(self, method, url, body=None, basic=None):
        if url.endswith("openid-configuration"):
            return json.dumps(self.discovered).encode()
        if url.endswith("/keys"):
            from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

            raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            key = {"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": b64(raw)}
            return json.dumps({"keys": [key]}).encode()
        assert (method, url) == ("POST", f"{ISSUER}/token")
        self.posted.append({**body, "basic": basic})
        claims = {**self.claims, "exp": self.expires, "nonce": self.nonce}
        signed = f"{b64(json.dumps(self.head).encode())}.{b64(json.dumps(claims).encode())}"
        return json.dumps(
            {"id_token": f"{signed}.{b64(self.signer.sign(signed.encode()))}"}
        ).encode()

    def enter(self, provider=None, **given):
        """Go there and back; return who came in."""
        provider = provider or Provider(table(), secret=None, redirect=CALLBACK)
        where = provider.begin("/cases")
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(where.url).query))
        if self.nonce is None:
            self.nonce = asked["nonce"]
        back = {"code": "c0de", "state": where.state, **given}
        return provider.finish(back, where.state)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture
def liar(monkeypatch):
    return Liar(monkeypatch)


def test_who_tells_the_truth_comes_in(liar):
    liar.claims["groups"] = ["ops", "else", "ml-security"]
    person, after = liar.enter()
    assert person == ("ann (sub 1)", "responder", "oidc", "1")
    assert after == "/cases"
    (body,) = liar.posted
    assert body["redirect_uri"] == CALLBACK
    assert "client_secret" not in body


def test_people_of_one_name_are_told_apart_by_what_never_changes(liar):
    from casemate.console.people import Sessions
    from casemate.workflows import custody

    names = set()
    taken = ("ann", "ann (sub 1)", "ann\u202e\n", "", "a" * 300, 7)
    subs = ("1", "2", "x" * 255, "y" * 71, "1) (sub 2", "\u202e", "sha256:1")
    for called in taken:
        for sub in subs:
            liar.claims |= {"preferred_username": called, "sub": sub}
            liar.nonce = None
            person, _ = liar.enter()
            assert person.sub == sub
            assert person.name.isprintable()
            assert custody.named(person.name) == person.name
            names.add((person.name.rpartition("(sub ")[2], sub))
    assert len(names) == len({one for one, _ in names}) == len(subs)

    sessions = Sessions()
    for called, sub in (("ann", "1"), ("ann-renamed", "1"), ("ann", "2")):
        liar.claims |= {"preferred_username": called, "sub": sub}
        liar.nonce = None
        sessions.open(liar.enter()[0])
    assert sessions.close_all("ann (sub 1)") == 2
    assert [one.person.name for one in sessions.all()] == ["ann (sub 2)"]


def test_the_challenge_is_the_verifier_s(liar):
    provider = Provider(table(), secret="s3cret%", redirect=CALLBACK)
    where = provider.begin("/now")
    parts = urllib.parse.urlsplit(where.url)
    asked = dict(urllib.parse.parse_qsl(parts.query))
    assert asked["tenant"] == "7"
    assert asked["code_challenge_method"] == "S256"
    liar.nonce = asked["nonce"]
    provider.finish({"code": "c", "state": where.state}, where.state)
    (body,) = liar.posted
    digest = hashlib.sha256(body["code_verifier"].encode()).digest()
    assert b64(digest) == asked["code_challenge"]
    assert body["basic"] == ("console", "s3cret%25")
    assert "client_secret" not in body
    liar.discovered["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    liar.nonce = None
    liar.enter(Provider(table(), secret="s3cret%", redirect=CALLBACK))
    assert liar.posted[-1]["client_secret"] == "s3cret%"


def other_key():
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519.Ed25519PrivateKey.generate()


LIES = {
    "another issuer": lambda one: one.claims.update(iss="https://evil.example"),
    "another client": lambda one: one.claims.update(aud="other"),
    "another party": lambda one: one.claims.update(aud=["console", "x"], azp="x"),
    "another nonce": lambda one: setattr(one, "nonce", "replayed"),
    "expired": lambda one: setattr(one, "expires", time.time() - 3600),
    "for ever": lambda one: setattr(one, "expires", None),
    "another key": lambda one: setattr(one, "signer", other_key()),
    "unsigned": lambda one: one.head.update(alg="none"),
    "another algorithm": lambda one: one.head.update(alg="HS256"),
    "conditions": lambda one: one.head.update(crit=["b64"]),
    "nobody": lambda one: one.claims.pop("sub"),
    "a number": lambda one: one.claims.update(sub=1),
    "an endless name": lambda one: one.claims.update(sub="x" * 256),
    "no role": lambda one: one.claims.update(groups=["guests"]),
    "no groups": lambda one: one.claims.pop("groups"),
    "a role in words": lambda one: one.claims.update(groups={"ops": True}),
    "is another": lambda one: one.discovered.update(issuer="https://evil.example"),
    "in the clear": lambda one: one.discovered.update(token_endpoint="http://login.example/token"),
    "half": lambda one: one.discovered.pop("jwks_uri"),
}


@pytest.mark.parametrize("lie", LIES)
def test_who_lies_does_not(liar, lie):
    LIES[lie](liar)
    with pytest.raises(CasemateError) as found:
        liar.enter()
    assert "evil" not in str(found.value) or "says that it is" in str(found.value)


def test_a_way_is_gone_once_and_by_the_browser_that_began_it(liar):
    provider = Provider(table(), secret=None, redirect=CALLBACK)
    where = provider.begin("/now")
    with pytest.raises(UsageError, match="not begun here"):
        provider.finish({"code": "c", "state": where.state}, "another-browser")
    with pytest.raises(UsageError, match="not begun here"):
        provider.finish({"code": "c", "state": where.state}, where.state)
    for given in ({}, {"state": ""}, {"state": "guess", "code": "c"}):
        with pytest.raises(UsageError):
            provider.finish(given, given.get("state", ""))


def test_a_refusal_is_told_and_a_slow_one_begins_again(liar, monkeypatch):
    with pytest.raises(UsageError, match="access_denied"):
        liar.enter(code="", error="access_denied")
    provider = Provider(table(), secret=None, redirect=CALLBACK)
    where = provider.begin("/now")
    later = time.monotonic() + 601
    monkeypatch.setattr(oidc.time, "monotonic", lambda: later)
    with pytest.raises(UsageError):
        provider.finish({"code": "c", "state": where.state}, where.state)


@pytest.mark.parametrize(
    "issuer", ["http://login.example", "ftp://x", "https://ann:pw@login.example", "login.example"]
)
def test_an_issuer_that_cannot_be_trusted_is_refused(issuer):
    with pytest.raises(UsageError):
        Provider(table(issuer), secret=None, redirect=CALLBACK)
    with pytest.raises(UsageError, match="nobody"):
        Provider(OidcTable(issuer=ISSUER, client="c"), secret=None, redirect=CALLBACK)


def test_a_provider_that_is_away_is_named():
    provider = Provider(table("http://127.0.0.1:9"), secret=None, redirect=CALLBACK)
    with pytest.raises(CasemateError, match="cannot be asked"):
        provider.begin("/now")


def test_an_answer_that_does_not_end_is_cut():
    answer = httpx.Response(200, content=iter([b"x" * 65536] * 40))
    with pytest.raises(FormatError, match="more than"):
        oidc._read(answer, "x")
    with pytest.raises(CasemateError, match="500"):
        oidc._read(httpx.Response(500, content=b""), "x")


@pytest.mark.filterwarnings("ignore")
def test_a_real_provider_lets_in_whom_it_knows(night, monkeypatch):
    monkeypatch.setenv("CONSOLE_SECRET", "anything")
    mock = pytest.importorskip("oidc_provider_mock")
    users = [
        mock.User(sub="ann", claims={"preferred_username": "ann", "groups": ["ml-security"]}),
        mock.User(sub="eve", claims={"groups": ["guests"]}),
    ]
    with mock.run_server_in_thread(require_nonce=True, user_claims=users) as server:
        issuer = f"http://localhost:{server.server_port}"
        found = table(issuer, secret_env="CONSOLE_SECRET")
        with client(night, oidc=found) as asking:
            assert "Sign in with localhost" in asking.get("/sign-in").text
            assert asking.post("/sign-in", data={"key": "x"}).status_code == 403
            for name, status in (("eve", 403), ("ann", 303)):
                text = asking.post("/oidc/begin", data={"next": "/guard"}).text
                away = re.search(r'id="away" href="([^"]+)"', text)[1].replace("&amp;", "&")
                back = httpx.post(away, data={"sub": name}, trust_env=False).headers["location"]
                assert back.startswith(f"{asking.built.place.url}/oidc/callback?")
                query = urllib.parse.urlsplit(back).query
                shown = asking.get(f"/oidc/callback?{query}").text
                assert 'action="/oidc/finish"' in shown
                given = dict(urllib.parse.parse_qsl(query))
                found = asking.post("/oidc/finish", data=given)
                assert found.status_code == status, found.text
            assert found.headers["location"] == "/guard"
            assert asking.get("/api").json()["you"] == {
                "name": "ann (sub ann)", "role": "responder", "way": "oidc", "sub": "ann",
            }  # fmt: skip
            assert asking.post("/oidc/finish", data=given).status_code == 403
            trail = asking.built.desk.trail.read().entries
            assert [one.what for one in trail] == ["refused", "signed-in", "refused", "refused"]
