"""The host's clock is wrong: its logs tell of other times, logins by Kerberos and certificates fail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said
from civicops.assess.measures import moment_of
from civicops.assess.recovery_known import brief

APART = timedelta(minutes=5)
"""RFC 4120, 8.2: what Kerberos takes for the same time; no answer takes as long to come home."""
FAR_APART = timedelta(days=1)


class HostClock(HostFinding):
    """The controller's clock is what it is compared with: where every host is wrong, that one is."""

    id = "host-clock"
    title = "The clock is wrong"
    severity = "medium"
    frameworks = ("CIS v8 8.4", "NIST 800-53 AU-8", "CJIS AU-8")
    remedy = "Set the clock, and have it kept (time-sync); where all hosts are wrong, look at the controller's."
    effort = "low"

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        theirs = moment_of(facts.get("host_time"))
        if theirs is None or host.told is None:
            yield Said(
                "unknown", f"what its clock said is not known: {brief(facts.get('host_time') or 'it did not tell')}"
            )
            return
        apart = abs(host.told.at - theirs)
        both = f"{theirs:%Y-%m-%d %H:%M} and the controller's {host.told.at:%Y-%m-%d %H:%M} UTC"
        words = f"when it answered, its clock said {both}"
        if apart > APART:
            yield Said("found", words, "high" if apart > FAR_APART else None)
        else:
            yield Said("fine", f"its clock was within {APART.seconds // 60} minutes of the controller's")


FINDING = HostClock()
