from __future__ import annotations

import pytest

from casemate.errors import UsageError
from casemate.targets import address


def test_parts() -> None:
    at = address.read(
        "https+oip://host.example:8080/v2/models/m?x=1#output=p&deadline=5", {"input": "rows"}
    )
    assert (at.protocol, at.secure, at.host, at.path) == (
        "oip",
        True,
        "host.example:8080",
        "/v2/models/m",
    )
    assert at.options == {"input": "rows", "output": "p", "deadline": "5"}
    assert at.url("/a") == "https://host.example:8080/a?x=1"
    assert at.url("/a", query=False) == "https://host.example:8080/a"
    assert not at.local
    assert address.number(at.options, "deadline") == 5
    assert address.number(at.options, "requests") is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:80", "[::1]:8080", "127.8.9.1"])
def test_loopback(host: str) -> None:
    assert address.read(f"grpc+oip://{host}/m").local


@pytest.mark.parametrize("host", ["127.evil.example", "10.0.0.1", "[2001:db8::1]"])
def test_elsewhere(host: str) -> None:
    assert not address.read(f"grpc+oip://{host}/m").local


@pytest.mark.parametrize(
    "uri",
    [
        "http+oip://user:SECRET@host/v2/models/m",
        "http+oip://SECRET@host/v2/models/m",
        "http+oip://host/m?token=SECRET",
        "http+oip://host/m?a=1&access_token=SECRET",
        "http+oip://host/m?api_key=SECRET",
        "http+oip://host/m?apikey=SECRET",
        "http+oip://host/m?subscription-key=SECRET",
        "http+oip://host/m?X-Amz-Signature=SECRET",
        "http+oip://host/m?code=SECRET",
        "http+oip://host/m?PASSWORD=SECRET",
        "http+oip://host/m?sig=SECRET",
        "http+oip://host/m#token=SECRET",
    ],
)
def test_credentials_are_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        address.read(uri)
    assert "SECRET" not in str(caught.value) + caught.value.hint
    assert "CASEMATE_TOKEN" in caught.value.hint


@pytest.mark.parametrize("query", ["version=2", "design=a", "tokens=5&x=1", "keyboard=1", "n=1"])
def test_other_queries_are_not(query: str) -> None:
    assert address.read(f"http+oip://host/m?{query}").query == query


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("http+oip:///v2/models/m", "names no host"),
        ("http+oip://host:99999/m", "malformed"),
        ("http+oip://[::1/m", "malformed"),
        ("http+oip://host/a b", "characters"),
        ("http+oip://host/a\r\nX-Evil: 1", "characters"),
        ("http+oip://host/m#outptu=p", "no option 'outptu'"),
        ("http+oip://host/m#output", "output has no value"),
    ],
)
def test_malformed(uri: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        address.read(uri)


@pytest.mark.parametrize("text", ["0", "-1", "x", "nan", "inf"])
def test_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="positive number"):
        address.number({"deadline": text}, "deadline")
