# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Bringing a host to what is wanted: files, folders and units, with the truth of what was changed, or would be."""

from __future__ import annotations

import os
import shutil
import stat
from typing import Dict, List, Optional, Sequence, Tuple

from .._baseline.files import Found, HostError, look, make_folder, opened, replace, take_away
from .._host_info.context import PROGRAM_FOLDERS, clean, run_command

_SECRET = "(secret)\n"  # noqa: S105 - stands in a diff for what is not shown
_PROGRAM_LIMIT = 4 << 20


class Place:
    """Collects changes; in check mode it makes none. Methods raise HostError, OSError and CommandError."""

    def __init__(self, check: bool) -> None:
        self.check = check
        self.diffs: List[Dict[str, str]] = []
        self.touched: List[str] = []  # paths and units that were changed, or would be

    @property
    def changed(self) -> bool:
        return bool(self.touched)

    def folder(self, path: str, mode: int, uid: int = 0, gid: int = 0) -> None:
        """A directory with its owner and mode; those above it, where they are missing, are root's and open to read."""
        if not os.path.lexists(path):
            self._tell(path, "absent\n", f"directory {mode:04o}\n")
            if self.check:
                return
            make_folder(path)
        info = os.lstat(path)
        if not stat.S_ISDIR(info.st_mode):
            raise HostError(f"{path} is no directory")
        self._owned(path, info, mode, uid, gid)

    def _owned(self, path: str, info: os.stat_result, mode: int, uid: int, gid: int) -> None:
        was = (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
        if was == (mode, uid, gid):
            return
        if path not in self.touched:
            self._tell(path, f"{was[0]:04o} {was[1]}:{was[2]}\n", f"{mode:04o} {uid}:{gid}\n")
        if not self.check:
            with opened(path) as handle:
                os.chown(f"/proc/self/fd/{handle}", uid, gid)
                os.chmod(f"/proc/self/fd/{handle}", mode)

    def file(
        self, path: str, content: bytes, mode: int = 0o644, uid: int = 0, gid: int = 0, *, secret: bool = False
    ) -> bool:
        """A regular file, whole; whether it was changed, or would be."""
        found = look(path, limit=_PROGRAM_LIMIT)
        wanted = Found(content, mode, uid, gid, 0)
        if found and (found.content, found.mode, found.uid, found.gid) == (content, mode, uid, gid):
            return False
        shown = [_SECRET if secret else _text(one) for one in (found.content if found else b"", content)]
        self._tell(path, shown[0] if found else "absent\n", shown[1])
        if not self.check:
            replace(path, wanted)
        return True

    def absent(self, path: str) -> bool:
        """No file; whether one was there."""
        if not os.path.lexists(path):
            return False
        self._tell(path, "present\n", "absent\n")
        if not self.check:
            take_away(path)
        return True

    def units(self, *names: str, restart: Sequence[str] = ()) -> None:
        """Units that are enabled and run; of those whose files or settings were changed, C(restart) start anew."""
        if not self.check and any("/systemd/system/" in path for path in self.touched):
            _systemctl("daemon-reload")
        states = unit_states(names)
        for name in names:
            enabled, active = states.get(name, ("", ""))
            if enabled != "enabled":
                self._tell(name, f"{enabled or 'absent'}\n", "enabled\n")
                self._do("enable", name)
            if active != "active":
                self._tell(name, f"{active or 'inactive'}\n", "active\n")
                self._do("restart", name)
            elif name in restart:
                self._tell(name, "runs with the old settings\n", "runs with the new settings\n")
                self._do("restart", name)

    def no_unit(self, name: str) -> None:
        """A unit of ours that is not wanted any more is off, and gone."""
        path = f"/etc/systemd/system/{name}"
        if os.path.lexists(path):
            if not self.check:
                _systemctl("disable", "--now", name)
            self.absent(path)

    def _do(self, verb: str, name: str) -> None:
        if not self.check:
            _systemctl(verb, name)

    def _tell(self, what: str, before: str, after: str) -> None:
        self.touched.append(what)
        self.diffs.append({"before_header": what, "after_header": what, "before": before, "after": after})


def _text(content: bytes) -> str:
    return clean(content) if b"\0" not in content[:4096] else f"({len(content)} bytes of program)\n"


def _systemctl(*words: str) -> None:
    status, output = run_command(["systemctl", "--no-ask-password", *words], 60.0)
    if status:
        raise HostError(f"systemctl {' '.join(words)}: exit {status} {clean(output).strip()[:200]}".rstrip())


def unit_states(names: Sequence[str]) -> Dict[str, Tuple[str, str]]:
    """Of each unit whether it is enabled and whether it is active, in systemd's words. Raises CommandError."""
    shown = "--property=Id,UnitFileState,ActiveState"
    dummy, output = run_command(["systemctl", "show", "--no-pager", shown, "--", *names], 20.0)
    found: Dict[str, Tuple[str, str]] = {}
    for block in clean(output).split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if values.get("Id"):
            found[values["Id"]] = (values.get("UnitFileState", ""), values.get("ActiveState", ""))
    return found


def command(argv: Sequence[str], seconds: float = 60.0) -> str:
    """What a command prints. Raises HostError where it fails, CommandError where it can't be run."""
    status, output = run_command(list(argv), seconds)
    if status:
        raise HostError(f"{argv[0]}: exit {status} {clean(output).strip()[-200:]}".rstrip())
    return clean(output)


def missing(*programs: str) -> Optional[str]:
    """The first of these programs that is not here."""
    return next((name for name in programs if shutil.which(name, path=":".join(PROGRAM_FOLDERS)) is None), None)
