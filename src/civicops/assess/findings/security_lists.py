"""The lists of packages are old, so that a host does not know of newer security updates and says that none wait."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said, cells, clock
from civicops.assess.measures import moment_of
from civicops.assess.recovery_known import brief, listed

STALE = timedelta(days=7)
"""Debian renews its security archive's signed index within 7 days; host-facts use the same."""
VERY_STALE = timedelta(days=30)
"""CJIS 6.0 wants patches of high severity in 30 days, and scans each month."""


class SecurityLists(HostFinding):
    id = "security-lists"
    title = "The lists of packages are old"
    severity = "medium"
    frameworks = ("CIS v8 7.3", "NIST 800-53 SI-2", "CJIS SI-2")
    remedy = "Find out why the lists are not renewed (network, proxy, timer), and have them downloaded daily."
    effort = "low"
    reads = ("package_sources",)
    despite = ("package_sources.security_source",)

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        if facts.get("package_sources") is None:
            yield self.not_known(facts, "how old its lists of packages are is")
            return
        text = facts.get("package_sources", "lists_checked_at")
        if text is None:
            yield Said("found", "no lists were ever downloaded", "high")
            return
        now, checked = clock(host), moment_of(text)
        if checked is None or checked - now > timedelta(days=1):
            yield Said("unknown", f"its lists are of {brief(text)}, which is no time in the past")
            return
        age = now - checked
        if age > STALE:
            days = f"its lists were not renewed for {age.days} days when it answered"
            yield Said("found", days, "high" if age > VERY_STALE else None)
        elif bad := list(self._bad(facts, now)):
            yield Said("found", f"lists of its sources are past their own valid-until date, or absent: {listed(bad)}")
        else:
            yield Said("fine", f"its lists were renewed on {checked:%Y-%m-%d}")

    @staticmethod
    def _bad(facts: Facts, now: datetime) -> Iterator[str]:
        """Enabled sources whose list has run out, and sources of security updates whose list is not there."""
        for row in cells(facts, "package_sources"):
            if row.get("enabled") is not True or row.get("kind") == "deb-src":
                continue
            until = moment_of(row.get("valid_until"))
            absent = row.get("security") is True and row.get("fetched_at") is None
            if absent or (until is not None and until < now):
                yield str(row.get("suite"))


FINDING = SecurityLists()
