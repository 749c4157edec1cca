# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A whole small file of ours."""

from __future__ import annotations

import stat
from typing import Optional

from ..host import Host
from ..looks import who
from ..model import FILES, Params, Reading, absent, bad, good, manual
from .file import bits


class FileContent:
    """Its lines, its mode, and root as its owner."""

    name = "file_content"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.path = params.path("path")
        self.text = "\n".join([*params.texts("content"), ""])
        self.mode = bits(params, "mode", "0644")
        self.package: Optional[str] = params.maybe("needs_package")
        self.reload = params.maybe("reload")
        params.done()
        self.wanted = f"{self.path} as this catalogue has it"

    def current(self, host: Host) -> Reading:
        if self.package and self.package not in host.packages():
            return absent(f"{self.package} is not installed")
        now = host.access(self.path)
        if now is None:
            return bad("not there")
        if not stat.S_ISREG(now.mode):
            return manual("no regular file", f"somebody has put something else at {self.path}")
        if host.text(self.path) != self.text:
            return bad("other content")
        if now.bits & ~self.mode or now.uid or now.gid:
            return bad(who(now))
        return good(who(now))

    def apply(self, host: Host) -> None:
        host.write(self.path, self.text, self.mode)
        now = host.access(self.path)
        if now is not None:
            host.restrict(self.path, now.bits & self.mode, 0, 0, now)
        if self.reload:
            host.reload(self.reload)
