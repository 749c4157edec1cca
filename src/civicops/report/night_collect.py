"""Read a night from the ledger: the documents of one run, in the order in which they were written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from civicops.calendar import load_calendar
from civicops.gate.rings import RINGS, ordered
from civicops.ledger.store import Entry, Ledger
from civicops.moments import moment, stamp
from civicops.report.night import (
    JOBS,
    WORST_FIRST,
    Approval,
    Left,
    Night,
    NightHost,
    Override,
    Refusal,
    RingLine,
    State,
)
from civicops.report.night_work import Work, work_of
from civicops.runs.journal import NoSuchRunError
from civicops.state import RUN_ID
from civicops.town import Town, TownFileError

_OF_WORK: dict[str, State] = {
    "done": "done",
    "failed": "failed",
    "interrupted": "failed",
    "rolled_back": "rolled_back",
    "blocked": "blocked",
    "refused": "put_off",
    "overrun": "overrun",
    "running": "running",
    "unknown": "unknown",
    "planned": "planned",
}
# How the gate says of a host that it is in the inventory, and in observe_only.
_NEVER = ("observe_only", "never changed")
_NO_WORD = "not known: no word came from it"
# Of so many entries of a job, the newest run is looked for: a run writes a few, and check runs are passed over.
_LOOKED_AT = 200


def newest_run(ledger: Ledger) -> str:
    """The newest run that has a morning report; a rehearsal only where there is nothing else.

    :raises NoSuchRunError: there is none.
    """
    found = [entry for job in JOBS for entry in ledger.newest("run", _LOOKED_AT, job=job) if entry.status == "accepted"]
    if not found:
        raise NoSuchRunError(f"{ledger.town} has had no patch night yet: civicops run patch {ledger.town}")
    return max(found, key=lambda entry: (not entry.check, entry.seq)).run


def collect_night(
    ledger: Ledger,
    town: Town,
    run: str,
    *,
    groups: Mapping[str, Collection[str]] | None = None,
    now: datetime | None = None,
) -> Night:
    """Read one night. `groups` is Ansible's variable of that name; without it no system or department is told.

    :raises NoSuchRunError: the ledger has no such run, or it is of a job without a morning report.
    """
    entries = ledger.of_run(run) if RUN_ID.fullmatch(run) else []
    if not entries:
        raise NoSuchRunError(f"the ledger of {town.id} has no run {run[:80]!r}; `civicops runs {town.id}` lists runs")
    if (job := entries[0].job) not in JOBS:
        raise NoSuchRunError(f"{run} is a run of {job}: only runs of {' and '.join(JOBS)} have a morning report")
    told = _Told(ledger, entries)
    names = sorted(told.scope)
    order = ordered(groups) if groups is not None else None
    updates = ledger.latest("updates", before=entries[-1].seq + 1)
    bodies = ledger.bodies(entry for host, entry in updates.items() if host in told.scope)
    hosts = []
    for number, name in enumerate(names):
        one = told.host(number, name, _left(updates.get(name), bodies))
        if groups is not None:
            member = {group for group, members in groups.items() if name in members}
            one = replace(
                one,
                ring=one.ring or (order.of.get(name) if order is not None else None),
                systems=tuple(part.id for part in town.systems if f"system_{part.id}" in member),
                departments=tuple(part.id for part in town.departments if f"dept_{part.id}" in member),
            )
        hosts.append(one)
    waiting = any(host.state in ("put_off", "running", "unknown") for host in hosts)
    return Night(
        town=town,
        run=run,
        job=job,
        check=any(entry.check for entry in entries),
        made_at=now or datetime.now(UTC),
        begun=told.begun,
        # A run that was killed after its last host needs no further end.
        ended=told.ended_at is not None or (told.begun and bool(hosts) and not waiting),
        started_at=told.started_at or entries[0].collected_at,
        ended_at=told.ended_at,
        user=told.user,
        limit=told.limit,
        hosts=tuple(hosts),
        not_asked=tuple(sorted(told.listed - told.scope)),
        rings=tuple(_rings(hosts)),
        approvals=tuple(told.approvals),
        overrides=tuple(told.overrides()),
        groups_known=groups is not None,
        anchor=ledger.anchor(),
    )


def with_chances(night: Night, groups: Mapping[str, Collection[str]]) -> Night:
    """Give each host that waits and of which the gate has recorded no next chance the one of the town's calendar.

    It is the first that comes after the night; a calendar that can't be read gives none.
    """
    try:
        calendar = load_calendar(night.town)
        after = moment(night.ended_at or night.started_at)
    except (TownFileError, ValueError):
        return night
    hosts = []
    for host in night.hosts:
        if host.waits and host.next is None and host.name in groups.get("all", ()):
            answer = calendar.may(JOBS[0], host.name, after, groups)
            if answer.until is not None:
                answer = calendar.may(JOBS[0], host.name, answer.until, groups)
            if answer.next is not None:
                chance = (stamp(answer.next.start), stamp(answer.next.end))
                host = replace(host, next=chance, by_calendar=True)
        hosts.append(host)
    return replace(night, hosts=tuple(hosts))


class _Told:
    """What the documents of the run tell, in the order in which they were written."""

    def __init__(self, ledger: Ledger, entries: list[Entry]) -> None:
        self._entries = entries
        self._bodies = ledger.bodies(entry for entry in entries if entry.kind != "updates")
        self.begun = False
        self.started_at: str | None = None
        self.ended_at: str | None = None
        self.user, self.limit = "", None
        self.scope: set[str] = set()
        self.listed: set[str] = set()
        self.approvals: list[Approval] = []
        self._of: dict[str, list[Entry]] = {}
        self._run_says: dict[str, tuple[int, str]] = {}
        self._planned: dict[str, str] = {}
        self._plan = ""
        for entry in entries:
            if entry.kind == "run" and entry.status == "accepted":
                self._take_run(entry)
            elif entry.kind == "plan" and entry.status == "accepted":
                self._take_plan(entry)
            elif entry.host:
                self._of.setdefault(entry.host, []).append(entry)
        self.scope |= set(self._of)
        self.scope |= set(self._planned)
        self.approvals = list(self._approvals())

    def _take_run(self, entry: Entry) -> None:
        body = self._bodies.get(entry.body) or {}
        self.begun = True
        self.started_at = self.started_at or entry.collected_at
        self.ended_at = entry.collected_at if body.get("ended_at") is not None else None
        self.user, self.limit = str(body.get("user") or self.user), body.get("limit")
        for host, outcome in (body.get("hosts") or {}).items():
            self.listed.add(host)
            if outcome != "not_asked":
                self.scope.add(host)
                self._run_says[host] = (entry.seq, outcome)

    def _take_plan(self, entry: Entry) -> None:
        body = self._bodies.get(entry.body) or {}
        self._plan = entry.body
        self._planned = {host: str(one.get("ring")) for host, one in (body.get("hosts") or {}).items()}

    def _approvals(self) -> Iterable[Approval]:
        for entry in self._entries:
            body = self._bodies.get(entry.body)
            if entry.kind == "approval" and entry.status == "accepted" and body is not None:
                yield Approval(
                    by=body["by"],
                    user=body["user"],
                    at=entry.collected_at,
                    window=body.get("window"),
                    plan=body.get("plan_sha256"),
                    hosts=len(body.get("hosts") or ()),
                    of_last_plan=self._plan in ("", body.get("plan_sha256")),
                    ring=body.get("ring"),
                )

    def overrides(self) -> Iterable[Override]:
        found: dict[tuple[str, str, str], set[str]] = {}
        for host, entries in self._of.items():
            for entry in entries:
                body = self._body(entry)
                if entry.kind == "gate" and (said := body.get("override")):
                    counted = found.setdefault(tuple(str(said.get(key) or "") for key in _SAID), set())  # type: ignore[arg-type]
                    if body["decision"] == "open" and body.get("window") == "override":
                        counted.add(host)
        for (reason, approver, user), hosts in found.items():
            yield Override(reason, approver, user, len(hosts))

    def _body(self, entry: Entry) -> dict[str, Any]:
        body = self._bodies.get(entry.body) if entry.status == "accepted" else None
        return body if isinstance(body, dict) else {}

    def host(self, number: int, name: str, left: Left | None) -> NightHost:
        """One host, by its last word: its own document's, else the connection's, else the gate's, else the run's."""
        own, gates, contacts, rejected = self._sorted(name)
        opened = [entry for entry, body in gates if body["decision"] == "open"]
        last_gate = gates[-1][1] if gates else None
        work = self._work(own)
        state, reason, code = self._state(name, own, work, last_gate, contacts, rejected)
        of_ring = [body["ring"] for _, body in gates if body.get("ring")]
        last_open = next((body for _, body in reversed(gates) if body["decision"] == "open"), None)
        window = (last_open or last_gate or {}).get("window")
        chance = _span((last_gate or {}).get("next")) if state == "put_off" else None
        words = [entry for entry in self._of.get(name, ()) if entry.kind != "gate"]
        return NightHost(
            number=number,
            name=name,
            state=state,
            reason=reason,
            code=code,
            ring=of_ring[-1] if of_ring else self._planned.get(name),
            window=window,
            until=(last_open or {}).get("until"),
            opened_at=opened[0].collected_at if opened else None,
            told_at=words[-1].collected_at if words else None,
            next=chance,
            work=work,
            left=left,
            refusals=tuple(_refusal(name, entry, body) for entry, body in gates if body["decision"] == "refused"),
            contacts=tuple((entry.collected_at, f"{body['outcome']}: {body['reason']}") for entry, body in contacts),
        )

    def _sorted(
        self, name: str
    ) -> tuple[list[Entry], list[tuple[Entry, dict[str, Any]]], list[tuple[Entry, dict[str, Any]]], list[Entry]]:
        own: list[Entry] = []
        gates, contacts = [], []
        rejected: list[Entry] = []
        for entry in self._of.get(name, ()):
            body = self._body(entry)
            if entry.status == "rejected":
                rejected.append(entry)
            elif entry.kind == "patch":
                own.append(entry)
            elif entry.kind == "gate" and body:
                gates.append((entry, body))
            elif entry.kind == "contact" and body:
                contacts.append((entry, body))
        return own, gates, contacts, rejected

    def _work(self, own: list[Entry]) -> Work | None:
        body = self._body(own[-1]) if own else {}
        return work_of(body) if body else None

    def _state(
        self,
        name: str,
        own: list[Entry],
        work: Work | None,
        gate: dict[str, Any] | None,
        contacts: list[tuple[Entry, dict[str, Any]]],
        rejected: list[Entry],
    ) -> tuple[State, str, str]:
        if rejected:
            return "failed", f"its answer was refused: {rejected[-1].reason or ''}", "rejected"
        spoke = own[-1].seq if own else 0
        seq, says = self._run_says.get(name, (0, ""))
        lost = [body for entry, body in contacts if body["outcome"] == "unreachable" and entry.seq > spoke]
        if lost and (not own or not lost[-1].get("ignored")):
            return "unreachable", str(lost[-1]["reason"]), "unreachable"
        if says == "unreachable" and seq > spoke:
            return "unreachable", "no reason was recorded", "unreachable"
        if own and work is None:
            return "unknown", own[-1].reason or "its document can't be read any more", "unread"
        if work is not None:
            state = _OF_WORK[work.outcome]
            if state == "blocked" and work.touched:
                state = "failed"  # it was interrupted before, and something stands in the way of putting it right
            why = "; ".join(text for _, text in work.blockers)
            return state, work.reason or why, work.outcome
        failed = [body for _, body in contacts if body["outcome"] == "failed" and not body.get("ignored")]
        if failed or says == "failed":
            return "failed", str(failed[-1]["reason"]) if failed else "no reason was recorded", "task"
        if gate is not None and gate["decision"] == "refused":
            never = (gate["code"], gate["reason"]) == _NEVER
            return ("left_alone" if never else "put_off"), str(gate["reason"]), str(gate["code"])
        if gate is not None:
            return "unknown", "the gate let it through, and it told no end", "no_end"
        return "unknown", _NO_WORD, "no_word"


_SAID = ("reason", "approver", "user")


def _refusal(host: str, entry: Entry, body: dict[str, Any]) -> Refusal:
    return Refusal(host, entry.collected_at, body["code"], body["reason"], body.get("window"), _span(body.get("next")))


def _span(told: Any) -> tuple[str, str] | None:
    return (str(told[0]), str(told[1])) if isinstance(told, list) and len(told) == 2 else None


def _left(entry: Entry | None, bodies: dict[str, Any]) -> Left | None:
    body = bodies.get(entry.body) if entry is not None else None
    if entry is None or body is None:
        return None
    columns = body["updates"]["columns"]
    selected, why = columns.index("selected"), columns.index("why")
    rows = body["updates"]["rows"]
    counted = Counter(str(row[why] or "no reason was given") for row in rows if not row[selected])
    return Left(
        at=entry.collected_at,
        run=entry.run,
        selected=sum(bool(row[selected]) for row in rows),
        why=dict(counted.most_common()),
        holds=tuple(body["holds"]),
    )


def _rings(hosts: list[NightHost]) -> Iterable[RingLine]:
    known = {host.ring for host in hosts if host.ring is not None and host.state != "left_alone"}
    for ring in [*(one for one in RINGS if one in known), *sorted(known - set(RINGS))]:
        members = [host for host in hosts if host.ring == ring and host.state != "left_alone"]
        opened = [host.opened_at for host in members if host.opened_at is not None]
        told = [host.told_at for host in members if host.opened_at is not None and host.told_at is not None]
        counted = Counter(host.state for host in members)
        yield RingLine(
            ring=ring,
            hosts=len(members),
            states={state: counted[state] for state in WORST_FIRST if counted[state]},
            opened_at=min(opened, default=None),
            ended_at=max(told, default=None),
        )
