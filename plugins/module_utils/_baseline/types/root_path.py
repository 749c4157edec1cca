# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Where root's programs are looked for."""

from __future__ import annotations

import os
import re
import stat
from typing import Dict, List

from ..accounts import login_def
from ..host import Host, HostError
from ..looks import config, resolved
from ..model import ACCOUNTS, Params, Reading, good, manual
from ..texts import listed

FILES = ("/etc/environment", "/etc/profile", "/root/.profile", "/root/.bash_profile", "/root/.bashrc")
_DEFAULT = "/sbin:/bin:/usr/sbin:/usr/bin"  # shadow's, where login.defs says nothing
_PATH = re.compile(r"^\s*(?:export\s+)?PATH=(\"[^\"\n]*\"|'[^'\n]*'|[^\s;#]*)", re.M)


class RootPath:
    """Audit alone, and without running root's shell: the directories that login.defs and root's own files put into
    PATH are absolute, root's, and not writable by others. Ones that are not there are told by the check of those above
    them alone."""

    name = "root_path"
    stage = ACCOUNTS

    def __init__(self, params: Params) -> None:
        params.done()
        self.wanted = "absolute directories that only root can write"

    def current(self, host: Host) -> Reading:
        supath = (login_def(host, "ENV_SUPATH") or _DEFAULT).replace("PATH=", "", 1)
        values: Dict[str, str] = {supath: "/etc/login.defs"}
        for path in FILES:
            for match in _PATH.finditer(config(host, path) or ""):
                values.setdefault(match.group(1).strip("\"'"), path)
        found: List[str] = []
        for value, path in values.items():
            for part in value.split(":"):
                problem = _problem(host, part)
                if problem:
                    found.append(f"{part or 'an empty step'} ({path}): {problem}")
        found = list(dict.fromkeys(found))
        return manual(listed(found), "a program there would run as root") if found else good(listed([supath]))

    def apply(self, host: Host) -> None:
        """Nothing is ever mended."""


def _problem(host: Host, part: str) -> str:
    if part.startswith(("$", "~")):
        return ""  # what was there before, and root's own home
    if not part.startswith("/"):
        return "not absolute"
    try:
        now = host.access(resolved(host, os.path.normpath(part)))
    except HostError as error:
        return str(error)
    if now is None:
        return ""
    if not stat.S_ISDIR(now.mode):
        return "no directory"
    if now.uid not in (0, os.geteuid()):
        return f"belongs to {now.uid}"
    return "others can write in it" if now.mode & 0o022 else ""
