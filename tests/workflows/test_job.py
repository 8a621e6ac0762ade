"""A job keeps records as they come and ends its run whatever happens."""

import pytest

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
