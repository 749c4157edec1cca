# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The only door through which a control looks at a host and mends it.

In check mode the same doors lead to a picture of the host: what would be written is kept in memory, read back by the
controls that come after, and told as a diff. So what check mode predicts is what enforcement then does.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from .._host_info.context import CommandError, Context
from . import files
from .files import Found, HostError
from .restore import RestorePoint

DIFF_LIMIT = 20000  # characters of one side of one file
SECRET = (
    "/etc/shadow", "/etc/gshadow", "/etc/security/opasswd", "/boot/grub", "/etc/ssh/ssh_host_", "/var/cache/debconf",
)  # fmt: skip
"""Files that may hold secrets, and so are never shown."""
UCF = "/var/lib/ucf/registry"
"""Each package and a setting of its own that dpkg does not know: ucf(1)."""
_UNIT_PROPERTIES = ("Id", "Names", "LoadState", "ActiveState", "UnitFileState")


@dataclass(frozen=True)
class Unit:
    """A systemd unit: V(not-found), V(masked), ... and V(enabled), V(disabled), ..."""

    load: str
    active: str
    enabled: str

    @property
    def there(self) -> bool:
        return self.load not in ("not-found", "")

    @property
    def on(self) -> bool:
        """Whether it runs or would run after a restart."""
        return self.active in ("active", "activating", "reloading") or self.enabled.startswith(("enabled", "linked"))


class Access(NamedTuple):
    """What a file is (its mode with the kind of file, as in stat(2)) and whose."""

    mode: int
    uid: int
    gid: int
    device: int = -1
    inode: int = -1

    @property
    def bits(self) -> int:
        return stat.S_IMODE(self.mode)

    def same(self, info: os.stat_result) -> bool:
        """Whether this is still the file that was looked at."""
        return self.inode < 0 or (self.device, self.inode) == (info.st_dev, info.st_ino)


class _Failure(NamedTuple):
    """What could not be found out: a command that hangs is not waited for by each control that needs it."""

    error: Exception


class Host:
    """One host in one run. C(point) is None in check mode."""

    def __init__(self, ctx: Context, point: Optional[RestorePoint] = None) -> None:
        self.ctx = ctx
        self.point = point
        self.risky = False  # whether what is changed now could lock us out
        self.installable: Set[str] = set()  # packages that controls of this run would install where they lack
        self.coming: Set[str] = set()  # those that it is going to install
        self.touched: Dict[str, Tuple[Optional[Found], Optional[Found]]] = {}
        self.asked: Set[str] = set()  # the reloads that the control of the moment asked for
        self._mine: Dict[str, Optional[Found]] = {}  # files as they were before it
        self._picture: Dict[str, Optional[Found]] = {}
        self._modes: Dict[str, Access] = {}  # of the picture, where only these would change
        self._known: Dict[str, Any] = {}
        self._units: Dict[str, Unit] = {}

    @property
    def dry(self) -> bool:
        return self.point is None

    # -- looking -----------------------------------------------------------------

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What several controls need is found out once, until something is changed; also that it can't be."""
        if key not in self._known:
            try:
                self._known[key] = make()
            except (HostError, CommandError, OSError) as error:
                self._known[key] = _Failure(error)
        found = self._known[key]
        if isinstance(found, _Failure):
            raise found.error
        return found

    def forget(self) -> None:
        """Something was changed: look anew."""
        self._known.clear()
        self._units.clear()

    def found(self, path: str) -> Optional[Found]:
        """A regular file as it is, or would be; None where there is none. Raises HostError, OSError."""
        if path in self._picture:
            return self._picture[path]
        return self.once(f"file {path}", lambda: files.look(path, self.ctx.root))  # type: ignore[no-any-return]

    def text(self, path: str) -> Optional[str]:
        """A configuration file's text; bytes that are no UTF-8 are kept as surrogates. Raises HostError, OSError."""
        found = self.found(path)
        return None if found is None else found.content.decode("utf-8", "surrogateescape")

    def reading(self, path: str) -> Optional[str]:
        """The same of a file that may be a link, which is only read."""
        if path in self._picture:
            return self.text(path)

        def through() -> Optional[str]:
            try:
                return self.ctx.read_bytes(path, files.READ_LIMIT).decode("utf-8", "surrogateescape")
            except (FileNotFoundError, NotADirectoryError):
                return None

        return self.once(f"text {path}", through)  # type: ignore[no-any-return]

    def names(self, folder: str) -> List[str]:
        """Sorted names in a directory, also of what would be written; none where it is not there."""
        gone = {path for path, found in self._picture.items() if found is None}
        new = {os.path.basename(path) for path in self._picture if os.path.dirname(path) == folder}
        seen = set(self.once(f"names {folder}", lambda: self.ctx.names_or_none(folder))) | new
        return sorted(name for name in seen if os.path.join(folder, name) not in gone)

    def exists(self, path: str) -> bool:
        if path in self._picture:
            return self._picture[path] is not None
        return self.ctx.exists(path)

    def lstat(self, path: str) -> Optional[os.stat_result]:
        """Of what is there itself, not of what a link names; None where nothing is."""
        try:
            return os.lstat(self.ctx.path(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def access(self, path: str) -> Optional[Access]:
        """The mode and owner of what is there itself, as they are or would be; None where nothing is."""
        if path in self._picture:
            found = self._picture[path]
            return None if found is None else Access(stat.S_IFREG | found.mode, found.uid, found.gid)
        info = self.lstat(path)
        if info is None:
            return None
        now = Access(info.st_mode, info.st_uid, info.st_gid, info.st_dev, info.st_ino)
        return self._modes.get(path, now)

    def run(self, argv: List[str], seconds: float = 10.0) -> Tuple[int, str]:
        """Ask by a command that changes nothing; raises CommandError."""
        return self.ctx.run(argv, seconds)

    def ask(self, argv: List[str], seconds: float = 10.0) -> Tuple[int, str]:
        """The same, once for all controls."""
        return self.once(f"run {argv!r}", lambda: self.run(argv, seconds))  # type: ignore[no-any-return]

    def program(self, name: str) -> Optional[str]:
        return self.once(f"program {name}", lambda: self.ctx.program(name))  # type: ignore[no-any-return]

    def packages(self) -> Set[str]:
        """Names of what is installed whole."""
        return self.once("packages", self._packages)  # type: ignore[no-any-return]

    def _packages(self) -> Set[str]:
        if self.ctx.program("dpkg-query"):
            status, output = self.run(["dpkg-query", "-W", "-f", r"${db:Status-Abbrev} ${Package}\n"])
            rows = (line.split() for line in output.splitlines())
            names = {row[1] for row in rows if len(row) == 2 and row[0][1:2] == "i"}
        else:
            status, output = self.run(["rpm", "-qa", "--qf", r"%{NAME}\n"], 30.0)
            names = set(output.split())
        if status != 0:
            raise HostError(f"the list of packages can't be read: exit {status}")
        return names

    def units(self, names: List[str]) -> Dict[str, Unit]:
        """How systemd units stand; all that are not known yet are asked for in one call."""
        asked = [name for name in names if name not in self._units]
        if asked:
            for name in asked:
                self._units[name] = Unit("", "", "")
            if os.path.isdir(self.ctx.path("/run/systemd/system")):
                shown = [f"--property={name}" for name in _UNIT_PROPERTIES]
                dummy, output = self.run(["systemctl", "show", "--no-pager", *shown, "--", *asked], 20.0)
                self._units.update(parse_units(output, asked))
        return {name: self._units[name] for name in names}

    # -- changing ------------------------------------------------------------------

    def write(self, path: str, text: str, mode: Optional[int] = None) -> None:
        """Put a file in place, whole; owner, mode and labels of an old one stay, a new one is root's and 0644.

        :raises HostError: a link stands there, or the way to it is not root's alone.
        :raises OSError: it can't be written; what was there stays.
        """
        before = self.found(path)
        content = text.encode("utf-8", "surrogateescape")
        after = (
            Found(content, 0o644, os.geteuid(), os.getegid(), 0) if before is None else replace(before, content=content)
        )
        if mode is not None:
            after = replace(after, mode=mode)
        self._change(path, before, after)

    def remove(self, path: str) -> None:
        """Take a file away; the restore point keeps it. Raises as C(write) does."""
        before = self.found(path)
        if before is not None:
            self._change(path, before, None)

    def _change(self, path: str, before: Optional[Found], after: Optional[Found]) -> None:
        if before is not None and after is not None and (before.content, before.mode) == (after.content, after.mode):
            return
        if self.point is None:
            self._picture[path] = after
        else:
            for folder in reversed(self._missing(os.path.dirname(path))):
                self.journal({"op": "folder", "path": folder})
            self.point.save(path, self.risky)
            self._put(path, after)
            self.forget()
        self._mine.setdefault(path, before)
        self.touched[path] = (self.touched.get(path, (before, None))[0], after)

    def _put(self, path: str, found: Optional[Found], *, keep_time: bool = False) -> None:
        root = self.ctx.root
        if found is None:
            files.take_away(path, root)
        else:
            files.make_folder(os.path.dirname(path), root)
            files.replace(path, found, root, keep_time=keep_time)
        if self.point is not None:
            self.point.changed(path)

    def _missing(self, folder: str) -> List[str]:
        missing = []
        while not self.ctx.exists(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        return missing

    def begin(self) -> None:
        """Another control's turn."""
        self.asked = set()
        self._mine = {}

    def mine(self) -> Dict[str, Optional[Found]]:
        """The files that the control of the moment has changed, as they were before."""
        return dict(self._mine)

    def put(self, before: Dict[str, Optional[Found]]) -> None:
        """Put files back as they were: a control has failed. Raises as C(write) does."""
        for path, found in before.items():
            if self.point is None:
                self._picture[path] = found
            else:
                self._put(path, found, keep_time=True)
            self.touched[path] = (self.touched[path][0], found)
        self.forget()

    def restrict(
        self, path: str, mode: int, uid: Optional[int] = None, gid: Optional[int] = None, seen: Optional[Access] = None
    ) -> None:
        """Set the mode and owner of a file or directory itself.

        :param seen: what C(access) said of it: where something else stands there by now, nothing is changed.
        :raises HostError: it was exchanged, or somebody's link is on the way.
        """
        if self.point is None:
            self._would_restrict(path, mode, uid, gid)
            return
        with files.opened(path, self.ctx.root) as handle:
            info = os.fstat(handle)
            if seen is not None and not seen.same(info):
                raise HostError(f"{path} was exchanged while it was looked at")
            before = (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
            after = (mode, info.st_uid if uid is None else uid, info.st_gid if gid is None else gid)
            if before == after:
                return
            self.journal({"op": "mode", "path": path, "before": before, "after": after})
            os.fchown(handle, after[1], after[2])
            os.fchmod(handle, mode)
        self.forget()

    def _would_restrict(self, path: str, mode: int, uid: Optional[int], gid: Optional[int]) -> None:
        now = self.access(path)
        if now is None:
            return
        uid, gid = now.uid if uid is None else uid, now.gid if gid is None else gid
        found = self._picture.get(path)
        if found is not None:
            self._picture[path] = replace(found, mode=mode, uid=uid, gid=gid)
        else:
            self._modes[path] = Access(stat.S_IFMT(now.mode) | mode, uid, gid, now.device, now.inode)

    def sysctl(self, key: str, value: str) -> None:
        """Set a kernel's parameter now. Raises OSError."""
        if self.point is None:
            return
        path = self.ctx.path(f"/proc/sys/{key.replace('.', '/')}")
        with open(path, encoding="ascii") as stream:
            before = stream.read().strip()
        self.journal({"op": "sysctl", "key": key, "value": before})
        with open(path, "w", encoding="ascii") as stream:
            stream.write(value)
        self.forget()

    def unit(self, name: str, verb: str) -> None:
        """systemctl VERB NAME; verbs: enable, disable, mask, unmask, start, stop. Raises HostError, CommandError."""
        if self.point is None:
            return
        now = self.units([name])[name]
        self.journal({"op": "unit", "unit": name, "enabled": now.enabled, "active": now.active == "active"})
        self.command(["systemctl", "--no-ask-password", verb, name], 60.0)

    def remount(self, path: str, now: str, options: str) -> None:
        """Mount anew with other options; C(now) are those of the moment. Raises HostError, CommandError."""
        if self.point is None:
            return
        self.journal({"op": "mount", "path": path, "options": now})
        self.command(["mount", "-o", f"remount,{options}", path])

    def change_packages(self, install: List[str], remove: List[str]) -> None:
        """Install and remove packages; what comes with them is in the journal too. Raises HostError, CommandError."""
        if self.point is None:
            return
        before = self.packages()
        if self.program("apt-get"):
            words = [*install, *(f"{name}-" for name in remove)]
            command = ["apt-get", "-y", "-q", "-oDPkg::Lock::Timeout=120", "-oDpkg::Options::=--force-confold"]
            command += ["-oDpkg::Options::=--force-confdef", "-oAPT::Install-Recommends=false", "install", *words]
        else:
            command = ["dnf", "-y", "-q", "install", *install] if install else ["dnf", "-y", "-q", "remove", *remove]
        # What was planned first: a power cut in the middle must leave a word of it.
        self.journal(
            {"op": "packages", "installed": sorted(set(install) - before), "removed": sorted(set(remove) & before)}
        )
        there = self._settings()
        try:
            self.command(command, 900.0)
        finally:
            self.forget()
            after = self.packages()
            more, less = sorted(after - before - set(install)), sorted(before - after - set(remove))
            if more or less:
                self.journal({"op": "packages", "installed": more, "removed": less})
            if after - before:
                self._keep_what_scripts_made(there)

    def _settings(self) -> Set[str]:
        """Every regular file below /etc."""
        found = set()
        for folder, dummy, names in os.walk(f"{self.ctx.root.rstrip('/')}/etc"):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.islink(path):
                    found.add(path[len(self.ctx.root.rstrip("/")) :])
        return found

    def _keep_what_scripts_made(self, there: Set[str]) -> None:
        """Packages' scripts make settings that dpkg knows nothing of, and that stay when a package is purged (exim's
        /etc/mailname): such a file goes with it. Those of ucf(1) go by the package's own script."""
        try:
            ucf = {line.split()[-1] for line in (self.ctx.read_or(UCF, "") or "").splitlines() if line.strip()}
            new = sorted(self._settings() - there - ucf)
            if not new or self.point is None or not self.program("dpkg-query"):
                return
            dummy, output = self.run(["dpkg-query", "-S", *new], 60.0)
            owned = {line.partition(": ")[2] for line in output.splitlines()}
            for path in new:
                if path not in owned:
                    self.point.made(path)
        except (HostError, CommandError, OSError):
            return  # then they stay, as they do when a package is purged by hand

    def change(self, paths: List[str], argv: List[str], seconds: float = 60.0) -> None:
        """Run a command that changes these files (and no others). Raises HostError, CommandError, OSError."""
        if self.point is None:
            return
        before = {path: self.found(path) for path in paths}
        for path in paths:
            self.point.save(path, self.risky)
        try:
            self.command(argv, seconds)
        finally:
            self.forget()
            for path in paths:
                self.point.changed(path)
                after = self.found(path)
                if after != before[path]:
                    self._mine.setdefault(path, before[path])
                    self.touched[path] = (self.touched.get(path, (before[path], None))[0], after)

    def command(self, argv: List[str], seconds: float = 30.0) -> None:
        """Run a command that changes the host's state, which the journal knows. Raises HostError, CommandError."""
        if self.point is None:
            return
        status, output = self.ctx.run(argv, seconds)
        self.forget()
        if status != 0:
            last = output.strip().splitlines()[-1:] or [""]
            raise HostError(f"{' '.join(argv[:5])}: exit {status} {last[0]}".strip()[:300])

    def afterwards(self, argv: List[str]) -> None:
        """A command that is to be run when this run is taken back."""
        self.journal({"op": "run", "argv": argv})

    def reload(self, what: str) -> None:
        """Have a service read its settings at the end of the stage; see C(reloads.py)."""
        self.asked.add(what)

    def journal(self, op: Dict[str, Any]) -> None:
        """Tell the restore point of a change before it is made. Raises OSError."""
        if self.point is not None:
            self.point.add({**op, "risky": self.risky})

    # -- telling -------------------------------------------------------------------

    def diffs(self) -> List[Dict[str, str]]:
        """What was or would be written, as Ansible shows it."""
        shown = []
        for path, (before, after) in sorted(self.touched.items()):
            if before != after and not path.startswith(SECRET):
                sides = {"before": _shown(before), "after": _shown(after)}
                shown.append({"before_header": path, "after_header": path, **sides})
        return shown


def _shown(found: Optional[Found]) -> str:
    return "" if found is None else found.content.decode("utf-8", "replace")[:DIFF_LIMIT]


def parse_units(output: str, asked: List[str]) -> Dict[str, Unit]:
    """What C(systemctl show) prints of several units, in the order in which they were asked for."""
    found: Dict[str, Unit] = {}
    for name, block in zip(asked, output.strip("\n").split("\n\n")):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[name] = Unit(values.get("LoadState", ""), values.get("ActiveState", ""), values.get("UnitFileState", ""))
    return found


__all__ = ["Access", "CommandError", "Host", "HostError", "Unit", "parse_units"]
