"""A file system has room and can take no more files: to programs it is as full as without room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.findings.disk_full import NOT_OURS
from civicops.assess.host_finding import HostFinding, Said
from civicops.assess.measures import fullness, with_room
from civicops.assess.recovery_known import brief, listed


class DiskInodes(HostFinding):
    id = "disk-inodes"
    title = "A file system can take hardly any more files"
    severity = "high"
    frameworks = ("CIS v8 8.3", "NIST 800-53 AU-4", "CJIS AU-4")
    remedy = "Find the directory with the many small files (du --inodes -x), and clean up what makes them."
    effort = "medium"
    reads = ("filesystems",)

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        systems = with_room(facts)
        if not systems:
            yield self.not_known(facts, "how many files its disks can take is")
            return
        full = [one for one in systems if fullness(_taken(one)) == "full"]
        if full:
            words = listed(f"{brief(one['mount'])} ({_taken(one):.0%} of its inodes are in use)" for one in full)
            yield Said("found", words)
        else:
            yield Said("fine", "every local file system that counts its files can take more")

    def matters(self, item: str, reason: str) -> bool:
        """What lies on another machine is that machine's."""
        return NOT_OURS not in reason


def _taken(system: dict[str, Any]) -> float:
    """The share of a file system's files that is in use; some kinds of them count none."""
    total, free = system.get("inodes"), system.get("free_inodes")
    return 1 - float(free) / float(total) if total and free is not None else 0.0


FINDING = DiskInodes()
