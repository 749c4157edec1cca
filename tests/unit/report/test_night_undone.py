"""What the report of a town says of patch nights' work that is undone, and of work that was taken back."""

from __future__ import annotations

import pytest
from tests.unit.report.nights import Evening, updates_body

from civicops.ledger.store import Ledger
from civicops.report.undone import undone
from civicops.state import TownState


def night(ledger: Ledger, outcome: str, run: str = "r1", job: str = "patch", **more: object) -> None:
    evening = Evening(run=run, job=job)
    evening.begun("web1")
    evening.patched("web1", outcome, **more)
    evening.ended({"web1": "ok"})
    evening.write(ledger)


def told(ledger: Ledger) -> list[tuple[str, str, bool]]:
    return [(one.job, one.what, one.needs_work) for one in undone(ledger)]


@pytest.mark.parametrize("outcome", ["blocked", "rolled_back", "failed", "interrupted", "overrun", "running"])
def test_what_is_not_done_needs_work(state: TownState, outcome: str) -> None:
    with Ledger("riverton", state=state) as ledger:
        night(ledger, outcome, reason="because")
        assert told(ledger) == [("patch", outcome.replace("_", " "), True)]


def test_updates_that_stay_do_not_make_a_host_undone(state: TownState) -> None:
    with Ledger("riverton", state=state) as ledger:
        night(ledger, "done")
        after = Evening(run="r1")
        after.add("updates", "web1", updates_body(not_a_security_update=9))
        after.write(ledger)
        assert told(ledger) == []


def test_a_host_that_was_taken_back_wants_its_night_again(state: TownState) -> None:
    with Ledger("riverton", state=state) as ledger:
        night(ledger, "done")
        night(ledger, "done", run="r2", job="rollback", of_run="r1")
        assert told(ledger) == [("patch", "taken back", True)]
        night(ledger, "done", run="r3")
        assert told(ledger) == []


def test_a_taking_back_that_had_nothing_to_do_changes_nothing(state: TownState) -> None:
    with Ledger("riverton", state=state) as ledger:
        night(ledger, "done")
        none = {"columns": ["name", "arch", "before", "after"], "rows": []}
        night(ledger, "done", run="r2", job="rollback", of_run="r1", began=False, changes=none)
        assert told(ledger) == []


def test_a_taking_back_that_failed_is_over_once_the_host_was_patched_well(state: TownState) -> None:
    with Ledger("riverton", state=state) as ledger:
        night(ledger, "failed", run="r2", job="rollback", of_run="r1")
        assert told(ledger) == [("rollback", "failed", True)]
        night(ledger, "done", run="r3")
        assert told(ledger) == []
