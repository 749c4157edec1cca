# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Who can read the logs."""

from __future__ import annotations

import os
import stat
from fnmatch import fnmatchcase
from typing import Dict, List, Tuple

from ..accounts import NOBODY, first_person
from ..host import Access, Host
from ..looks import verdict, who
from ..model import FILES, Params, Reading, absent
from .file import bits

FOLDER = "/var/log"
FILES_LIMIT = 20000
DEPTH = 8
# Files that others have to read or write, by their programs' own doing: name, mode, as CIS 6.1.4.1 has them.
WIDER = (
    ("lastlog*", 0o664), ("wtmp*", 0o664), ("btmp*", 0o660), ("faillog*", 0o664), ("README", 0o644),
    ("cloud-init.log*", 0o644), ("localmessages*", 0o644), ("waagent.log*", 0o644),
    ("eipp.log*", 0o644),  # apt makes its plan anew at each change of packages
)  # fmt: skip


class LogFiles:
    """Every file below /var/log: no bit more than C(mode). Files of people's are for people."""

    name = "log_files"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.mode = bits(params, "mode", "0640")
        params.done()
        self.wanted = f"{self.mode:04o} or less"
        self._mended = False

    def current(self, host: Host) -> Reading:
        if host.access(FOLDER) is None:
            return absent(f"there is no {FOLDER}")
        mendable, others = self._look(host)
        lines = [f"{path} {who(now)}" for path, (now, dummy) in mendable.items()]
        return verdict(lines, others, "a person owns it, or there are too many files", mended=self._mended)

    def apply(self, host: Host) -> None:
        for path, (now, mode) in self._look(host)[0].items():
            host.restrict(path, mode, None, None, now)
        self._mended = True

    def _look(self, host: Host) -> Tuple[Dict[str, Tuple[Access, int]], List[str]]:
        paths, whole = host.once("log files", lambda: _walk(host))
        people = first_person(host)
        mendable: Dict[str, Tuple[Access, int]] = {}
        others: List[str] = [] if whole else [f"only the first {FILES_LIMIT} files were looked at"]
        for path in paths:
            now = host.access(path)
            if now is None or not stat.S_ISREG(now.mode):
                continue
            if now.uid >= people and now.uid != NOBODY:
                others.append(f"{path} {who(now)}")
                continue
            allowed = next((mode for name, mode in WIDER if fnmatchcase(os.path.basename(path), name)), self.mode)
            mode = now.bits & (allowed | self.mode)
            if mode != now.bits:
                mendable[path] = (now, mode)
        return mendable, others


def _walk(host: Host) -> Tuple[List[str], bool]:
    """Regular files, and whether these are all; other file systems and links are left alone."""
    found: List[str] = []
    top = os.lstat(host.ctx.path(FOLDER))
    waiting = [(FOLDER, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            with os.scandir(host.ctx.path(folder)) as entries:
                for entry in entries:
                    path = os.path.join(folder, entry.name)
                    if entry.is_file(follow_symlinks=False):
                        found.append(path)
                    elif entry.is_dir(follow_symlinks=False) and depth < DEPTH and _inside(entry, top):
                        waiting.append((path, depth + 1))
                    if len(found) >= FILES_LIMIT:
                        return sorted(found), False
        except OSError:
            continue  # gone meanwhile
    return sorted(found), True


def _inside(entry: os.DirEntry[str], top: os.stat_result) -> bool:
    return entry.stat(follow_symlinks=False).st_dev == top.st_dev
