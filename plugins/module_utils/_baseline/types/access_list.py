# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Who may use cron and at."""

from __future__ import annotations

import stat
from typing import Optional

from ..accounts import gid_of
from ..host import Access, Host
from ..looks import comes, who
from ..model import FILES, Params, Reading, absent, bad, good, manual
from ..texts import listed

# Service: a program by which it is known, and the group as which that program reads its list where it is not root's
# (Debian's crontab and at are set-gid; where they can't read the list, they let everybody).
SERVICES = {"cron": ("/usr/bin/crontab", "crontab"), "at": ("/usr/bin/at", "daemon")}
BRINGS = {"cron": ("cron", "cronie"), "at": ("at",)}
MODE = 0o640


class AccessList:
    """SERVICE.allow names root alone, unless somebody has written one already: whom it names is for people. There is no
    SERVICE.deny, which would let in everybody whom it forgets."""

    name = "access_list"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.service = params.text("service", choices=tuple(SERVICES))
        self.program, self.group = SERVICES[self.service]
        self.group = params.maybe("group") or self.group
        params.done()
        self.allow, self.deny = f"/etc/{self.service}.allow", f"/etc/{self.service}.deny"
        self.wanted = f"{self.allow} root's, {MODE:04o} or less; no {self.deny}"

    def current(self, host: Host) -> Reading:
        if not host.exists(self.program) and not comes(host, *BRINGS[self.service]):
            return absent(f"{self.service} is not installed")
        wrong = []
        for path in (self.allow, self.deny):
            now = host.access(path)
            if now is not None and not stat.S_ISREG(now.mode):
                return manual(f"{path} is no regular file", "somebody has put it there")
        now = host.access(self.allow)
        if now is None:
            wrong.append(f"no {self.allow}")
        elif self._right(host, now) is not None:
            wrong.append(f"{self.allow} {who(now)}")
        if host.access(self.deny) is not None:
            wrong.append(f"{self.deny} is there")
        return bad(listed(wrong)) if wrong else good(f"{self.allow} {who(now)}" if now else "")

    def apply(self, host: Host) -> None:
        if host.access(self.allow) is None:
            host.write(self.allow, "root\n", MODE)
        now = host.access(self.allow)
        wanted = self._right(host, now) if now else None
        if now is not None and wanted is not None:
            host.restrict(self.allow, wanted.mode, wanted.uid, wanted.gid, now)
        host.remove(self.deny)

    def _right(self, host: Host, now: Access) -> Optional[Access]:
        """How it ought to be, where it is not so."""
        gid = gid_of(host, self.group)
        gid = 0 if gid is None else gid
        wanted = Access(now.bits & MODE, 0, gid)
        return None if (now.bits, now.uid, now.gid) == (wanted.mode, wanted.uid, wanted.gid) else wanted
