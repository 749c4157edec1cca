# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Owner, group and mode of files and directories."""

from __future__ import annotations

import stat
from typing import List, Optional, Tuple

from ..accounts import gid_of, uid_of
from ..host import Access, Host, HostError
from ..looks import expand_all, resolved, verdict, who
from ..model import FILES, ParameterError, Params, Reading, good, manual

KINDS = {"file": (stat.S_ISREG, 0o7777), "dir": (stat.S_ISDIR, 0o0777)}  # set-gid and sticky bits of a directory stay


def bits(params: Params, name: str, default: Optional[str] = None) -> int:
    """A mode as an octal number. Raises ParameterError."""
    text = params.text(name, default)
    try:
        value = int(text, 8)
    except ValueError:
        value = -1
    if not 0 <= value <= 0o7777:
        raise ParameterError(f"{name} is an octal mode such as 0644, not {text!r:.20}")
    return value


class File:
    """Who may own a file, and which bits of its mode may be set; fewer are as good."""

    name = "file"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.paths = params.paths("paths")
        self.owners = params.texts("owner", ["root"])
        self.groups = params.texts("group", ["root"])
        self.mode = bits(params, "mode")
        self.kind = params.text("kind", "file", tuple(KINDS))
        self.required = params.flag("required")
        params.done()
        self.wanted = f"{self.mode:04o} or less, {'/'.join(self.owners)}:{'/'.join(self.groups)}"
        self._mended = False

    def current(self, host: Host) -> Reading:
        paths = expand_all(host, self.paths)
        if not paths:
            if self.required:
                return manual("not there", f"{', '.join(self.paths)[:200]} has to be made first")
            return good("not there")
        mendable, others = self._look(host, paths)
        lines = [f"{path} {who(now)}" for path, now, *dummy in mendable]
        return verdict(
            lines, others, "these are not what is expected there", mended=self._mended, fine=_fine(host, paths)
        )

    def apply(self, host: Host) -> None:
        mendable, dummy = self._look(host, expand_all(host, self.paths))
        for path, now, mode, uid, gid in mendable:
            host.restrict(path, mode, uid, gid, now)
        self._mended = True

    def _look(self, host: Host, paths: List[str]) -> Tuple[List[Tuple[str, Access, int, int, int]], List[str]]:
        """What is to be set, and what is something else than it should be."""
        right, mask = KINDS[self.kind]
        uids = [uid for name in self.owners if (uid := uid_of(host, name)) is not None] or [0]
        gids = [gid for name in self.groups if (gid := gid_of(host, name)) is not None] or [0]
        mendable: List[Tuple[str, Access, int, int, int]] = []
        others: List[str] = []
        for given in paths:
            try:
                path = resolved(host, given)
            except HostError as error:
                others.append(str(error))
                continue
            now = host.access(path)
            if now is None:
                continue
            if not right(now.mode):
                others.append(f"{given} is no {self.kind}")
                continue
            uid = now.uid if now.uid in uids else uids[0]
            gid = now.gid if now.gid in gids else gids[0]
            mode = now.bits & ~(mask & ~self.mode)
            if (mode, uid, gid) != (now.bits, now.uid, now.gid):
                mendable.append((path, now, mode, uid, gid))
        return mendable, others


def _fine(host: Host, paths: List[str]) -> str:
    now = host.access(paths[0]) if len(paths) == 1 else None
    return who(now) if now else f"{len(paths)} files"
