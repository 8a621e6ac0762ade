"""An address says where, never who; credentials come from the environment."""

import pytest

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
