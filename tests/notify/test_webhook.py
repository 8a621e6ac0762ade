"""A webhook is signed so that anybody can verify it, and fails within its time in every way."""

import re
import time

import pytest

from casemate.errors import TargetError, UsageError
from casemate.notify.webhook import Webhook, key, sign
from tests.arch.house import ROOT
from tests.notify import receivers
from tests.notify.made import NOW

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def recipe():
    """The verification shown to receivers, as the documentation has it."""
    text = (ROOT / "docs" / "howto" / "pages.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert len(code.strip().splitlines()) <= 15
    space = {}
    exec(code, space)
    return space["verify"]


def test_the_signature_is_that_of_the_standard():
    # The worked example of the specification's own test vectors.
    signature = sign(
        key(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_documented_recipe_verifies_what_arrives_and_nothing_else():
    verify = recipe()
    with receivers.web(200) as (to, heard):
        Webhook(to, key(SECRET)).send("page-1", b'{"a": 1}', NOW)
    ((path, headers, body),) = heard
    assert path == "/hook/T0K3N"
    assert body == b'{"a": 1}'
    assert headers["idempotency-key"] == headers["webhook-id"] == "page-1"
    now = NOW / 1e6
    assert verify(SECRET, headers, body, now)
    assert verify(SECRET, headers, body, now + 299)
    assert not verify(SECRET, headers, body, now + 301)
    assert not verify(SECRET, headers, body + b" ", now)
    assert not verify(SECRET + "BBBB", headers, body, now)
    assert not verify(SECRET, {**headers, "webhook-id": "page-2"}, body, now)
    assert not verify(SECRET, {**headers, "webhook-timestamp": str(int(now) + 1)}, body, now)
    assert not verify(SECRET, {**headers, "webhook-signature": "v1,AAAA v2,x"}, body, now)
    assert not verify(SECRET, {**headers, "webhook-signature": "v1,é"}, body, now)
    assert not verify(SECRET, {**headers, "webhook-timestamp": "9" * 5000}, body, now)
    assert not verify(SECRET, {}, body, now)
    old_too = {**headers, "webhook-signature": "v1,AAAA= " + headers["webhook-signature"]}
    assert verify(SECRET, old_too, body, now)


def test_without_a_secret_nothing_is_signed():
    with receivers.web(204) as (to, heard):
        Webhook(to, None).send("page-1", b"{}", NOW)
    assert "webhook-signature" not in heard[0][1]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (500, "answered 500"),
        (429, "answered 429"),
        (404, "answered 404"),
        (302, "answered 302 and sent elsewhere"),
        (307, "answered 307 and sent elsewhere"),
        ("garbage", "Error"),
        ("cut", "disconnected"),
        ("hang", "no answer within 1 s"),
        ("drip", "no answer within 1 s"),
    ],
)
def test_a_receiver_that_does_not_take_it_is_an_error_in_time(answer, words):
    with receivers.web(answer) as (to, heard):
        start = time.monotonic()
        with pytest.raises(TargetError, match=words) as raised:
            Webhook(to, key(SECRET), timeout=1.0).send("page-1", b"{}", NOW)
        assert time.monotonic() - start < 4
    assert "T0K3N" not in str(raised.value)
    assert len(heard) == 1  # a redirect is not followed, nothing is repeated in here


def test_a_receiver_that_is_not_there_is_an_error():
    with pytest.raises(TargetError, match=r"127\.0\.0\.1: Connect"):
        Webhook(receivers.nobody("http") + "/T0K3N", None).send("page-1", b"{}", NOW)


def test_it_can_be_called_where_an_event_loop_runs():
    import asyncio

    async def inside(to):
        Webhook(to, None).send("page-1", b"{}", NOW)

    with receivers.web(200) as (to, heard):
        asyncio.run(inside(to))
    assert len(heard) == 1


@pytest.mark.parametrize("to", ["ftp://a/b", "https://", "hooks.example", "file:///etc/passwd"])
def test_what_is_no_address_is_refused(to):
    with pytest.raises(UsageError, match="not the address"):
        Webhook(to, None)


@pytest.mark.parametrize(
    ("secret", "words"), [("short", "too few"), ("whsec_?", "base64"), ("whsec_AAAA", "too few")]
)
def test_a_secret_that_keeps_nobody_out_is_refused(secret, words):
    with pytest.raises(UsageError, match=words):
        key(secret)
