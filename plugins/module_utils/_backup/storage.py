# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What a backup server itself hangs on: the disk under the repositories, and the directory whose administrators may
log in there."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, FrozenSet, List, Optional, Sequence

from .._host_info.context import Context
from .._host_info.filesystems import LOCAL, Mount, mounts

IN_MEMORY = ("tmpfs", "ramfs")
_NAME = 255
_DEEPEST = 8  # a volume on a mapping on a partition: each has the one below it among its slaves


def storage(folder: str, root: str = "/") -> Optional[Dict[str, Any]]:
    """What a directory lies on, and whether that is none of the disks that the host itself starts from.

    None where that can't be told: a container's C(/) is an overlay, and the disk below it is its host's affair.
    """
    ctx = Context(root=root)
    real = os.path.realpath(folder)
    found = mounts(ctx)
    here, base = _mount_of(real, found), _mount_of("/", found)
    own = None if here is None or base is None else _own(ctx, here, base)
    if here is None or own is None:
        return None
    return {"filesystem": here.kind[:40], "own": own, "size_bytes": _size(ctx, real)}


def _mount_of(path: str, found: Sequence[Mount]) -> Optional[Mount]:
    """The mount that a path lies in; of two on one point the later one covers the other."""
    over = [one for one in found if path == one.point or path.startswith(one.point.rstrip("/") + "/")]
    return max(reversed(over), key=lambda one: len(one.point), default=None)


def _own(ctx: Context, here: Mount, base: Mount) -> Optional[bool]:
    if here.kind in IN_MEMORY or here.device_number == base.device_number or _pool(here) == _pool(base):
        return False
    if here.kind.startswith("fuse") or (here.kind == "zfs") != (base.kind == "zfs"):
        return None  # what is below these the kernel does not say
    if here.kind not in LOCAL:
        return True  # another machine's
    disks, system = _disks(ctx, here), _disks(ctx, base)
    if disks & system:
        return False
    return True if disks and system else None


def _pool(mount: Mount) -> str:
    """What may be mounted more than once under several device numbers: btrfs by its device, zfs by its pool."""
    return mount.source.partition("/")[0] if mount.kind == "zfs" else mount.source


def _disks(ctx: Context, mount: Mount) -> FrozenSet[str]:
    """The whole disks below a file system, by the kernel's names; for zfs the pool stands for them."""
    if mount.kind == "zfs":
        return frozenset([f"zfs {_pool(mount)}"])
    number = mount.device_number
    if number.startswith("0:") and mount.source.startswith("/dev/"):
        try:
            device = os.stat(ctx.path(mount.source)).st_rdev
        except OSError:
            return frozenset()
        number = f"{os.major(device)}:{os.minor(device)}"
    return _below(ctx, os.path.realpath(ctx.path(f"/sys/dev/block/{number}")))


def _below(ctx: Context, place: str, depth: int = 0) -> FrozenSet[str]:
    if depth > _DEEPEST or not os.path.isdir(place):
        return frozenset()
    if os.path.exists(os.path.join(place, "partition")):
        return _below(ctx, os.path.dirname(place), depth + 1)
    try:
        slaves: List[str] = sorted(os.listdir(os.path.join(place, "slaves")))
    except OSError:
        slaves = []
    if not slaves:
        return frozenset([os.path.basename(place)])
    lower = [_below(ctx, os.path.realpath(os.path.join(place, "slaves", name)), depth + 1) for name in slaves]
    return frozenset().union(*lower)


def _size(ctx: Context, path: str) -> Optional[int]:
    try:
        space = os.statvfs(ctx.path(path))
    except OSError:
        return None
    return space.f_blocks * space.f_frsize


def domain(root: str = "/") -> Optional[str]:
    """The directory that the host is in; None where it is in none. Where its name can't be read, the file stands for
    it: a host that has such a file is never told to be in none."""
    ctx = Context(root=root)
    for look in (_sssd, _winbind, _nslcd, _kerberos):
        found = look(ctx)
        if found is not None:
            return "".join(letter if letter.isprintable() else "?" for letter in found)[:_NAME]
    return None


def _sssd(ctx: Context) -> Optional[str]:
    folder = "/etc/sssd/conf.d"
    places = ["/etc/sssd/sssd.conf", *(f"{folder}/{name}" for name in ctx.names_or_none(folder) if name[0] != ".")]
    there = [path for path in places if path.endswith(".conf") and ctx.exists(path)]
    if not there:
        return None
    text = "\n".join(ctx.read_or(path, "") or "" for path in there)
    providers = re.findall(r"^\s*id_provider\s*=\s*(\S+)", text, re.MULTILINE)
    if providers and set(providers) <= {"files", "local"}:
        return None
    names = re.findall(r"^\s*domains\s*=\s*(\S.*)", text, re.MULTILINE)
    names += re.findall(r"^\s*\[domain/([^\]\n]+)\]", text, re.MULTILINE)
    return names[0].strip() if names else there[0]


def _winbind(ctx: Context) -> Optional[str]:
    text = ctx.read_or("/etc/samba/smb.conf", "") or ""
    if not re.search(r"^\s*security\s*=\s*(ads|domain)\s*$", text, re.MULTILINE | re.IGNORECASE):
        return None
    name = re.search(r"^\s*(?:realm|workgroup)\s*=\s*(\S+)", text, re.MULTILINE | re.IGNORECASE)
    return name[1] if name else "/etc/samba/smb.conf"


def _nslcd(ctx: Context) -> Optional[str]:
    path = "/etc/nslcd.conf"
    if not ctx.exists(path):
        return None
    name = re.search(r"^\s*base\s+(\S+)", ctx.read_or(path, "") or "", re.MULTILINE)
    return name[1] if name else path


def _kerberos(ctx: Context) -> Optional[str]:
    if not ctx.exists("/etc/krb5.keytab"):
        return None
    name = re.search(r"^\s*default_realm\s*=\s*(\S+)", ctx.read_or("/etc/krb5.conf", "") or "", re.MULTILINE)
    return name[1] if name else "/etc/krb5.keytab"
