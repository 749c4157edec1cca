# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Files that must not be there."""

from __future__ import annotations

import stat

from ..host import Host
from ..looks import expand_all
from ..model import FILES, Params, Reading, bad, good, manual
from ..texts import listed


class FileAbsent:
    """A file is taken away, and kept in the restore point; directories and links are for people."""

    name = "file_absent"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.paths = params.paths("paths")
        params.done()
        self.wanted = "not there"

    def current(self, host: Host) -> Reading:
        found = expand_all(host, self.paths)
        if not found:
            return good("not there")
        odd = [path for path in found if (now := host.access(path)) is not None and not stat.S_ISREG(now.mode)]
        if odd:
            return manual(listed(found), f"no regular file: {listed(odd)}")
        return bad(listed(found))

    def apply(self, host: Host) -> None:
        for path in expand_all(host, self.paths):
            host.remove(path)
