"""TLS on both sides, with real certificates."""

import datetime as dt
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from casemate.errors import UsageError
from casemate.guard.policy import GuardTable
from casemate.guard.proxy.tls import served_context, upstream_context
from tests.guard.proxy.running import Server, drain, read_answer

POST = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "locked.pem").write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return folder


def paths(folder):
    return {"tls_cert": str(folder / "cert.pem"), "tls_key": str(folder / "key.pem")}


def server_context(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_both_sides(running, setup, guard, certificate):
    server = Server(running, ssl=server_context(certificate))
    ca = str(certificate / "cert.pem")
    proxy = setup(
        server=server,
        upstream=f"https://localhost:{server.port}",
        upstream_ca=ca,
        **paths(certificate),
    )
    context = ssl.create_default_context(cafile=ca)
    with (
        proxy.connect() as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        assert connection.version() in {"TLSv1.2", "TLSv1.3"}
        for _ in range(2):
            connection.sendall(POST)
            assert read_answer(connection).endswith(b"ok")
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert b"X-Forwarded-Proto: https" in server.requests[0][0]
    assert server.connections == 1


@pytest.mark.parametrize(("host", "ca"), [("localhost", False), ("127.0.0.1", True)])
def test_an_upstream_that_is_not_who_it_should_be_is_not_asked(
    running, setup, guard, certificate, host, ca
):
    server = Server(running, ssl=server_context(certificate))
    proxy = setup(
        server=server,
        upstream=f"https://{host}:{server.port}",
        upstream_ca=str(certificate / "cert.pem") if ca else None,
    )
    with proxy.connect() as connection:
        connection.sendall(POST)
        assert read_answer(connection).startswith(b"HTTP/1.1 502")
    assert server.requests == []
    assert proxy.counted("upstream-failed", "connect") == 1


def test_plain_http_to_a_tls_port_and_a_silent_handshake(setup, guard, certificate):
    proxy = setup(client_timeout=0.4, **paths(certificate))
    with proxy.connect() as connection:
        connection.sendall(POST)
        assert b"200" not in drain(connection)
    with proxy.connect() as connection:
        assert connection.recv(100) == b""
    assert guard.calls == []


def test_old_tls_is_refused(setup, guard, certificate):
    proxy = setup(**paths(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", proxy.port), 5) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tls_cert": "cert.pem"},
        {"tls_key": "key.pem"},
        {"tls_cert": "none.pem", "tls_key": "key.pem"},
        {"tls_cert": "key.pem", "tls_key": "cert.pem"},
        {"tls_cert": "cert.pem", "tls_key": "locked.pem"},
    ],
)
def test_what_cannot_be_used_is_said_at_the_start(certificate, wrong):
    table = GuardTable(**{key: str(certificate / name) for key, name in wrong.items()})
    with pytest.raises(UsageError):
        served_context(table)


def test_an_unreadable_authority_is_said_at_the_start(certificate):
    with pytest.raises(UsageError):
        upstream_context(GuardTable(upstream_ca=str(certificate / "none.pem")))
