"""What people are told of backups, of hosts and of network devices' configurations: by each one's newest documents,
after a run and whenever time has made one late."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from civicops.alerts import Notice, raise_notice
from civicops.assess.backups import DRILL_DUE, STATUS, Standing, drill_words, shown, standings
from civicops.assess.devices import Device, devices
from civicops.ledger.store import Ledger
from civicops.moments import moment, stamp
from civicops.runs.looks import ELSEWHERE, EVERY, Look, ledger_mark, load, newest_of, save
from civicops.state import TownState, locked
from civicops.text import printable
from civicops.town import Town

# What is open is raised again after this, so that it is reminded of a day after it was told.
_RAISED_AGAIN = timedelta(hours=6)
# How often it is asked for the first backup, where nothing here shows that the ledger has changed.
_FIRST = timedelta(days=1)
# Seconds that another judgement is waited for.
_PATIENCE = 30


def tell_backups(town: Town, state: TownState, now: datetime) -> bool:
    """Judge the newest documents of every host, raise what is wrong and close what is over; nothing is sent here.

    Returns whether there was anything to raise or to close.

    :raises LedgerError: the ledger can't be read.
    """
    with _alone(state):
        return _tell(town, state, now)


@contextmanager
def _alone(state: TownState) -> Iterator[None]:
    """A run's end and a scheduler's look, one after the other; whoever holds it up for too long is not waited for."""
    for dummy in range(_PATIENCE):
        with locked(state.directory() / "backups.lock") as alone:
            if alone:
                yield
                return
        time.sleep(1)
    yield


def _tell(town: Town, state: TownState, now: datetime) -> bool:
    before = load(state)
    mark = ledger_mark(state)
    with Ledger(town.id, state=state) as ledger:
        newest = newest_of(ledger)
        inventory = _inventory(ledger) if newest else set()
        found = standings(ledger, now, inventory) if newest else {}
        configs = devices(ledger, now, inventory) if newest else {}
        since = _first_asked(ledger, found)
    wrong = {notice.key: notice for one in found.values() for notice in _notices(town, one, since.get(one.host), now)}
    wrong |= {notice.key: notice for one in configs.values() for notice in _config_notices(town, one)}
    was_open = set(before.open) if before is not None else {key for host in found for key in _keys(host)}
    if before is None:
        was_open |= {_config_key(name) for name in configs}
    if before is not None and wrong.keys() - was_open:
        # Before it is told: whoever takes over from one that is killed closes what it has told.
        save(state, replace(before, open=tuple(sorted(was_open | wrong.keys()))))
    for notice in wrong.values():
        raise_notice(town, state, notice, now)
    over = sorted(was_open - wrong.keys())
    for key in over:
        raise_notice(town, state, _over(town, key, found, configs), now)
    if newest or before is not None or mark == ELSEWHERE:
        ages = [age for one in found.values() for age in one.ages] + [
            age for config in configs.values() for age in config.ages
        ]
        ages += [first + DRILL_DUE for first in since.values() if first + DRILL_DUE >= now]
        coming = _next(now, ages, is_open=bool(wrong), elsewhere=mark == ELSEWHERE, any_known=bool(found or configs))
        save(state, Look(stamp(now), mark, newest, coming, tuple(sorted(wrong))))
    return bool(wrong or over)


def _next(now: datetime, ages: list[datetime], *, is_open: bool, elsewhere: bool, any_known: bool) -> str | None:
    """When to look again, though nothing that shows here has changed."""
    moments = list(ages)
    if is_open:
        moments.append(now + _RAISED_AGAIN)
    if elsewhere:
        moments.append(now + (EVERY if any_known else _FIRST))
    return stamp(min(moments)) if moments else None


def _inventory(ledger: Ledger) -> set[str]:
    """The hosts that the newest run has seen in the inventory, or the newest checkup; whoever is in neither is gone."""
    newest = [*ledger.newest("run", 1), *ledger.newest("run", 1, job="checkup")]
    bodies = ledger.bodies(entry for entry in newest if entry.status == "accepted")
    return {host for body in bodies.values() for host in body["hosts"]}


def _first_asked(ledger: Ledger, found: Mapping[str, Standing]) -> dict[str, datetime]:
    """Since when backups are known of each host that never held a drill."""
    without = {host for host, one in found.items() if one.is_client and one.drill is None}
    if not without:
        return {}
    return {host: moment(one.collected_at) for host, one in ledger.first(STATUS).items() if host in without}


def _keys(host: str) -> tuple[str, str]:
    return f"backup:{host}", f"drill:{host}"


def _config_key(name: str) -> str:
    return f"config:{name}"


def _config_notices(town: Town, one: Device) -> Iterator[Notice]:
    if not one.alarms:
        return
    kept = f"The one of {one.whole_at:%Y-%m-%dT%H:%M}Z is kept." if one.whole_at else "None is kept."
    text = [*one.alarms, "", kept, f"Ask it again:  civicops run network {town.id} --limit {one.name}"]
    subject = f"{town.name}: configuration of {one.name}: {one.alarms[0]}"
    yield Notice("backup", _config_key(one.name), subject, "\n".join(text))


def _notices(town: Town, one: Standing, since: datetime | None, now: datetime) -> Iterator[Notice]:
    backup, drill = _keys(one.host)
    if one.alarms:
        text = [*shown(one.alarms), "", f"It answered last on {one.status.at:%Y-%m-%dT%H:%M}Z."]
        text.append(f"Ask it again:  civicops checkup {town.id} --limit {one.host}")
        yield Notice("backup", backup, f"{town.name}: backups of {one.host}: {one.alarms[0]}", "\n".join(text))
    never = one.drill is None and since is not None and now - since > DRILL_DUE
    overdue = one.drill_due and (one.drill is not None or never)
    if one.drill_failed or overdue:
        what = "failed" if one.drill_failed else f"was not held for {DRILL_DUE.days} days"
        words = printable(drill_words(one.drill), 600)
        text = [f"The last restore drill: {words}.", "", f"Hold one:  civicops run drill {town.id} --limit {one.host}"]
        yield Notice("backup", drill, f"{town.name}: the restore drill of {one.host} {what}", "\n".join(text))


def _over(town: Town, key: str, found: Mapping[str, Standing], configs: Mapping[str, Device]) -> Notice:
    kind, _, host = key.partition(":")
    one = found.get(host)
    if kind == "config":
        there = host in configs
        what = f"the configuration of {host} is kept again" if there else f"{host} is no longer in the inventory"
    elif one is None or (kind == "drill" and one.drill is None):
        what = f"{host} is not backed up any more, or is no longer in the inventory"
    elif kind == "drill":
        what = f"the restore drill of {host} went well"
    else:
        what = f"the backups of {host} are as they should be"
    return Notice("backup", key, f"{town.name}: {what}", f"How all stand: civicops report {town.id}", resolved=True)
