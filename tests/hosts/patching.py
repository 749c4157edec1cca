"""Towns for patch nights: hosts with a small mirror of our own, a window that is open, and what their nights leave."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.hosts.host import Host
from tests.hosts.nights import FORGET, ask_ledger
from tests.hosts.nights import window as any_window
from tests.hosts.repository import SOURCE
from tests.hosts.town import Town

# The tests' packages and everything that nights leave; Debian's own lists are out of the way, as they take seconds.
PURGE = f"""
dpkg --configure -a >/dev/null 2>&1 || true
DEBIAN_FRONTEND=noninteractive dpkg --purge --force-all $(dpkg-query -W -f '${{Package}} ' 'fv-*' 2>/dev/null) \
  >/dev/null 2>&1 || true
apt-mark unhold '*' >/dev/null 2>&1 || true
rm -rf /var/cache/civicops /run/reboot-required* {SOURCE} /var/log/fv-slow.log /etc/fv-store
find /etc/apt \\( -name '*.list' -o -name '*.sources' \\) -delete
find /var/lib/apt/lists -type f -delete
systemctl reset-failed
"""


def window(**more: Any) -> dict[str, Any]:
    """A window for patching, of three hours and open for ten minutes."""
    return any_window(timedelta(minutes=-10), **({"jobs": ["patch", "patch_stage"]} | more))


def closing_in(seconds: float) -> dict[str, Any]:
    """A window that closes at the first full minute after that many seconds."""
    end = datetime.now(UTC) + timedelta(seconds=seconds)
    end = (end + timedelta(minutes=1)).replace(second=0, microsecond=0)
    start = end - timedelta(hours=1)
    return {"id": "now", "jobs": ["patch"], "rrule": "FREQ=DAILY", "start": f"{start:%H:%M}", "duration": "1h"}


def town_file(*windows: dict[str, Any], systems: Sequence[dict[str, Any]] = (), **patch: Any) -> dict[str, Any]:
    """The keys of a town file: these windows (else one that is open), systems, and the patch policy."""
    file: dict[str, Any] = {"maintenance": {"windows": list(windows or (window(),))}, "patch": patch}
    return file | ({"systems": list(systems)} if systems else {})


@contextmanager
def clean(hosts: Sequence[Host]) -> Iterator[None]:
    """The hosts without our packages and nights, before and after."""
    for host in hosts:
        host.run(FORGET + PURGE)
    try:
        yield
    finally:
        for host in hosts:
            host.run(FORGET + PURGE, check=False)


def stage(town: Town, *more: str) -> dict[str, Any]:
    """Run the job patch_stage; what `civicops run --json` told."""
    return _run(town, "patch_stage", *more)


def patch(town: Town, *more: str, timeout: float = 600) -> dict[str, Any]:
    """Run the job patch."""
    return _run(town, "patch", *more, timeout=timeout)


def rollback(town: Town, *more: str) -> dict[str, Any]:
    """Run the job rollback."""
    return _run(town, "rollback", *more)


def _run(town: Town, job: str, *more: str, timeout: float = 600) -> dict[str, Any]:
    done = town.controller.civicops("run", job, town.name, "--json", *more, timeout=timeout)
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"civicops run {job}: {done.stdout}{done.stderr}") from None
    return told


def of(town: Town, host: str, run: str | None = None, kind: str = "patch") -> dict[str, Any]:
    """A host's newest document of a kind, of one run or of any."""
    found = [one for one in ask_ledger(town, kind) if one["host"] == host and run in (None, one["run"])]
    assert found, f"{host} has told nothing"
    return found[-1]


def versions(host: Host, pattern: str = "fv-*") -> dict[str, str]:
    """The versions of our packages, those that are not installed whole marked with dpkg's state."""
    shown = r"dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\n' '" + pattern + "' 2>/dev/null || true"
    rows = (line.split() for line in host.run(shown).stdout.splitlines())
    told = {row[0]: (row[1], row[2]) for row in rows if len(row) == 3 and row[2] != "un"}
    return {name: version if state in ("ii", "hi") else f"{version} {state}" for name, (version, state) in told.items()}


def whole(host: Host) -> bool:
    """Whether dpkg finds nothing by halves."""
    return not host.run("dpkg --audit").stdout.strip()


STATE = """
dpkg-query -W -f '${Package} ${Architecture} ${Version} ${Status}\\n' | grep -v 'config-files$'
echo --- marks; apt-mark showauto | sort; apt-mark showhold
echo --- etc; cd /; find etc -mindepth 1 \\( -type f -o -type l -o -type d \\) -printf '%p %y %m %U:%G %l\\n' | sort
find etc -type f -print0 | sort -z | xargs -0 sha256sum
"""


def state(host: Host) -> str:
    """Packages with their versions, marks, and every file of /etc: equal means that nothing is left of a change."""
    return host.run(STATE).stdout
