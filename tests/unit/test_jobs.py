"""The table of jobs: what it promises to those who look jobs up in it."""

from __future__ import annotations

from civicops.jobs import JOBS
from civicops.town import vocabulary


def test_jobs_that_windows_can_not_name_borrow_those_of_one_that_they_can() -> None:
    for job in JOBS.values():
        assert job.in_windows in vocabulary.JOBS
        assert job.in_windows in JOBS
    assert JOBS["rollback"].in_windows == "patch"
    assert "rollback" not in vocabulary.JOBS, "so no scheduler starts it"


def test_what_disturbs_tells_how_it_ended_and_what_it_costs() -> None:
    for job in JOBS.values():
        if job.disturbs_users:
            assert job.changes_hosts
            assert job.outcome is not None
            assert job.effort.fixed > 0
        assert job.playbook.startswith("civicops.town.")
