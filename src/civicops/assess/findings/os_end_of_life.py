"""The operating system gets no security updates any more, or not for long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said
from civicops.assess.lifecycle import end_of_system, os_of
from civicops.assess.recovery_known import brief

LONG_PAST = timedelta(days=183)
"""How long after its end the holes that were found since, and that nobody mends, make it critical."""


class OsEndOfLife(HostFinding):
    id = "os-end-of-life"
    title = "The operating system gets no more security updates"
    severity = "high"
    frameworks = ("CIS v8 2.2", "NIST 800-53 SA-22", "CJIS SA-22")
    remedy = "Upgrade to a release that is supported, or replace the host; until then keep it off the network."
    effort = "high"
    reads = ("identity.os",)

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        os_id, version, pretty = os_of(facts)
        name = brief(pretty or f"{os_id} {version}".strip())
        if not name:
            yield self.not_known(facts, "which operating system it has is", "identity.os", "identity")
            return
        end = end_of_system(facts, estate.index, estate.today)
        if end is None:
            yield Said("unknown", f"when {name} ends is neither in the feeds nor in our table")
            return
        day = f"on {end.until}" if end.until else "on a day that is not known"
        stage = end.stage(estate.today)
        if stage == "past":
            long_past = end.until is None or estate.today - end.until > LONG_PAST
            text = f"{name} gets no security updates any more: they ended {day} ({end.source})"
            yield Said("found", text, "critical" if long_past else "high")
        elif stage == "soon":
            yield Said(
                "found",
                f"the security updates of {name} end {day} ({end.source})",
                "medium",
                title="The operating system soon gets no more security updates",
            )
        else:
            until = f"until {end.until}" if end.until else "with no end announced"
            extended = end.regular_until is not None and end.regular_until < estate.today
            note = f"; regular support ended on {end.regular_until}, and since then: {end.note}" if extended else ""
            yield Said("fine", f"{name} gets security updates {until}{note} ({end.source})")


FINDING = OsEndOfLife()
