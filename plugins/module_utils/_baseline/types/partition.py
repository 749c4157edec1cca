# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Whether a directory is a file system of its own."""

from __future__ import annotations

import re

from ..._host_info.identity import virtualization
from ..host import Host, HostError
from ..model import KERNEL, Params, Reading, absent, bad, good, manual, stuck
from ..mounts import TMP_PLACES, TMP_TEMPLATE, TMP_UNIT, Fstab, mounts, tmp_unit

MEMORY = 2 << 20  # KB; tmp.mount takes up to half of it


class Partition:
    """A disk is for people to part. /tmp alone can be had from memory: by systemd's tmp.mount, with the next start."""

    name = "partition"
    stage = KERNEL

    def __init__(self, params: Params) -> None:
        self.path = params.path("path")
        params.done()
        self.units = [TMP_UNIT] if self.path == "/tmp" else []  # noqa: S108  compared, never opened
        self.wanted = f"{self.path} is a file system of its own"

    def current(self, host: Host) -> Reading:
        now = mounts(host).get(self.path)
        if now is not None:
            return good(now.kind)
        if host.ctx.once("virtualization", virtualization)["kind"] == "container":
            return absent("a container's file systems are its engine's")
        was = "a directory of another file system"
        if not self.units:
            return manual(was, "a disk is for people to part")
        if Fstab(host).options(self.path) is not None:
            return manual(was, "/etc/fstab has a line for it, and it is not mounted")
        if host.units(self.units)[TMP_UNIT].enabled.startswith("enabled"):
            return stuck(was, f"{TMP_UNIT} is enabled: from the next start on", todo=False)
        if tmp_unit(host) is None and host.reading(TMP_TEMPLATE) is None:
            return manual(was, f"this system has no {TMP_UNIT}")
        if self._memory(host) < MEMORY:
            return manual(was, "less than 2 GB of memory, and tmp.mount takes from it")
        return bad(was)

    @staticmethod
    def _memory(host: Host) -> int:
        """KB."""
        found = re.search(r"^MemTotal:\s*([0-9]{1,12}) kB", host.ctx.head("/proc/meminfo", 4096), re.M)
        return int(found.group(1)) if found else 0

    def apply(self, host: Host) -> None:
        if tmp_unit(host) is None:
            text = host.reading(TMP_TEMPLATE)
            if text is None:
                raise HostError(f"this system has no {TMP_UNIT}")
            host.write(TMP_PLACES[0], text)
            host.command(["systemctl", "daemon-reload"])
        host.unit(TMP_UNIT, "enable")
