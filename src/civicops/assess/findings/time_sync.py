"""The clock is kept by nothing: logs of several hosts can't be put side by side, and logins and certificates fail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said, clock, machine
from civicops.assess.measures import moment_of
from civicops.assess.recovery_known import listed

SILENT = timedelta(days=2)
"""How long ago the last success may be: systemd-timesyncd asks at least every 34 minutes; a server may be off a day."""


class TimeSync(HostFinding):
    id = "time-sync"
    title = "The clock is not kept right"
    severity = "medium"
    frameworks = ("CIS v8 8.4", "NIST 800-53 AU-8", "CJIS AU-8")
    remedy = "Install chrony or switch systemd-timesyncd on, and let it reach the town's time server."
    effort = "low"
    reads = ("time_sync", "processes")

    def applies(self, facts: Facts) -> bool:
        """A container has the clock of the machine below."""
        return machine(facts) != "container"

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        running, synchronized = facts.get("time_sync", "running"), facts.get("time_sync", "synchronized")
        if running is None:
            yield self.not_known(facts, "what keeps its clock is")
        elif synchronized is False:
            yield Said("found", f"{listed(running) or 'what keeps the time'} runs, and has not set the clock")
        elif not running and facts.why_unread("processes"):
            yield self.not_known(facts, "what keeps its clock is", "processes")
        elif not running:
            yield Said("found", "no daemon that keeps the time is running")
        elif synchronized is None:
            yield self.not_known(facts, f"{listed(running)} runs; whether it has set the clock is")
        else:
            yield self._last(host, facts, listed(running))

    @staticmethod
    def _last(host: Host, facts: Facts, running: str) -> Said:
        last = moment_of(facts.get("time_sync", "last_success"))
        if last is not None and clock(host) - last > SILENT:
            return Said("found", f"{running} runs, and has last set the clock on {last:%Y-%m-%d}")
        return Said("fine", f"{running} keeps the clock")


FINDING = TimeSync()
