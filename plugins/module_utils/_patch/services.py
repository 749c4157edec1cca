# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Services that run on replaced files, and the reboot: wanted or not, begun, and proven by a new process 1."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from .._host_info import identity, reboot
from .._host_info.context import COMMAND_ENVIRONMENT, Context, clean
from .._host_info.processes import all_processes
from .._host_info.processes import system_unit as unit_of_process

RESTART_SECONDS = 180.0
# Restarting these ends sessions or cuts the network: they wait for a reboot. After needrestart's own list, override_rc
# in its configuration (needrestart 3.6).
NEVER = (
    "civicops-*",
    "dbus*",
    "display-manager.service",
    "emergency.service",
    "gdm*",
    "getty@*",
    "lightdm.service",
    "lxdm.service",
    "networking.service",
    "NetworkManager.service",
    "rescue.service",
    "sddm.service",
    "serial-getty@*",
    "systemd-logind.service",
    "systemd-networkd.service",
    "user@*",
    "wicked*",
    "xdm.service",
    "docker.service",
    "libvirtd.service",
)


@dataclass
class Restarts:
    """Units that were restarted, that did not come back, and what still runs on replaced files."""

    done: List[str] = field(default_factory=list)
    failed: List[str] = field(default_factory=list)
    left: List[str] = field(default_factory=list)

    def values(self) -> Dict[str, Any]:
        return {"done": self.done[:1000], "failed": self.failed[:1000], "left": self.left[:1000]}


def has_systemd() -> bool:
    return os.path.isdir("/run/systemd/system")


def likely_restarts(files: Set[str]) -> List[str]:
    """The units that run programs or libraries of these files now."""
    ctx = Context()
    plain = {_without_usr(path) for path in files}
    found = set()
    for process in all_processes(ctx):
        unit = unit_of_process(ctx, process.pid) or ""
        if not unit.endswith(".service") or unit in found or _never(unit):
            continue
        maps = ctx.head(f"/proc/{process.pid}/maps", reboot.MAPS_LIMIT)
        mapped = {
            line.split(None, 5)[5] for line in maps.splitlines() if line.count("/") and len(line.split(None, 5)) == 6
        }
        if any(_without_usr(path) in plain for path in mapped):
            found.add(unit)
    return sorted(found)[:1000]


def _without_usr(path: str) -> str:
    """The same name for /lib and /usr/lib, which are one on most hosts."""
    return path[4:] if path.startswith("/usr/") else path


def restart_stale() -> Restarts:
    """Restart the services that use deleted programs and libraries; process 1 re-executes itself."""
    ctx = Context()
    told = Restarts()
    if not has_systemd():
        told.left = [f"{one['process']} ({one['pid']})" for one in reboot.stale_processes(ctx)]
        return told
    stale = reboot.stale_processes(ctx)
    if any(one["pid"] == 1 for one in stale):
        _systemctl(["daemon-reexec"])
    # A user names the units of his own as he likes, also as one of the system's, which he may not restart.
    units = {unit_of_process(ctx, one["pid"]) or "" for one in stale if one["pid"] != 1} | _needrestart(ctx)
    wanted = sorted(unit for unit in units if unit.endswith(".service") and not _never(unit))
    if wanted:
        # One that is not loaded any more is none to start.
        wanted = [unit for unit in wanted if _is_active(unit)]
        _systemctl(["try-restart", "--", *wanted])
        for unit in wanted:
            (told.done if _is_active(unit) else told.failed).append(unit)
    ctx = Context()
    told.left = sorted(
        {
            str(one["unit"] or f"{one['process']} (process {one['pid']})")
            for one in reboot.stale_processes(ctx)
            # What is left of a unit that was restarted are sessions that it let live.
            if not (of := unit_of_process(ctx, one["pid"]) or "").startswith("civicops-") and of not in told.done
        }
    )
    return told


def _never(unit: str) -> bool:
    return any(fnmatchcase(unit, pattern) for pattern in NEVER)


def _needrestart(ctx: Context) -> Set[str]:
    """What needrestart would restart, where it is installed; it also sees interpreters' modules."""
    program = ctx.program("needrestart")
    if program is None:
        return set()
    dummy, output = _run([program, "-b", "-r", "l"], 60.0)
    return set(re.findall(r"^NEEDRESTART-SVC: *(\S+\.service)$", output, re.M))


def _is_active(unit: str) -> bool:
    return _systemctl(["is-active", "--quiet", "--", unit]) == 0


def _systemctl(words: Sequence[str]) -> int:
    return _run(["systemctl", "--no-ask-password", *words], RESTART_SECONDS)[0]


def _run(command: Sequence[str], seconds: float) -> Tuple[int, str]:
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            env=COMMAND_ENVIRONMENT,
            cwd="/",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 1, ""
    return done.returncode, clean(done.stdout)


# -- the reboot -------------------------------------------------------------------


def wanted(more: Sequence[str] = ()) -> Tuple[Optional[bool], List[str]]:
    """Whether the host wants a reboot, and why; None where that can't be told. Stale services alone want none.

    :param more: the package manager's own reasons.
    """
    ctx = Context()
    found = list(more)
    for path in ("/run/reboot-required", "/var/run/reboot-required"):
        if ctx.exists(path):
            named = (ctx.read_or(path + ".pkgs", "") or "").split()
            found.append("the system asks for it: " + (", ".join(sorted(set(named))[:20]) or "no package named"))
            break
    kernel, told = reboot.kernel_reasons(ctx)
    found += kernel
    return (True if found else False if told else None), [one[:500] for one in found[:50]]


def kernel() -> str:
    return os.uname().release


def newest_kernel() -> Optional[str]:
    """The newest kernel that is installed, by its version; None in a container."""
    ctx = Context()
    virtual = identity.virtualization(ctx)
    found = identity.kernels(ctx, virtual)["newest_installed"]
    return str(found) if found else None


def begin() -> Optional[str]:
    """Ask for a reboot that waits for this program to end; what went wrong, or None."""
    commands = [["systemctl", "--no-block", "--no-ask-password", "reboot"]] if has_systemd() else []
    commands.append(["shutdown", "-r", "now"])
    for command in commands:
        status, output = _run(command, 60.0)
        if status == 0:
            return None
    return f"the reboot could not be begun: {output.strip()[-200:]}"


def booting() -> bool:
    """Whether systemd is still starting units of this boot."""
    if not has_systemd():
        return False
    return _run(["systemctl", "is-system-running"], 30.0)[1].strip() in ("initializing", "starting")


def going_down() -> bool:
    """Whether somebody has asked for a shutdown or a reboot: services are stopped then, and nothing can be judged."""
    return has_systemd() and _run(["systemctl", "is-system-running"], 30.0)[1].strip() == "stopping"


def relabel(paths: Sequence[str]) -> None:
    """Give files that were put back their SELinux labels, where there is such."""
    if paths and os.path.exists("/sys/fs/selinux/enforce"):
        for first in range(0, len(paths), 1000):
            _run(["restorecon", "-F", "--", *paths[first : first + 1000]], RESTART_SECONDS)


def reload() -> None:
    """Have systemd read its units anew, after files of theirs were put back."""
    if has_systemd():
        _systemctl(["daemon-reload"])
