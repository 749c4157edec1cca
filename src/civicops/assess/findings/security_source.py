"""No security updates can reach the host, as none of its package sources brings them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said, cells, data
from civicops.assess.lifecycle import os_of
from civicops.assess.measures import security_source
from civicops.assess.recovery_known import brief, listed

_BY_CODENAME = frozenset({"debian", "ubuntu"})
_MOVING = ("stable", "oldstable", "oldoldstable", "testing")
"""Names that mean another release each time that one comes out."""


class SecuritySource(HostFinding):
    id = "security-source"
    title = "No source of security updates"
    severity = "high"
    frameworks = ("CIS v8 7.3", "NIST 800-53 SI-2", "CJIS SI-2")
    remedy = "Enable the distribution's security archive among the host's package sources, and download its lists."
    effort = "low"
    reads = ("package_sources",)
    despite = ("package_sources.security_source",)
    # That is how the facts say that a family has no separate one.

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        told = security_source(facts)
        if told is None:
            yield self.not_known(facts, "where its packages come from is")
            return
        present, why = told
        if present is None:
            yield self._by_repositories(facts)
        elif present:
            yield self._by_suites(facts, why)
        else:
            yield Said("found", brief(why))

    @staticmethod
    def _by_suites(facts: Facts, why: str) -> Said:
        """Debian and Ubuntu: a source that was left behind at an upgrade brings the former release's updates."""
        os_id, _, _ = os_of(facts)
        codename = str(facts.get("identity", "os", "codename") or "")
        suites = [
            str(row.get("suite"))
            for row in cells(facts, "package_sources")
            if row.get("enabled") is True and row.get("security") is True and row.get("kind") != "deb-src"
        ]
        if os_id not in _BY_CODENAME or not codename or any(suite.startswith(codename) for suite in suites):
            return Said("fine", brief(why))
        text = f"its sources of security updates are for {listed(suites)}, and it runs {brief(codename)}"
        return Said("unknown" if any(suite.startswith(_MOVING) for suite in suites) else "found", text)

    def _by_repositories(self, facts: Facts) -> Said:
        """The rpm families: updates come with the distribution's own repositories."""
        names = [str(row.get("suite")) for row in cells(facts, "package_sources") if row.get("enabled") is True]
        if not names:
            return Said("found", "no package source is enabled")
        if own := [name for name in names if any(one.fullmatch(name) for one in _repositories())]:
            return Said("fine", f"the distribution's own repositories are enabled: {listed(own)}")
        return Said("unknown", f"whether one of its repositories brings security updates is not known: {listed(names)}")


@cache
def _repositories() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(one) for one in data("security_source")["repositories"])


FINDING = SecuritySource()
