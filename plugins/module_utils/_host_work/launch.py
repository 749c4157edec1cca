# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Starting the program so that it outlives the module, the connection and the controller."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Dict, List, Optional, Protocol

from .._host_info.context import COMMAND_ENVIRONMENT, PROGRAM_FOLDERS, CommandError, clean, run_command

START_SECONDS = 30.0
# Mixed and SIGCONT: a reboot waits for the work and never kills it. RemainAfterExit: the name stays taken.
_PROPERTIES = (
    "Type=oneshot",
    "RemainAfterExit=yes",
    "KillMode=mixed",
    "KillSignal=SIGCONT",
    "TimeoutStopSec=15min",
)


class Launcher(Protocol):
    """How a host starts the program."""

    def start(self, unit: str, program: str, lock: int) -> Optional[str]:
        """Start it; what went wrong, or None. Whatever starts it holds C(lock) until it has."""

    def waits(self, unit: str) -> Optional[bool]:
        """Whether it was started and has not come to run yet; None where that can't be told."""


class Systemd:
    """A transient unit, for root on a host whose process 1 is systemd."""

    def start(self, unit: str, program: str, lock: int) -> Optional[str]:
        properties = [word for name in _PROPERTIES for word in ("-p", name)]
        command = ["systemd-run", "--no-block", "--quiet", f"--unit={unit}", f"--description={unit}", *properties]
        return _start([*command, "--", sys.executable, "-I", program], lock, subprocess.PIPE)

    def waits(self, unit: str) -> Optional[bool]:
        properties = [f"--property={name}" for name in ("LoadState", "ActiveState", "Job")]
        command = ["systemctl", "show", "--no-pager", *properties, "--", f"{unit}.service"]
        try:
            status, output = run_command(command, 10.0)
        except CommandError:
            return None
        return None if status else waits(clean(output))


class Process:
    """A process in a session of its own, where there is no systemd or the user is not root."""

    def start(self, unit: str, program: str, lock: int) -> Optional[str]:
        del unit
        # Twice, so that it is process 1's child and nobody waits for it.
        twice = "import os, sys; os.setsid(); os.fork() or os.execv(sys.argv[1], sys.argv[1:])"
        return _start([sys.executable, "-I", "-c", twice, sys.executable, "-I", program], lock, subprocess.DEVNULL)

    def waits(self, unit: str) -> Optional[bool]:
        del unit
        return False  # it holds the lock until it has begun


def waits(shown: str) -> bool:
    """The same from what C(systemctl show) prints."""
    values: Dict[str, str] = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if values.get("LoadState") != "loaded":
        return False
    return values.get("Job", "0") not in ("", "0") or values.get("ActiveState") in ("activating", "reloading")


def launcher() -> Launcher:
    """The one that fits this host and user."""
    found = any(os.access(f"{folder}/systemd-run", os.X_OK) for folder in PROGRAM_FOLDERS)
    return Systemd() if os.geteuid() == 0 and found and os.path.isdir("/run/systemd/system") else Process()


def _start(command: List[str], lock: int, errors: int) -> Optional[str]:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            timeout=START_SECONDS,
            env=COMMAND_ENVIRONMENT,
            cwd="/",
            pass_fds=(lock,),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    return clean((done.stderr or b"")[:300]).strip() or f"exit {done.returncode}"
