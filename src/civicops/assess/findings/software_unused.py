"""Software that nobody has used for a year: it has holes all the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said, cells, clock
from civicops.assess.measures import moment_of
from civicops.assess.recovery_known import listed

UNUSED = timedelta(days=365)
"""What is needed once a year (elections, budget, taxes) has been used by then."""


class SoftwareUnused(HostFinding):
    id = "software-unused"
    title = "Software was not used for a year"
    severity = "low"
    frameworks = ("CIS v8 2.3", "NIST 800-53 CM-7", "CJIS CM-7")
    remedy = "Ask who needs it, and remove it if nobody does."
    effort = "low"
    reads = ("packages",)
    despite = ("packages.origin",)

    def applies(self, facts: Facts) -> bool:
        """Most systems keep no record of it, and never will: nothing is to be asked again there."""
        return "keeps no record" not in (facts.why_unread("packages.last_used") or "")

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        dated = {name: moment_of(last) for name, last in facts.picked("packages", "name", "last_used") if last}
        if not dated:
            yield self.not_known(facts, "when its software was used last is", "packages.last_used", "packages")
            return
        options = [str(row.get("options")) for row in cells(facts, "mounts") if row.get("mount") in ("/", "/usr")]
        if not options or any("noatime" in one for one in options):
            why = "its disks are mounted with noatime" if options else "how its disks are mounted is not known"
            yield Said("unknown", f"whether last use is kept is not known: {why}")
            return
        now = clock(host)
        unused = sorted(str(name) for name, last in dated.items() if last is not None and now - last > UNUSED)
        if unused:
            yield Said("found", f"not used for a year: {listed(unused)}")
        else:
            yield Said("fine", f"all of {len(dated)} packages whose use is recorded were used within a year")


FINDING = SoftwareUnused()
