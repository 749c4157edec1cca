"""Towns whose windows are open now, or not, and what their hosts tell of work that was begun on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.hosts.controller import Done
from tests.hosts.host import Host
from tests.hosts.town import Town

# Takes back what work leaves on a host; a stop would wait for work that goes on.
FORGET = """
systemctl kill -s KILL 'civicops-*' 2>/dev/null || true
systemctl stop 'civicops-*'
systemctl reset-failed
rm -rf /var/lib/civicops
"""


def window(opens_in: timedelta = timedelta(minutes=-10), **more: Any) -> dict[str, Any]:
    """A window of three hours for the job wait, open now unless it is said otherwise. Give the town the zone UTC."""
    start = datetime.now(UTC) + opens_in
    window = {"id": "now", "jobs": ["wait"], "rrule": "FREQ=DAILY", "start": f"{start:%H:%M}", "duration": "3h"}
    return window | more


def maintenance(*windows: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The keys of a town file for these windows."""
    return {"maintenance": {"windows": list(windows)} | more}


def begun(town: Town) -> dict[str, list[str]]:
    """Which runs have begun work on which host, each as often as it began, by the hosts' own logs."""
    script = "cd /var/lib/civicops/runs 2>/dev/null && grep -c ' began ' */wait/log /dev/null || true"
    found = {}
    for name, host in town.hosts.items():
        told = (line.split(":") for line in host.run(script).stdout.split() if not line.startswith("/dev"))
        found[name] = [path.split("/")[0] for path, times in told for _one in range(int(times))]
    return found


def untouched(town: Town) -> bool:
    """Whether no host has a directory or a unit of any run."""
    return all(not traces(host) for host in town.hosts.values())


def traces(host: Host) -> str:
    """What work has left on a host."""
    runs = host.run("ls /var/lib/civicops/runs 2>/dev/null || true").stdout
    return (runs + host.run("systemctl list-units --all --no-legend 'civicops-*.service'").stdout).strip()


@contextmanager
def forgotten(town: Town) -> Iterator[Town]:
    """The town, whose hosts are as they were afterwards."""
    try:
        yield town
    finally:
        for host in town.hosts.values():
            host.run(FORGET)


def told(done: Done) -> dict[str, Any]:
    """What `civicops run --json` printed."""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ask_ledger(town: Town, kind: str) -> list[dict[str, Any]]:
    """The ledger's documents of a kind in their order, each body with its host, run and task."""
    from civicops.ledger.store import Ledger
    from civicops.state import TownState

    with Ledger(town.name, state=TownState(town.name, town.state)) as ledger:
        entries = [entry for entry in ledger.newest(kind, 1000) if entry.status == "accepted"]
        bodies = ledger.bodies(entries)
    found = [
        {"host": one.host, "run": one.run, "check": one.check, "seq": one.seq} | bodies[one.body] for one in entries
    ]
    return sorted(found, key=lambda one: int(one["seq"]))
