"""What people are told of a run: that it failed or was halted, and that the matter is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from civicops.alerts import Notice, deliver, raise_notice
from civicops.exit_status import ExitStatus
from civicops.gate.waiting import mark, marked
from civicops.ledger.store import LedgerError
from civicops.runs.backups import tell_backups
from civicops.runs.judge import MISSED, RunResult
from civicops.state import StateError, TownState
from civicops.town import Town

if TYPE_CHECKING:
    from civicops.runs.plan import Planned

_FEW = 20


def note_end(town: Town, state: TownState, result: RunResult, now: datetime) -> None:
    """Put the notices of a run that ends into the outbox; done before its end is written down, so that none is lost."""
    if not town.alerts and not any(contact.notify_for for contact in town.contacts):
        return
    job = result.run.split("-")[1]
    if result.exit_status is ExitStatus.HOSTS_FAILED:
        raise_notice(town, state, _failure(town, job, result), now)
    elif result.exit_status is ExitStatus.DONE:
        subject = f"{town.name}: {job} is done again"
        raise_notice(town, state, Notice("failure", f"run:{job}", subject, _summary(result), resolved=True), now)
    if result.halted:
        subject = f"{town.name}: {job} was halted"
        why = sorted({reason for reason in result.reasons.values() if "halted: " in reason})
        raise_notice(town, state, Notice("halt", f"halt:{job}", subject, "\n".join([_summary(result), *why])), now)
    elif result.exit_status is ExitStatus.DONE:
        subject = f"{town.name}: {job} is no longer halted"
        raise_notice(town, state, Notice("halt", f"halt:{job}", subject, _summary(result), resolved=True), now)
    with suppress(LedgerError):  # the run itself is told; the scheduler's next look tells this
        tell_backups(town, state, now)


def tell_plan(town: Town, state: TownState, planned: Planned, how: str, now: datetime) -> None:
    """Ask the town's people to approve a plan."""
    lines = [
        f"The plan of {planned.run} {how}: window {planned.body['window']}, from {planned.body['starts_at'][:16]}Z, "
        f"{len(planned.body['hosts'])} hosts.",
        "",
        f"Read it:    civicops runs {town.id} show {planned.run}",
        f"Approve it: civicops runs {town.id} approve {planned.run} --by NAME --plan {planned.sha256[:12]}",
    ]
    subject = f"{town.name}: {planned.body['job']} {how}"
    raise_notice(town, state, Notice("approval", _key(planned), subject, "\n".join(lines)), now)
    deliver(town, state, now)


def tell_approved(town: Town, state: TownState, planned: Planned, by: str, now: datetime) -> None:
    """Tell those who were asked that somebody has approved the plan."""
    text = f"{planned.run} was approved by {by}."
    subject = f"{town.name}: {planned.body['job']} was approved"
    raise_notice(town, state, Notice("approval", _key(planned), subject, text, resolved=True), now)
    deliver(town, state, now)


class RingAsking:
    """Asks the town's people for their yes to a ring, once for each that a run comes to wait for.

    The gate, which waits, leaves a mark; this is looked at by the run's own process each second, and must not hold it
    up: messages are sent by a thread.
    """

    def __init__(self, town: Town, state: TownState, run: str) -> None:
        self._town, self._state, self._run = town, state, run
        self._asked: set[str] = set()
        if town.maintenance.ring_approval:
            mark(state, run, None)  # what a killed attempt has left

    def look(self) -> None:
        """Ask, if the run waits for a ring about which nobody was asked yet."""
        if not self._town.maintenance.ring_approval:
            return
        found = marked(self._state, self._run)
        rings = [ring for ring in found[0] if ring not in self._asked] if found is not None else []
        if found is None or not rings:
            return
        self._asked |= set(rings)
        now = datetime.now(UTC)
        with suppress(OSError, StateError):  # a full disk: the run waits on, and says so on its display
            for ring in rings:
                notice = _ring_notice(self._town, self._run, ring, f"until {found[1][:16]}Z at most.")
                raise_notice(self._town, self._state, notice, now)
            Thread(target=_send, args=(self._town, self._state, now), daemon=True).start()

    def end(self) -> None:
        """Nobody's yes is waited for any more, as the run has ended."""
        mark(self._state, self._run, None)
        for ring in self._town.maintenance.ring_approval:
            subject = f"{self._town.name}: the ring {ring} waits for nobody any more"
            notice = Notice("approval", f"ring:{self._run}:{ring}", subject, f"{self._run} has ended.", resolved=True)
            raise_notice(self._town, self._state, notice, datetime.now(UTC))


def _send(town: Town, state: TownState, now: datetime) -> None:
    with suppress(OSError, StateError):
        deliver(town, state, now)


def tell_ring_approved(town: Town, state: TownState, run: str, ring: str, by: str, now: datetime) -> None:
    """Tell those who were asked that somebody has said yes."""
    subject = f"{town.name}: the ring {ring} was approved"
    text = f"{by} has said yes to the ring {ring} of {run}."
    raise_notice(town, state, Notice("approval", f"ring:{run}:{ring}", subject, text, resolved=True), now)
    deliver(town, state, now)


def _ring_notice(town: Town, run: str, ring: str, until: str) -> Notice:
    lines = [
        f"The rings before {ring} are done; {run} waits for somebody's yes to the ring {ring}, {until}",
        "",
        f"See how it went:  civicops runs {town.id} show {run}",
        f"Say yes:          civicops runs {town.id} approve {run} --ring {ring} --by NAME",
    ]
    return Notice("approval", f"ring:{run}:{ring}", f"{town.name}: the ring {ring} waits for a yes", "\n".join(lines))


def tell_report(
    town: Town, state: TownState, run: str, subject: str, summary: Sequence[str], pages: Sequence[Path], now: datetime
) -> None:
    """Put a run's report into the outbox: what it says in a few lines, and where its pages lie."""
    text = [*summary, "", *(f"Page: {page}" for page in pages), f"Run: {run}"]
    raise_notice(town, state, Notice("report", f"report:{run}", subject, "\n".join(text)), now)


def _key(planned: Planned) -> str:
    # The plan's hash too: a plan that has changed is another matter, and is told.
    return f"plan:{planned.run}:{planned.sha256[:12]}"


def _failure(town: Town, job: str, result: RunResult) -> Notice:
    missed = sorted(host for host, outcome in result.hosts.items() if outcome in MISSED)
    lines = [f"{host}: {result.hosts[host]}: {result.reasons.get(host, '')}" for host in missed[:_FEW]]
    if len(missed) > _FEW:
        lines.append(f"and {len(missed) - _FEW} more")
    subject = f"{town.name}: {job}: {result.message or result.state}"
    return Notice("failure", f"run:{job}", subject, "\n".join([_summary(result), "", *lines]))


def _summary(result: RunResult) -> str:
    counted = Counter(outcome for outcome in result.hosts.values() if outcome != "not_asked")
    told = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in sorted(counted.items()))
    return f"Run {result.run} is {result.state}" + (f": {told}." if told else ".")
