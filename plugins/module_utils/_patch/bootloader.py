# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Which kernel is started next: GRUB's once-only entry, by the name that its menu gives it."""

from __future__ import annotations

import re
import subprocess
from typing import List, Optional

from .._host_info.context import COMMAND_ENVIRONMENT, Context, clean

MENUS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
_ENTRY = re.compile(r"^\s*(submenu|menuentry) .*?\$menuentry_id_option '([^']+)'")


def start_once(kernel: str) -> Optional[str]:
    """Have the next boot start this kernel, and later ones what they would; what is in the way, or None."""
    ctx = Context()
    program = ctx.program("grub-reboot") or ctx.program("grub2-reboot")
    menu = next((path for path in MENUS if ctx.exists(path)), None)
    if program is None or menu is None:
        return "no GRUB was found on this host"
    try:
        entry = entry_of(ctx.read(menu, 4 << 20), kernel)
    except OSError as error:
        return f"{menu}: {error.strerror}"
    if entry is None:
        return f"{menu} has no entry for {kernel}"
    try:
        done = subprocess.run(
            [program, entry],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            env=COMMAND_ENVIRONMENT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else f"{program}: {clean(done.stdout).strip()[-200:]}"


def entry_of(menu: str, kernel: str) -> Optional[str]:
    """The identifier of the entry that starts a kernel, its submenu before it; None where there is none."""
    above: List[str] = []
    entry: Optional[str] = None
    for line in menu.splitlines():
        match = _ENTRY.match(line)
        if match and match.group(1) == "submenu":
            above = [match.group(2)]
        elif match:
            entry = match.group(2)
        elif entry is not None and re.match(rf"\s*linux\S*\s+\S*/vmlinuz-{re.escape(kernel)}\s", line):
            if "recovery" not in entry:
                return ">".join([*above, entry])
        elif line.startswith("}"):
            above = []
    return None
