# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Home directories of people, and what lies in them."""

from __future__ import annotations

import os
import stat
from typing import Callable, Dict, List, Tuple

from ..._host_info.filesystems import remote_mount
from ..accounts import User, people
from ..host import Access, Host
from ..looks import verdict, who
from ..model import ACCOUNTS, ParameterError, Params, Reading, good

FORBIDDEN = (".forward", ".rhosts", ".shosts")
PRIVATE = (".netrc", ".bash_history")  # nobody else's business
NAMES_LIMIT = 2000  # names in one home
CHECKS = ("exists", "mode", "owner", "dot_files")

Mendable = Dict[str, Tuple[Access, int]]  # a path, what it is, the mode that it should have


class Home:
    """Only bits of modes are taken away; a home that is missing or another's, and files that should not be there, are
    for people. Homes on another machine's disks are not touched."""

    name = "home"
    stage = ACCOUNTS

    def __init__(self, params: Params) -> None:
        self.check = params.text("check", choices=CHECKS)
        text = params.text("value", "0750")
        params.done()
        if not text.isdigit() or not all(one in "01234567" for one in text):
            raise ParameterError(f"value is an octal mode such as 0750, not {text!r:.20}")
        self.mode = int(text, 8)
        self.wanted = (
            f"homes: {self.mode:04o} or less" if self.check == "mode" else f"homes: {self.check.replace('_', ' ')}"
        )
        self._mended = False

    def current(self, host: Host) -> Reading:
        mendable, others = self._look(host)
        lines = [f"{path} {who(now)}" for path, (now, dummy) in mendable.items()]
        return verdict(lines, others, "they are people's own", mended=self._mended) if lines or others else good()

    def apply(self, host: Host) -> None:
        for path, (now, mode) in self._look(host)[0].items():
            host.restrict(path, mode, None, None, now)
        self._mended = True

    def _look(self, host: Host) -> Tuple[Mendable, List[str]]:
        mendable: Mendable = {}
        others: List[str] = []
        look: Dict[str, Callable[[Host, User, Access, Mendable, List[str]], None]] = {
            "mode": self._mode,
            "owner": self._owner,
            "dot_files": self._dot_files,
        }
        for user in people(host):
            if not user.home.startswith("/") or remote_mount(host.ctx, user.home):
                continue
            now = host.access(user.home)
            if now is None or not stat.S_ISDIR(now.mode):
                if self.check == "exists":
                    others.append(f"{user.name}: {user.home}")
            elif self.check in look:
                look[self.check](host, user, now, mendable, others)
        return mendable, others

    def _mode(self, host: Host, user: User, now: Access, mendable: Mendable, others: List[str]) -> None:
        del host, others
        mode = now.bits & ~(0o777 & ~self.mode)
        if mode != now.bits and user.home != "/":
            mendable[user.home] = (now, mode)

    @staticmethod
    def _owner(host: Host, user: User, now: Access, mendable: Mendable, others: List[str]) -> None:
        del host, mendable
        if now.uid != user.uid:
            others.append(f"{user.home} {who(now)}")

    @staticmethod
    def _dot_files(host: Host, user: User, now: Access, mendable: Mendable, others: List[str]) -> None:
        """CIS 7.2.10: no .forward and .rhosts, .netrc closed, nothing that others can write or that is another's."""
        if now.uid != user.uid:
            return  # another's home; the check of owners tells it
        for name in host.names(user.home)[:NAMES_LIMIT]:
            path = os.path.join(user.home, name)
            one = host.access(path) if name[0] == "." else None
            if one is None or not stat.S_ISREG(one.mode):
                continue
            if name in FORBIDDEN:
                others.append(path)
            elif one.uid != user.uid or one.gid != user.gid:
                others.append(f"{path} {who(one)}")
            elif (mode := one.bits & (0o600 if name in PRIVATE else 0o7755)) != one.bits:
                mendable[path] = (one, mode)
