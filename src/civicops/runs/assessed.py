"""Records what is found in a town when a run has ended whose answers are assessed."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from civicops.assess.finding import RECORD
from civicops.feeds.error import FeedError
from civicops.jobs import JOBS
from civicops.ledger.documents import Document, DocumentError, check_body
from civicops.ledger.spool import now
from civicops.ledger.store import Ledger
from civicops.runs.inventory import InventoryError, groups_of_run
from civicops.runs.journal import read_run
from civicops.state import TownState
from civicops.town import Town, TownFileError
from civicops.town.waivers import Waiver, load_waivers

_FACTS = "host-facts"


def record_findings(town: Town, state: TownState, run: str) -> str | None:
    """Record them for this run; what went wrong, in a line, where it could not be done as it should be.

    The run itself is not the worse for it: what is found by its answers can be worked out later too.

    :raises LedgerError: the ledger can't be used.
    """
    job = JOBS.get(read_run(state, run).order.job)
    if job is None or not job.assessed:
        return None
    with Ledger(town.id, state=state) as ledger:
        told = [one for one in ledger.of_run(run) if one.kind in (_FACTS, RECORD) and one.status == "accepted"]
        if not told or told[-1].kind == RECORD:
            return None  # nothing was answered, or nothing since it was recorded
        try:
            return _record(ledger, town, state, run, job.name)
        except (FeedError, DocumentError) as error:
            return f"what was found is not recorded: {error}"


def _record(ledger: Ledger, town: Town, state: TownState, run: str, job: str) -> str | None:
    # All other jobs' runs end without these.
    from civicops.assess.assessment import assess, newest
    from civicops.assess.recorded import as_body
    from civicops.feeds.store import Index

    problems = []
    groups = None
    waivers: tuple[Waiver, ...] = ()
    try:
        groups = groups_of_run(town, state, run)
    except InventoryError as error:
        problems.append(str(error))
    try:
        waivers = load_waivers(town.directory)
    except TownFileError as error:
        problems.append(f"no waiver holds: {error}")
    moment, before = datetime.now(UTC), newest(ledger)
    found = assess(ledger, moment, town, groups, Index(), waivers=waivers, recorded=before)
    body = as_body(
        found.ranked,
        before,
        moment.date(),
        feeds=found.feeds.values(),
        systems=found.systems,
        unseen=found.unseen,
    )
    check_body(RECORD, 1, body)
    document = Document(
        kind=RECORD,
        version=1,
        id=str(uuid.uuid4()),
        town=town.id,
        host="",
        target=None,
        run=run,
        job=job,
        check=False,
        attempt=1,
        collected_at=now(),
        body=body,
    )
    ledger.append([document])
    return f"what was found is recorded without all that belongs to it: {'; '.join(problems)}" if problems else None
