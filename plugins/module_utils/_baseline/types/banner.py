# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What is shown before and after a login."""

from __future__ import annotations

import re
import stat
from typing import Optional

from ..host import Host
from ..looks import config
from ..model import FILES, Params, Reading, bad, good, manual
from ..texts import shown

DEFAULT = "Authorized users only. All activity may be monitored and reported."
# agetty(8): machine, release, name and version of the system, and what /etc/os-release says
_ESCAPES = re.compile(r"\\[mrsvS]")


class Banner:
    """A warning that does not tell which system this is. A town's own words stay, unless C(exact) is asked for; where
    they are missing or tell too much, C(text) is written."""

    name = "banner"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.path = params.path("path")
        self.text = params.texts("text", [DEFAULT])
        self.exact = params.flag("exact")
        self.required = params.flag("required", True)
        params.done()
        self.wanted = "the town's words" if self.exact else "a warning" if self.required else "nothing about the system"

    def current(self, host: Host) -> Reading:
        now = host.access(self.path)
        if now is not None and not stat.S_ISREG(now.mode):
            return manual("a link" if stat.S_ISLNK(now.mode) else "no file", f"{self.path} is made by something else")
        text = (host.text(self.path) or "").strip()
        problem = self._problem(host, text)
        return bad(shown(f"{problem}: {text}" if text else problem)) if problem else good(shown(text))

    def apply(self, host: Host) -> None:
        host.write(self.path, "\n".join([*self.text, ""]))

    def _problem(self, host: Host, text: str) -> Optional[str]:
        if self.exact and text != "\n".join(self.text).strip():
            return "other words"
        if not text:
            return "no words" if self.required else None
        if _ESCAPES.search(text):
            return "tells the system"
        release = config(host, "/etc/os-release") or config(host, "/usr/lib/os-release") or ""
        for value in re.findall(r"^(?:ID|NAME)=[\"']?([A-Za-z0-9 /._-]+)", release, re.M):
            first = value.split()[0] if value.split() else ""
            if len(first) > 2 and re.search(rf"\b{re.escape(first)}\b", text, re.I):
                return "tells the system"
        return None
