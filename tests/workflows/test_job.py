"""A job keeps records as they come and ends its run whatever happens."""

import pytest

from casemate.errors import UsageError
from casemate.records.make import make
from casemate.records.target import Target
from casemate.store.workspace import Workspace
from casemate.workflows import config
from casemate.workflows.job import Job


@pytest.mark.parametrize(
    ("error", "state"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")]
)
def test_what_was_found_is_kept_when_the_job_breaks_off(tmp_path, error, state):
    loaded = config.Loaded(config=config.Config(), root=tmp_path)
    with Workspace.open(tmp_path / "store") as workspace:
        job = Job("scan", loaded, workspace)

        def work():
            with job:
                job.add(make(Target, kind="artifact", uri="a"))
                raise error

        with pytest.raises(error):
            work()
        assert workspace.run(job.run.id).state == state
        assert len(workspace.records(job.run.id, Target)) == 1


def test_without_a_workspace_blobs_stay_in_memory(tmp_path):
    loaded = config.Loaded(config=config.Config(), root=tmp_path)
    with Job("attack", loaded, None) as job:
        digest = job.keep(b"payload")
        job.note("once")
        job.note("once")
    assert job.bundle().blob(digest) == b"payload"
    assert job.run.notes == ("once",)
    assert not (tmp_path / ".casemate").exists()


def test_a_password_in_a_target_is_refused_before_it_is_kept(tmp_path):
    loaded = config.Loaded(config=config.Config(), root=tmp_path)
    for uri in ("http+oip://bob:hunter2@localhost/v2/models/m", "https+json://h/p?api_key=hunter2"):
        with pytest.raises(UsageError) as refused:
            Job("assess", loaded, None, target=uri)
        assert "hunter2" not in str(refused.value)


def test_names_that_are_no_text_are_kept_escaped(tmp_path):
    """Classes may be folders, and folders may be called anything."""
    loaded = config.Loaded(config=config.Config(), root=tmp_path)
    with Workspace.open(tmp_path / "store") as workspace, Job("attack", loaded, workspace) as job:
        job.classes(("a\udcff", "b"))
    assert job.run.classes == ("a\\udcff", "b")
