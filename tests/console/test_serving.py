"""Where a console may listen, and the process as a user starts it."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time

import httpx
import pytest

from casemate.console import serving, tokens
from casemate.errors import UsageError
from casemate.workflows.config import ConsoleTable, OidcTable
from tests.console.scene import console


def listen(**settings):
    place = serving.listen(ConsoleTable(**settings))
    place.sock.close()
    return place


def certificate(folder):
    """Return a certificate for localhost and its key, as files."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(cert), str(private)


def test_the_loopback_needs_nothing():
    for name in ("127.0.0.1:0", "localhost:0", ":0"):
        place = listen(listen=name)
        assert (place.scheme, place.local) == ("http", True)
        assert {one.rpartition(":")[0] for one in place.hosts} == {
            "127.0.0.1",
            "localhost",
            "[::1]",
        }


@pytest.mark.parametrize(
    ("settings", "wants"),
    [
        ({"listen": "0.0.0.0:0"}, "--new-token"),
        ({"listen": "0.0.0.0:0", "tokens": "t"}, "--behind-tls-proxy"),
        ({"listen": "127.0.0.1:0", "behind_tls_proxy": True}, "--new-token"),
        ({"listen": "127.0.0.1:0", "url": "https://console.example"}, "--new-token"),
        ({"listen": "127.0.0.1:0", "url": "console.example", "tokens": "t"}, "https://"),
        ({"listen": "127.0.0.1:0", "url": "http://console.example", "tokens": "t"}, "https://"),
        ({"listen": "127.0.0.1:0", "url": "http://10.0.0.7:80", "tokens": "t"}, "https://"),
        ({"listen": "127.0.0.1:0", "url": "http://127.0.0.1@evil", "tokens": "t"}, "https://"),
        ({"listen": "127.0.0.1:99999"}, "--listen"),
        ({"listen": "127.0.0.1"}, "--listen"),
        ({"listen": "127.0.0.1:x"}, "--listen"),
        ({"listen": "203.0.113.77:0", "tokens": "t", "behind_tls_proxy": True}, "--listen"),
    ],
)
def test_others_are_let_near_only_through_a_door_and_over_tls(settings, wants):
    with pytest.raises(UsageError) as found:
        listen(**settings)
    assert wants in found.value.hint


def test_with_both_it_listens_to_everybody(tmp_path):
    cert, key = certificate(tmp_path)
    who = OidcTable(issuer="https://login.example", client="c", roles={"a": "viewer"})
    assert listen(listen="0.0.0.0:0", oidc=who, tls_cert=cert, tls_key=key).scheme == "https"
    place = listen(
        listen="0.0.0.0:0", tokens="t", behind_tls_proxy=True, url="https://Console.example"
    )
    assert place.hosts == {"console.example"}
    with pytest.raises(UsageError, match="browsers come over https"):
        listen(tokens="t", behind_tls_proxy=True, url="http://console.example")
    with pytest.raises(UsageError, match="no certificate"):
        listen(listen="0.0.0.0:0", tokens="t", tls_cert=key, tls_key=key)


@pytest.mark.parametrize("host", ["localhost:8700", "127.0.0.1:8700", "[::1]:8700"])
def test_another_port_of_the_loopback_may_lead_here(host):
    place = listen(listen="127.0.0.1:0", url=f"http://{host}", tokens="t")
    assert (place.hosts, place.scheme) == ({host}, "http")


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(UsageError) as found:
            listen(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        assert "free port" in found.value.hint


def test_over_tls_with_a_token(night, tmp_path):
    cert, key = certificate(tmp_path)
    file = tmp_path / "tokens.toml"
    token = tokens.add(file, "ann", "viewer")
    settings = {"tokens": str(file), "tls_cert": cert, "tls_key": key}
    with console(night, **settings) as served:
        url = served.url.replace("127.0.0.1", "localhost")
        trust = ssl.create_default_context(cafile=cert)
        with httpx.Client(verify=trust, trust_env=False) as asking:
            found = asking.get(f"{url}/api/now", headers={"authorization": f"Bearer {token}"})
            assert found.json()["now"]["tone"] == "stop"
            assert "strict-transport-security" in found.headers


def test_as_a_user_starts_it(night):
    night.workspace.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "casemate", "console"],
        cwd=night.root,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        link = re.search(r"open (http://127\.0\.0\.1:\d+)/sign-in#(\S+)", lines[1])
        url = link[1].replace("127.0.0.1", "localhost")
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as asking:
            end = time.monotonic() + 60
            while True:
                try:
                    assert asking.get("/cases").status_code == 303
                    break
                except httpx.ConnectError:
                    assert time.monotonic() < end
            asking.post("/sign-in", data={"key": link[2]})
            assert night.case in asking.get("/cases").text
            assert "server" not in asking.get("/cases").headers
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert "works once" in lines[2]
