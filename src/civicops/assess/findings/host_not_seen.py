"""A host of the inventory of which nothing is known, or nothing new: what nobody looks at, nobody looks after."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from civicops.assess.estate import FACTS_STALE, Estate, Host
from civicops.assess.finding import Evidence, Finding
from civicops.assess.recovery_known import brief

ABSENT = timedelta(days=7)
"""How long a host may leave questions without an answer: a week's holiday of the one whose PC it is."""


class HostNotSeen(Finding[Estate]):
    """The one finding about hosts that have told nothing; all others leave them to it."""

    id = "host-not-seen"
    title = "A host was not seen"
    severity = "medium"
    frameworks = ("CIS v8 1.1", "NIST 800-53 CM-8", "CJIS CM-8")
    remedy = "Find it: switch it on, mend its access, or take it out of the inventory if it is gone."
    effort = "low"

    def look(self, town: Estate) -> Iterator[Evidence]:
        for host in town.hosts.values():
            yield self._of(host, town.moment)

    @staticmethod
    def _of(host: Host, moment: datetime) -> Evidence:
        why = f": {brief(host.missed)}" if host.missed else ""
        if host.told is None:
            if not host.asked:
                return Evidence(host.name, "unknown", "no checkup has ever asked it, so nothing is known of it")
            return Evidence(host.name, "found", f"it was asked, and has never answered{why}")
        age, answered = moment - host.told.at, f"it answered last on {host.told.at:%Y-%m-%d}"
        if age > FACTS_STALE:
            what = "and not since" if host.missed else "and no checkup has asked it since"
            return Evidence(host.name, "found", f"{answered}, {what}{why}", (host.told,))
        if host.missed and age > ABSENT:
            return Evidence(host.name, "found", f"{answered}, and not since{why}", (host.told,), "low")
        return Evidence(
            host.name, "fine", f"{answered}{f', and not when it was asked again{why}' if why else ''}", (host.told,)
        )


FINDING = HostNotSeen()
