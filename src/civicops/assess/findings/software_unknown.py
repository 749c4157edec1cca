"""Software that is not the distribution's: nobody but its maker mends it, and often nobody has it on a list."""

from __future__ import annotations

from collections.abc import Iterator

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said
from civicops.assess.origins import is_own, own_names
from civicops.assess.recovery_known import brief, listed


class SoftwareUnknown(HostFinding):
    id = "software-unknown"
    title = "Software from elsewhere than the distribution"
    severity = "low"
    frameworks = ("CIS v8 2.1", "CIS v8 2.3", "NIST 800-53 CM-8", "NIST 800-53 CM-11", "CJIS CM-11")
    remedy = "Put it on the town's list with its owner, and have its maker's updates; remove what nobody knows."
    effort = "low"
    reads = ("packages",)
    despite = ("packages.last_used",)

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        origins, names = facts.column("packages", "origin"), own_names(facts)
        if not origins:
            yield self.not_known(facts, "which software it has is")
            return
        own = {origin: is_own(origin, names) for origin in set(origins)}
        all_own = all(value is True for value in own.values())
        strange = [] if all_own else facts.picked("packages", "name", "origin")
        others = sorted({_named(name, origin) for name, origin in strange if own[origin] is False})
        unclear = sorted({str(name) for name, origin in strange if own[origin] is None})
        why = facts.why_unread("packages.origin") or "the host did not tell"
        rest = f"where {len(unclear)} of {len(origins)} packages come from is not known ({brief(why)})"
        if others:
            more = f"; {rest}" if unclear else ""
            yield Said("found", f"{len(others)} packages: {listed(others)}{more}")
        elif unclear:
            yield Said("unknown", f"{rest}: {listed(unclear, 3)}")
        else:
            yield Said("fine", f"all of {len(origins)} packages are the distribution's")


def _named(name: object, origin: object) -> str:
    return f"{brief(name)} ({brief(origin) or 'no archive has it'})"


FINDING = SoftwareUnknown()
