from __future__ import annotations

import pytest

from casemate.errors import UsageError
from casemate.targets import address, credentials

SAFE = address.read("https+oip://host.example/v2/models/m")
HERE = address.read("http+oip://127.0.0.1:1/v2/models/m")
CLEAR = address.read("http+oip://host.example/v2/models/m")


def test_from_the_environment() -> None:
    environ = {
        "CASEMATE_TOKEN": "abc\n",
        "CASEMATE_HEADER_X_API_KEY": "k",
        "CASEMATE_CA_FILE": "ca.pem",
        "HOME": "/",
    }
    expected = {"authorization": "Bearer abc", "x-api-key": "k"}
    assert credentials.headers(environ, SAFE) == expected
    assert credentials.headers(environ, HERE) == expected
    assert credentials.ca_file(environ) == "ca.pem"
    assert credentials.headers({}, CLEAR) == {}
    assert credentials.ca_file({}) is None


def test_a_header_overrules_the_token() -> None:
    environ = {"CASEMATE_TOKEN": "abc", "CASEMATE_HEADER_AUTHORIZATION": "Basic xyz"}
    assert credentials.headers(environ, SAFE) == {"authorization": "Basic xyz"}


@pytest.mark.parametrize(
    "environ",
    [
        {"CASEMATE_TOKEN": "SECRET\r\nX-Evil: 1"},
        {"CASEMATE_TOKEN": "SECRET\x00"},
        {"CASEMATE_HEADER_HOST": "SECRET"},
        {"CASEMATE_HEADER_CONTENT_LENGTH": "SECRET"},
        {"CASEMATE_HEADER_": "SECRET"},
        {"CASEMATE_HEADER_A B": "SECRET"},
        {"CASEMATE_HEADER_X": "SECRETé"},
    ],
)
def test_headers_that_cannot_be(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        credentials.headers(environ, SAFE)
    assert "SECRET" not in str(caught.value)


def test_not_in_clear_to_another_machine() -> None:
    with pytest.raises(UsageError, match=r"unencrypted to host\.example"):
        credentials.headers({"CASEMATE_TOKEN": "abc"}, CLEAR)
    environ = {"CASEMATE_TOKEN": "abc", "CASEMATE_CLEARTEXT": "1"}
    assert credentials.headers(environ, CLEAR) == {"authorization": "Bearer abc"}


def test_redaction() -> None:
    secrets = {"authorization": "Bearer abcdef"}
    assert credentials.redact("bad token abcdef", secrets) == "bad token ***"
