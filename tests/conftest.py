"""Fixtures that several folders of tests share."""

import shutil

import pytest


@pytest.fixture(scope="session")
def happened(tmp_path_factory):
    """A workspace with a search on record, and a case of it by ana."""
    from casemate.workflows import cases
    from tests.workflows import incident

    scene = incident.happen(tmp_path_factory.mktemp("happened") / "here")
    with scene.open() as workspace:
        cases.open_case(scene.loaded, workspace, ["latest"], by="ana", copy="later")
    return scene


@pytest.fixture
def scene(happened, tmp_path):
    """The same, to be changed."""
    from casemate.workflows.config import read

    root = tmp_path / "here"
    shutil.copytree(happened.root, root)
    return happened._replace(root=root, loaded=read(root / "casemate.toml"))
