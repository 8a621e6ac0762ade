import pytest

from tests.guard.proxy.running import FakeGuard, Running, Server, Setup


@pytest.fixture(scope="module")
def running():
    running = Running()
    yield running
    errors = list(running.errors)
    running.close()
    assert errors == []


@pytest.fixture
def guard():
    return FakeGuard()


@pytest.fixture
def setup(running, guard):
    """Return `setup(behave=None, **settings)`: a proxy before a server that behaves so."""
    made = []

    def make(behave=None, *, server=None, **settings):
        server = server or Server(running, behave)
        made.append(Setup(running, server, guard, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()
        each.server.close()
