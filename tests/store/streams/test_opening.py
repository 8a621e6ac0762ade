"""An address says where, never who; credentials come from the environment."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from casemate.errors import UsageError
from casemate.store.streams.opening import open_stream
from tests.servers.nats import NatsServer
from tests.store.streams.made import ANA, events, until


@pytest.mark.parametrize(
    "url",
    [
        "redis://host", "nats+ssl://host", "nats://", "nats://host:99999", "nats://host:x",
        "nats://host/UPPER", "nats://host/a.b", "nats://host/a/b", "nats://host?x=1", "host:4222",
        "kafka://a,,b",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(url):
    with pytest.raises(UsageError):
        open_stream(url, key=None)


def test_credentials_in_an_address_are_refused_and_not_repeated():
    with pytest.raises(UsageError, match="credentials") as raised:
        open_stream("nats://ana:s3cret@host", key=None)
    assert "s3cret" not in f"{raised.value} {raised.value.hint}"


def test_a_certificate_that_cannot_be_read_is_refused():
    with pytest.raises(UsageError, match="CASEMATE_STREAM_CA"):
        open_stream("nats+tls://host", key=None, environment={"CASEMATE_STREAM_CA": "no/such.pem"})


def test_a_broker_is_believed_only_with_a_certificate_we_trust(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    certificate, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    lock = f'tls {{ cert_file: "{certificate}", key_file: "{private}" }}'
    with NatsServer(tmp_path / "nats", lock) as server:
        url = server.url.replace("nats://", "nats+tls://")
        with open_stream(url, key=None, environment={}) as stream:
            stream.append(events(ANA, 0, 1))
            assert until(lambda: "CERTIFICATE_VERIFY_FAILED" in stream.trouble)
            stream.close(0.0)
        trusted = {"CASEMATE_STREAM_CA": str(certificate)}
        with open_stream(url, key=None, environment=trusted) as stream:
            stream.append(events(ANA, 0, 1))
            assert stream.flush(10.0)


def test_the_environment_opens_a_guarded_broker(tmp_path):
    lock = 'authorization { user: "ana", password: "s3cret" }'
    right = {"CASEMATE_STREAM_USER": "ana", "CASEMATE_STREAM_PASSWORD": "s3cret"}
    with NatsServer(tmp_path, lock) as server:
        with open_stream(server.url, key=None, environment={}) as stream:
            stream.append(events(ANA, 0, 1))
            assert until(lambda: "uthorization" in stream.trouble)
            assert not stream.flush(0.1)
            stream.close(0.0)
        with open_stream(server.url, key=None, environment=right) as stream:
            stream.append(events(ANA, 0, 1))
            assert stream.flush(10.0)
