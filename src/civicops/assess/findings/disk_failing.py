"""A disk says of itself that it is about to fail."""

from __future__ import annotations

from collections.abc import Iterator

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said, machine
from civicops.assess.recovery_known import brief, listed


class DiskFailing(HostFinding):
    id = "disk-failing"
    title = "A disk is failing"
    severity = "critical"
    frameworks = ("NIST 800-53 SI-13", "NIST 800-53 CP-9")
    remedy = "Make sure of its backup today, then replace the disk."
    effort = "medium"
    reads = ("hardware.disks",)

    def applies(self, facts: Facts) -> bool:
        """Disks of virtual machines and containers are those of the machine below."""
        return machine(facts) not in ("vm", "container")

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        disks = [one for one in facts.get("hardware", "disks") or () if not one.get("removable")]
        states = {str(one["name"]): (one.get("smart") or {}).get("healthy") for one in disks}
        if failing := [one for one in disks if states[str(one["name"])] is False]:
            yield Said(
                "found", listed(f"{brief(one['name'])} ({brief(one.get('model') or 'no model')})" for one in failing)
            )
        elif not disks:
            yield self.not_known(facts, "which disks it has is", "hardware.disks", "hardware")
        elif silent := [name for name, healthy in states.items() if healthy is not True]:
            yield self.not_known(facts, f"how {listed(silent)} are is", "hardware.disks")
        else:
            yield Said("fine", f"no disk says that it fails, of {len(disks)}")


FINDING = DiskFailing()
