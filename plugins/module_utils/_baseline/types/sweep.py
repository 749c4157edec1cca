# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Files anywhere that anybody may write, or that nobody owns: one bounded walk for all these controls."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from ..._host_info.filesystems import LOCAL, mounts
from ..accounts import groups, users
from ..host import Access, Host, HostError
from ..looks import verdict, who
from ..model import FILES, Params, Reading

CPU_SECONDS = 1
WALL_SECONDS = 4
FOUND_LIMIT = 2000  # findings that are looked at
# Containers' layers and images are not this host's files, and the kernel's own are none.
SKIPPED = (
    "/proc", "/sys", "/dev", "/run", "/snap", "/var/lib/containers", "/var/lib/docker", "/var/lib/containerd",
    "/var/lib/lxc", "/var/lib/lxd", "/var/lib/kubelet", "/var/lib/machines", "/var/lib/rancher", "/.snapshots",
)  # fmt: skip
WITHOUT_OWNERS = {"vfat", "msdos", "exfat", "ntfs", "ntfs3", "iso9660", "udf", "squashfs", "erofs"}


class Walk(NamedTuple):
    """What a walk found. C(cut): why it is not the whole, or nothing."""

    paths: List[str]
    cut: str


class Sweep:
    """C(world_writable) files lose that bit, C(sticky) directories get theirs, C(unowned) and C(ungrouped) are for
    people. A walk that was cut short never says that all is well."""

    name = "sweep"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.check = params.text("check", choices=tuple(CHECKS))
        params.done()
        self.wanted = CHECKS[self.check][0]
        self._mended = False

    def current(self, host: Host) -> Reading:
        walk: Walk = host.ctx.once("sweep", lambda dummy: _walk(host))
        hits = self._hits(host, walk)
        lines = [f"{path} {who(now)}" for path, now in hits]
        mends = CHECKS[self.check][2] is not None
        if walk.cut and not lines:
            raise HostError(f"{walk.cut}; nothing was found so far")
        cut = [walk.cut] if walk.cut else []
        if mends:
            return verdict(lines, cut, "the rest was not looked at", mended=self._mended)
        return verdict([], [*lines, *cut], "whom they should belong to, or whether they can go", mended=False)

    def apply(self, host: Host) -> None:
        mend = CHECKS[self.check][2]
        if mend is not None:
            for path, now in self._hits(host, host.ctx.once("sweep", lambda dummy: _walk(host))):
                host.restrict(path, mend(now.bits), None, None, now)
            self._mended = True

    def _hits(self, host: Host, walk: Walk) -> List[Tuple[str, Access]]:
        test = CHECKS[self.check][1]
        found = [(path, now) for path in walk.paths if (now := host.access(path)) is not None]
        return [(path, now) for path, now in found if not stat.S_ISLNK(now.mode) and test(host, now)]


def _world_writable(host: Host, now: Access) -> bool:
    del host
    return stat.S_ISREG(now.mode) and bool(now.mode & stat.S_IWOTH)


def _not_sticky(host: Host, now: Access) -> bool:
    del host
    return stat.S_ISDIR(now.mode) and bool(now.mode & stat.S_IWOTH) and not now.mode & stat.S_ISVTX


def _unowned(host: Host, now: Access) -> bool:
    return not _known(host, "uid", now.uid)


def _ungrouped(host: Host, now: Access) -> bool:
    return not _known(host, "gid", now.gid)


_Test = Callable[[Host, Access], bool]
CHECKS: Dict[str, Tuple[str, _Test, Optional[Callable[[int], int]]]] = {
    "world_writable": ("no file that anybody may write", _world_writable, lambda mode: mode & ~stat.S_IWOTH),
    "sticky": ("the sticky bit where anybody may write", _not_sticky, lambda mode: mode | stat.S_ISVTX),
    "unowned": ("an owner for every file", _unowned, None),
    "ungrouped": ("a group for every file", _ungrouped, None),
}


def _known(host: Host, kind: str, number: int) -> bool:
    """Whether a number is somebody's, here or by the town's directory (asked once a number)."""
    local = {user.uid for user in users(host)} if kind == "uid" else {group.gid for group in groups(host)}
    if number in local:
        return True

    def ask() -> bool:
        if host.ctx.root != "/":
            return False
        try:
            pwd.getpwuid(number) if kind == "uid" else grp.getgrgid(number)
        except (KeyError, OSError):
            return False
        return True

    return bool(host.ctx.once(f"sweep {kind} {number}", lambda dummy: ask()))


def _tops(host: Host) -> List[str]:
    """Where the walk begins: each local file system once, by its shortest mount point."""
    shortest: Dict[str, str] = {}
    for mount in mounts(host.ctx):
        below = any(mount.point == one or mount.point.startswith(one + "/") for one in SKIPPED)
        layer = (mount.kind == "overlay" and mount.point != "/") or "/storage/overlay" in mount.point
        if mount.kind not in LOCAL or mount.kind in WITHOUT_OWNERS or below or layer:
            continue
        known = shortest.get(mount.device_number)
        if known is None or len(mount.point) < len(known):
            shortest[mount.device_number] = mount.point
    return sorted(shortest.values()) or ["/"]


def _walk(host: Host) -> Walk:
    """All that could be a finding of any check. find(1) is some five times as fast as Python here, and is on every
    host of both families."""
    if host.program("find") is None:
        raise HostError("find is not installed")
    tops = [top for top in _tops(host) if os.path.isdir(host.ctx.path(top))]
    skipped: List[str] = []
    for path in (*SKIPPED, "*/containers/storage/overlay*"):
        skipped += ["-o", "-path", host.ctx.path(path) if path[0] == "/" else path]
    owners = [word for uid in sorted({user.uid for user in users(host)}) for word in ("-uid", str(uid), "-o")][:-1]
    owning = [word for gid in sorted({group.gid for group in groups(host)}) for word in ("-gid", str(gid), "-o")][:-1]
    tests = ["-perm", "-0002", "(", "-type", "f", "-o", "-type", "d", "!", "-perm", "-1000", ")"]
    if owners:
        tests += ["-o", "!", "(", *owners, ")"]
    if owning:
        tests += ["-o", "!", "(", *owning, ")"]
    command = ["find", *(host.ctx.path(top) for top in tops), "-xdev", "-type", "d", "(", *skipped[1:], ")", "-prune"]
    command += ["-o", "!", "-type", "l", "(", *tests, ")", "-print0"]
    bounds = ["timeout", str(WALL_SECONDS)] if host.program("timeout") else []
    bounds += ["prlimit", f"--cpu={CPU_SECONDS}", "--"] if host.program("prlimit") else []
    status, output = host.ctx.run_command([*bounds, *command], WALL_SECONDS + 2.0)
    ends = [os.fsdecode(one) for one in output.split(b"\0")[:-1]]
    root = "" if host.ctx.root == "/" else host.ctx.root
    paths = sorted({one[len(root) :] for one in ends if one.startswith("/")})
    cut = f"the walk was cut short after {CPU_SECONDS} s of work" if status in (124, 137, 152, -24, -9) else ""
    if len(paths) > FOUND_LIMIT:
        cut = f"more than {FOUND_LIMIT} findings"
    return Walk(paths[:FOUND_LIMIT], cut)
