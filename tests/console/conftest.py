import pytest

from tests.console.scene import KEY, copied, scene


@pytest.fixture(autouse=True)
def key(monkeypatch, tmp_path):
    """The key the inputs of the scene are captured with, and a folder for those that sign."""
    monkeypatch.setenv("CASEMATE_GUARD_KEY", KEY)
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("CASEMATE_USER", "olga")


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    made = scene(tmp_path_factory.mktemp("night"))
    made.workspace.close()
    return made


@pytest.fixture
def night(template, tmp_path):
    made = copied(template, tmp_path / "night")
    yield made
    made.workspace.close()
