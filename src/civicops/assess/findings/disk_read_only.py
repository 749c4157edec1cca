"""A file system that should be written to is read-only: the kernel does that when a disk or file system is broken."""

from __future__ import annotations

from collections.abc import Iterator

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said, cells, machine
from civicops.assess.recovery_known import brief, listed

_OF_DISKS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "jfs", "f2fs", "reiserfs", "bcachefs"})
_WRITTEN = frozenset({"/", "/home", "/srv", "/var", "/var/lib", "/var/log", "/var/spool"})
_BY_ERROR = frozenset({"errors=remount-ro", "emergency_ro", "shutdown"})


class DiskReadOnly(HostFinding):
    id = "disk-read-only"
    title = "A file system has become read-only"
    severity = "high"
    frameworks = ("NIST 800-53 SI-13", "NIST 800-53 AU-5")
    remedy = (
        "Look for disk errors in the kernel's log, secure the data, then check the file system or replace the disk."
    )
    effort = "medium"
    reads = ("mounts", "filesystems")

    def applies(self, facts: Facts) -> bool:
        """What a container may write to is its engine's choice."""
        return machine(facts) != "container"

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        if not cells(facts, "mounts"):
            yield self.not_known(facts, "how its file systems are mounted is", "mounts", "filesystems")
            return
        found = []
        for row in cells(facts, "mounts"):
            options = set(str(row.get("options")).split(","))
            meant = row.get("mount") in _WRITTEN or bool(options & _BY_ERROR)
            if row.get("type") in _OF_DISKS and "ro" in options and meant:
                found.append(f"{brief(row.get('mount'))} ({brief(row.get('type'))} on {brief(row.get('device'))})")
        if found:
            yield Said("found", f"read-only: {listed(found)}")
        else:
            yield Said("fine", "no file system of a disk is read-only that should be written to")

    def matters(self, item: str, reason: str) -> bool:
        """How a file system is mounted is known, whatever its room."""
        return not item.startswith("filesystems.")


FINDING = DiskReadOnly()
