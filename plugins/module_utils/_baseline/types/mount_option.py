# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Options of a mount, now and after the next start."""

from __future__ import annotations

from typing import List, Optional

from ..._host_info.identity import virtualization
from ..host import Host, HostError
from ..model import KERNEL, Params, Reading, absent, bad, good, manual, stuck
from ..mounts import BY_SYSTEMD, TMP_DROP_IN, Fstab, may_mount, mounts, tmp_options

ENGINES = "a container's mounts are its engine's"


class MountOption:
    """V(nodev), V(nosuid), V(noexec), V(hidepid=2), ... where the path is a file system of its own."""

    name = "mount_option"
    stage = KERNEL

    def __init__(self, params: Params) -> None:
        self.path = params.path("path")
        self.option = params.text("option")
        params.done()
        self.wanted = f"{self.path} {self.option}"

    def current(self, host: Host) -> Reading:
        now = mounts(host).get(self.path)
        if now is None:
            return absent(f"{self.path} is no file system of its own")
        later = self._later(host)
        lasting = later is not None and self.option in later
        was = f"now {','.join(now.options)}; at start {'not said' if later is None else ','.join(later)}"[:200]
        if now.has(self.option) and lasting:
            return good(self.option)
        if host.ctx.once("virtualization", virtualization)["kind"] == "container":
            return good(f"{self.option}, by its engine") if now.has(self.option) else stuck(was, ENGINES, todo=False)
        if later is None and self.path not in BY_SYSTEMD:
            if now.has(self.option):
                return good(f"{self.option}, by what mounts it")
            return manual(was, "neither /etc/fstab nor tmp.mount mounts it, so there is no place to write it")
        if not now.has(self.option) and not may_mount(host):
            return stuck(was, "this process may not mount", todo=not lasting)
        if host.dry and lasting:
            return good(self.option)
        return bad(was)

    def _later(self, host: Host) -> Optional[List[str]]:
        """What the next start will mount it with; None where that is not said."""
        found = Fstab(host).options(self.path)
        if found is None and self.path == "/tmp":  # noqa: S108  compared, never opened
            return tmp_options(host)
        return found

    def apply(self, host: Host) -> None:
        now = mounts(host)[self.path]
        later = self._later(host)
        if later is None or self.option not in later:
            self._write(host, now.options, now.kind)
        if not now.has(self.option) and may_mount(host):
            host.remount(self.path, now.explicit, ",".join([*now.options, self.option]))

    def _write(self, host: Host, now: List[str], kind: str) -> None:
        fstab = Fstab(host)
        if fstab.options(self.path) is not None or self.path in BY_SYSTEMD:
            fstab.add(self.path, self.option, BY_SYSTEMD.get(self.path, kind), now)
            host.reload("daemon-reload")
            return
        options = tmp_options(host)
        if options is None:
            raise HostError(f"nothing says how {self.path} is mounted")
        host.write(TMP_DROP_IN, f"[Mount]\nOptions={','.join([*options, self.option])}\n")
        host.reload("daemon-reload")
