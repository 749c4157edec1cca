"""A file system is nearly full: what writes there stops, logs and backups among it."""

from __future__ import annotations

from collections.abc import Iterator

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said
from civicops.assess.measures import DISK_SOON, filled, fullness, with_room
from civicops.assess.recovery_known import brief, listed
from civicops.text import size

NOT_OURS = ": not asked, as "
"""How facts say that a file system of another machine was left alone."""


class DiskFull(HostFinding):
    id = "disk-full"
    title = "A disk is nearly full"
    severity = "high"
    frameworks = ("CIS v8 8.3", "NIST 800-53 AU-4", "CJIS AU-4")
    remedy = "Find what grows (du -x), clean up or move it, or enlarge the file system."
    effort = "medium"
    reads = ("filesystems",)

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        systems = with_room(facts)
        if not systems:
            yield self.not_known(facts, "how much room its disks have is")
            return
        high = sorted((one for one in systems if filled(one) > DISK_SOON), key=filled, reverse=True)
        words = listed(
            f"{brief(one['mount'])} has {size(one['free_bytes'])} of {size(one['bytes'])} free" for one in high
        )
        if not high:
            yield Said("fine", f"every local file system has {1 - DISK_SOON:.0%} of its room free, or more")
        elif fullness(filled(high[0])) == "full":
            yield Said("found", words)
        else:
            yield Said("found", words, "low", title="A disk fills up")

    def matters(self, item: str, reason: str) -> bool:
        """What lies on another machine is that machine's."""
        return NOT_OURS not in reason


FINDING = DiskFull()
