# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Mounts as the kernel has them and as the next start will make them: /etc/fstab and the unit tmp.mount."""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional

from .._host_info.filesystems import MOUNTS_LIMIT, unescape
from .host import Host

FSTAB = "/etc/fstab"
TMP_UNIT = "tmp.mount"
TMP_PLACES = ("/etc/systemd/system/tmp.mount", "/run/systemd/system/tmp.mount", "/usr/lib/systemd/system/tmp.mount",
              "/lib/systemd/system/tmp.mount")  # fmt: skip
TMP_TEMPLATE = "/usr/share/systemd/tmp.mount"  # where Debian keeps it until 12
TMP_DROP_IN = "/etc/systemd/system/tmp.mount.d/60-civicops.conf"
BY_SYSTEMD = {"/dev/shm": "tmpfs", "/proc": "proc"}  # noqa: S108  compared, never opened
"""Mounts that systemd makes without a line in fstab, and whose options it takes from one (file-hierarchy(7),
systemd-remount-fs.service(8))."""
SYS_ADMIN = 21  # the capability that a mount needs (linux/capability.h)
OPPOSITE = {"nodev": "dev", "nosuid": "suid", "noexec": "exec"}
SAME = {"hidepid=1": "hidepid=noaccess", "hidepid=2": "hidepid=invisible", "hidepid=4": "hidepid=ptraceable"}


class Now(NamedTuple):
    """A mount: options of this mount, and of the file system."""

    options: List[str]
    kind: str

    def has(self, option: str) -> bool:
        return option in self.options or SAME.get(option) in self.options

    @property
    def explicit(self) -> str:
        """Options that bring this state back: mount merges what is not said with what it finds."""
        return ",".join([*self.options, *(word for no, word in OPPOSITE.items() if no not in self.options)])


def mounts(host: Host) -> Dict[str, Now]:
    """What is mounted where; of several on one place the last."""
    found: Dict[str, Now] = host.once("mounts", lambda: _mounts(host))
    return found


def _mounts(host: Host) -> Dict[str, Now]:
    found = {}
    for line in host.ctx.read("/proc/self/mountinfo", MOUNTS_LIMIT).splitlines():
        before, dash, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if dash and len(left) > 5 and len(right) > 2:
            options = left[5].split(",")
            more = [one for one in right[2].split(",") if one.startswith("hidepid=")]
            found[unescape(left[4])] = Now(options + more, right[0])
    return found


def may_mount(host: Host) -> bool:
    """Whether this process may mount: in most containers it may not."""
    text = host.ctx.head("/proc/self/status", 65536)
    found = re.search(r"^CapEff:\s*([0-9a-f]{1,16})$", text, re.M)
    return found is None or bool(int(found.group(1), 16) >> SYS_ADMIN & 1)


class Fstab:
    """The lines of /etc/fstab. Raises OSError and HostError as the host does."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lines = (host.text(FSTAB) or "").splitlines()

    def _at(self, path: str) -> Optional[int]:
        for number, line in enumerate(self._lines):
            fields = line.split()
            if len(fields) > 3 and not line.lstrip().startswith("#") and unescape(fields[1]).rstrip("/") == path:
                return number
        return None

    def options(self, path: str) -> Optional[List[str]]:
        """None where no line is for this place."""
        number = self._at(path)
        return None if number is None else self._lines[number].split()[3].split(",")

    def add(self, path: str, option: str, kind: str, now: List[str]) -> None:
        """Have a line say it; C(kind) and the options of now are for one that is new."""
        number = self._at(path)
        if number is None:
            plain = [one for one in now if one in ("nosuid", "nodev", "noexec") and one != option]
            self._lines.append(f"{kind} {path} {kind} {','.join(['defaults', *plain, option])} 0 0")
        else:
            parts = re.split(r"(\s+)", self._lines[number].strip())
            parts[6] = ",".join([*(one for one in parts[6].split(",") if one != OPPOSITE.get(option)), option])
            self._lines[number] = "".join(parts)
        self._host.write(FSTAB, "\n".join(self._lines) + "\n")


def tmp_unit(host: Host) -> Optional[str]:
    """The text of tmp.mount with its drop-ins; None where there is no such unit."""
    text = next((found for found in map(host.reading, TMP_PLACES) if found is not None), None)
    if text is None:
        return None
    folder = TMP_DROP_IN.rpartition("/")[0]
    more = [host.reading(f"{folder}/{name}") or "" for name in host.names(folder) if name.endswith(".conf")]
    return "\n".join([text, *more])


def tmp_options(host: Host) -> Optional[List[str]]:
    """Options of tmp.mount: the last line that says so."""
    text = tmp_unit(host)
    if text is None:
        return None
    found = re.findall(r"^Options=(.*)$", text, re.M)
    return found[-1].strip().split(",") if found else []
