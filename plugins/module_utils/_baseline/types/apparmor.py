# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""AppArmor: whether its profiles bind."""

from __future__ import annotations

import re
from typing import Dict, List

from ..._host_info.identity import virtualization
from ..host import Host, HostError
from ..looks import comes
from ..model import SERVICES, Params, Reading, absent, bad, good, manual
from .service import turn_on

LOADED = "/sys/kernel/security/apparmor/profiles"
ENABLED = "/sys/module/apparmor/parameters/enabled"
FOLDER = "/etc/apparmor.d"
UNIT = "apparmor.service"
_FLAGS = re.compile(r"^(\s*(?:profile\s+)?\S[^\n{]*?)\s+flags=\(([^)\n]*)\)(\s*\{)", re.M)


class AppArmor:
    """C(enforce): every loaded profile binds; C(complain-or-enforce): profiles are loaded."""

    name = "apparmor"
    stage = SERVICES

    def __init__(self, params: Params) -> None:
        self.mode = params.text("mode", "complain-or-enforce", ("enforce", "complain-or-enforce"))
        params.done()
        self.units: List[str] = [UNIT]
        self.wanted = "every profile enforces" if self.mode == "enforce" else "profiles are loaded"

    def current(self, host: Host) -> Reading:
        if host.ctx.once("virtualization", virtualization)["kind"] == "container":
            return absent("a container's AppArmor is the machine's below")
        if host.exists("/sys/fs/selinux/enforce"):
            return absent("this system has SELinux")
        if host.ctx.line_or_none(ENABLED) != "Y":
            return manual("off in the kernel", "it is switched on by the boot parameters apparmor=1 security=apparmor")
        modes = profiles(host)
        unit = host.units(self.units)[UNIT]
        complaining = sorted(name for name, mode in modes.items() if mode == "complain")
        was = f"{len(modes)} profiles, {len(complaining)} complain"
        if not unit.there and comes(host, "apparmor"):
            return bad("not installed yet")
        if not modes or not unit.enabled.startswith("enabled"):
            return bad(f"{was}; {UNIT} {unit.active}") if unit.there else manual(was, "apparmor is not installed")
        if self.mode != "enforce" or not complaining:
            return good(was)
        if not self._files(host):
            return manual(f"{was}: {', '.join(complaining)}"[:200], "they are not told to by files in /etc/apparmor.d")
        return bad(f"{was}: {', '.join(complaining)}"[:200])

    @staticmethod
    def _files(host: Host) -> Dict[str, str]:
        """Files of profiles that say complain, as they are without."""
        found = {}
        for name in host.names(FOLDER):
            path = f"{FOLDER}/{name}"
            info = host.lstat(path)
            if info is not None and info.st_mode & 0o170000 == 0o100000:
                text = host.text(path) or ""
                new = _FLAGS.sub(_without_complain, text)
                if new != text:
                    found[path] = new
        return found

    def apply(self, host: Host) -> None:
        unit = host.units(self.units)[UNIT]
        turn_on(host, UNIT, unit)
        if self.mode != "enforce":
            return
        for path, text in self._files(host).items():
            host.write(path, text)
        host.reload("apparmor")


def profiles(host: Host) -> Dict[str, str]:
    """The mode of each loaded profile. Raises OSError, HostError."""
    try:
        text = host.ctx.read(LOADED)
    except FileNotFoundError as error:
        raise HostError(f"{LOADED} is not there") from error
    return dict(re.findall(r"^(.*) \((\w+)\)$", text, re.M))


def _without_complain(found: re.Match[str]) -> str:
    flags = [flag for flag in re.split(r"[,\s]+", found.group(2)) if flag and flag != "complain"]
    return found.group(1) + (f" flags=({', '.join(flags)})" if flags else "") + found.group(3)
