# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The restore point of a run: what was there before each change, on the disk before the change is made, and the way
back. Files and their modes come back byte by byte; units, kernel settings and packages by their own commands."""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Tuple

from .._host_info.context import CommandError, clean, run_command
from .._host_work.place import Place
from .files import Found, HostError, look, make_folder, opened, replace, take_away

JOURNAL = "journal"
ONE_WAY = ("kernel.kexec_load_disabled", "kernel.unprivileged_bpf_disabled", "kernel.yama.ptrace_scope")
"""What the kernel takes back at its next start alone; the file that says so has come back by then."""
_SECONDS = 60.0

Op = Dict[str, Any]


@dataclass
class Undone:
    """What came back, and what did not."""

    back: List[str] = field(default_factory=list)
    left: List[str] = field(default_factory=list)  # somebody else has changed it since
    failed: List[str] = field(default_factory=list)


class RestorePoint:
    """An append-only journal below the run's directory. Each line is on the disk before what it tells is done."""

    def __init__(self, folder: str, root: str = "/") -> None:
        self.folder = folder
        self.root = root
        self.booting = False
        self._stayed = False  # packages that should have gone
        self.ops: List[Op] = []
        self._files: Dict[str, Op] = {}
        if os.path.exists(self._journal):
            self._load()

    @classmethod
    def of(cls, run: str, job: str, make: bool) -> RestorePoint:
        """The one of a run. Raises WorkError where its directory is not ours alone."""
        return cls(Place.of_this_user().of(run, job, make))

    @property
    def _journal(self) -> str:
        return os.path.join(self.folder, JOURNAL)

    @property
    def exists(self) -> bool:
        return bool(self.ops)

    def _load(self) -> None:
        handle = os.open(self._journal, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(handle, encoding="ascii") as stream:
            for line in stream:
                if not line.endswith("\n"):
                    break  # a power cut came before it was whole, and so before the change
                self._take(json.loads(line))

    def _take(self, op: Op) -> None:
        if op["op"] == "after":
            if op["path"] in self._files:
                self._files[op["path"]]["after"] = op["sha256"]
            return
        self.ops.append(op)
        if op["op"] == "file":
            self._files[op["path"]] = op

    def add(self, op: Op) -> None:
        """Write a line, and have it on the disk. Raises OSError: then nothing may be changed."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(self._journal, flags, 0o600), "a", encoding="ascii") as stream:
            stream.write(json.dumps(op) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._take(op)

    # -- what is saved -------------------------------------------------------------

    def save(self, path: str, risky: bool) -> None:
        """Keep a file, or that there was none, before its first change in this run.

        :raises HostError: it is no regular file, or too large to be kept.
        """
        if path in self._files:
            if risky and not self._files[path]["risky"]:
                self._files[path]["risky"] = True
                self.add({"op": "risky", "path": path})
            return
        found = look(path, self.root)
        self.add({"op": "file", "path": path, "risky": risky, "before": _packed(found)})

    def changed(self, path: str) -> None:
        """Tell how our own work has left a file, so that somebody else's later change can be told from it."""
        found = look(path, self.root)
        self.add({"op": "after", "path": path, "sha256": found.sha256 if found else None})

    def made(self, path: str) -> None:
        """Tell of a file that a package's script has made. Raises HostError, as above."""
        found = look(path, self.root)
        if found is not None:
            self.add({"op": "made", "path": path, "sha256": found.sha256})

    # -- the way back ----------------------------------------------------------------

    def undo(
        self, *, only_risky: bool = False, theirs: bool = False, tell: Optional[Callable[[List[Op]], List[str]]] = None
    ) -> Undone:
        """Bring back what was, the last change first. C(theirs): also what somebody else has changed since.

        Of files all at once and before units are told; what fails is told and does not stop the rest. C(tell) has the
        services read what came back, before packages go; it says what went wrong.
        """
        done = Undone()
        risky = {op["path"] for op in self.ops if op["op"] == "risky"}
        chosen = [op for op in self.ops if not only_risky or op.get("risky") or op.get("path") in risky]
        # Packages last: their scripts change files that are ours to bring back, and take away the programs that undo.
        # A directory of ours goes when what we wrote in it has gone.
        for kinds in (("file", "mode"), ("folder",), ("sysctl", "mount", "unit", "run"), ("packages",), ("made",)):
            if kinds == ("packages",) and tell is not None:
                done.failed += tell(chosen)
            for op in reversed(chosen):
                if op["op"] in kinds:
                    name = _name(op)
                    try:
                        if self._undo(op, theirs):
                            done.back.append(name)
                        else:
                            done.left.append(name)
                            self._stayed |= kinds == ("packages",)
                    except (OSError, HostError, CommandError, ValueError, KeyError) as error:
                        self._stayed |= kinds == ("packages",)
                        done.failed.append(f"{name}: {error}"[:300])
        return done

    def _undo(self, op: Op, theirs: bool) -> bool:
        return _WAYS[op["op"]](self, op, theirs)

    def _file(self, op: Op, theirs: bool) -> bool:
        now = look(op["path"], self.root)
        before = _unpacked(op["before"])
        if now == before:
            return True
        if "after" in op and not theirs and (now.sha256 if now else None) != op["after"]:
            return False
        if before is None:
            take_away(op["path"], self.root)
        else:
            make_folder(os.path.dirname(op["path"]), self.root)
            replace(op["path"], before, self.root, keep_time=True)
        return True

    def _made(self, op: Op, theirs: bool) -> bool:
        now = look(op["path"], self.root)
        if now is None:
            return True
        # Another package may have come since, and be using it.
        owned = run_command(["dpkg-query", "-S", op["path"]], _SECONDS)[0] == 0
        if owned or self._stayed or (not theirs and now.sha256 != op["sha256"]):
            return False
        take_away(op["path"], self.root)
        return True

    def _folder(self, op: Op, theirs: bool) -> bool:
        del theirs
        try:
            os.rmdir(self.root.rstrip("/") + op["path"])
        except FileNotFoundError:
            return True
        except OSError:
            return False  # somebody's files are in it
        return True

    def _mode(self, op: Op, theirs: bool) -> bool:
        with opened(op["path"], self.root) as handle:
            info = os.fstat(handle)
            if not theirs and (info.st_mode & 0o7777, info.st_uid, info.st_gid) != tuple(op["after"]):
                return False
            mode, uid, gid = op["before"]
            os.fchown(handle, uid, gid)
            os.fchmod(handle, mode)
        return True

    def _sysctl(self, op: Op, theirs: bool) -> bool:
        del theirs
        path = f"{self.root.rstrip('/')}/proc/sys/{op['key'].replace('.', '/')}"
        with open(path, encoding="ascii") as stream:
            if stream.read().split() == op["value"].split():
                return True  # the kernel did not take ours
        try:
            with open(path, "w", encoding="ascii") as stream:
                stream.write(op["value"])
        except OSError:
            if op["key"] in ONE_WAY:
                return False
            raise
        return True

    def _mount(self, op: Op, theirs: bool) -> bool:
        del theirs
        return _command(["mount", "-o", f"remount,{op['options']}", op["path"]])

    def _unit(self, op: Op, theirs: bool) -> bool:
        del theirs
        _command(["systemctl", "daemon-reload"])
        name, enabled = op["unit"], op["enabled"]
        if enabled in ("masked", "masked-runtime"):
            _command(["systemctl", "mask", name])
        else:
            _command(["systemctl", "unmask", name])
            if enabled in ("enabled", "disabled"):
                _command(["systemctl", "enable" if enabled == "enabled" else "disable", name])
        # At the boot we stand before sshd: to wait for its start would be to wait for our own end.
        wait = ["--no-block"] if self.booting else []
        return _command(["systemctl", *wait, "start" if op["active"] else "stop", name])

    def _run(self, op: Op, theirs: bool) -> bool:
        del theirs
        return _command(op["argv"])

    def _packages(self, op: Op, theirs: bool) -> bool:
        del theirs
        good = True
        if op["installed"]:
            # Of all that came: what one transaction brought may take along what another did.
            units = _units_of([name for one in self.ops if one["op"] == "packages" for name in one["installed"]])
            good = _command(["apt-get", "-y", "-q", "purge", *op["installed"]], 600.0) and good
            if units:  # unattended-upgrades, for one, goes and leaves its service running
                run_command(["systemctl", "stop", "--", *units], _SECONDS)
                run_command(["systemctl", "reset-failed", "--", *units], _SECONDS)
        if op["removed"]:
            good = _command(["apt-get", "-y", "-q", "--allow-downgrades", "install", *op["removed"]], 600.0) and good
        return good


_WAYS: Dict[str, Callable[[RestorePoint, Op, bool], bool]] = {
    "file": RestorePoint._file,
    "folder": RestorePoint._folder,
    "made": RestorePoint._made,
    "mode": RestorePoint._mode,
    "sysctl": RestorePoint._sysctl,
    "mount": RestorePoint._mount,
    "unit": RestorePoint._unit,
    "run": RestorePoint._run,
    "packages": RestorePoint._packages,
}


def _name(op: Op) -> str:
    for name in ("path", "key", "unit"):
        if name in op:
            return str(op[name])
    return " ".join(op.get("argv") or [*op.get("installed", []), *op.get("removed", [])])


def _command(argv: List[str], seconds: float = _SECONDS) -> bool:
    status, dummy = run_command(argv, seconds)
    if status != 0:
        raise HostError(f"{' '.join(argv[:4])}: exit {status}")
    return True


def _units_of(packages: List[str]) -> List[str]:
    """What systemd runs of these packages."""
    dummy, output = run_command(["dpkg-query", "-L", *packages], _SECONDS)
    return sorted(set(re.findall(r"/systemd/system/([^/@\s]+\.(?:service|socket|timer|path))$", clean(output), re.M)))


def _packed(found: Optional[Found]) -> Optional[Dict[str, Any]]:
    if found is None:
        return None
    return {
        "content": base64.b64encode(found.content).decode("ascii"),
        "meta": [found.mode, found.uid, found.gid, found.mtime_ns],
        "attributes": [[name, base64.b64encode(value).decode("ascii")] for name, value in found.attributes],
    }


def _unpacked(packed: Optional[Dict[str, Any]]) -> Optional[Found]:
    if packed is None:
        return None
    attributes: List[Tuple[str, bytes]] = [(name, base64.b64decode(value)) for name, value in packed["attributes"]]
    return Found(base64.b64decode(packed["content"]), *packed["meta"], attributes=tuple(attributes))
