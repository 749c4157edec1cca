# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Mounts with their options, and the room left on those that are local.

A mount of a network file system whose server is gone makes every question about it hang, so nothing at or below one
is ever touched.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any, Dict, List, NamedTuple, Optional

from .context import Context

MOUNTS_LIMIT = 4 << 20  # bytes of mountinfo
# File systems whose answer comes from this machine's own disks or memory.
LOCAL = {
    "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "iso9660", "jfs", "msdos", "nilfs2", "ntfs",
    "ntfs3", "overlay", "reiserfs", "squashfs", "tmpfs", "ubifs", "udf", "ufs", "vfat", "xfs", "zfs",
}  # fmt: skip
NO_ROOM = {"tmpfs", "squashfs", "iso9660", "udf", "erofs"}  # full by nature, or gone with the next boot
# The kernel's own, where neither room nor options say anything of the host's upkeep.
KERNEL = {
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "efivarfs", "fusectl",
    "hugetlbfs", "mqueue", "nsfs", "pstore", "ramfs", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tracefs",
}  # fmt: skip
# Autofs is not among them: to look below its mount point is to mount.
HARMLESS = (LOCAL | KERNEL | {"proc", "devtmpfs"}) - {"autofs"}
# The kernel's own file systems that may carry a container engine's masks: one line per path, of no use here.
MASKS = ("/proc/", "/sys/")
# Secrets, and a container engine's own paths, which are long and of no use here.
HIDDEN_OPTION = re.compile(r"^(pass|password|credentials|cred|key|secret|lowerdir|upperdir|workdir)=", re.IGNORECASE)
ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    device_number: str
    point: str
    options: str
    kind: str
    source: str


def unescape(text: str) -> str:
    r"""The kernel writes blanks in paths as \040."""
    return ESCAPE.sub(lambda match: chr(int(match.group(1), 8) & 0x7F), text) if "\\" in text else text


def without_credentials(text: str) -> str:
    """A URL (or a device that is one) without user:password@."""
    return re.sub(r"(://)[^/\s]*@", r"\1", text) if "@" in text else text


def public_options(text: str) -> str:
    return ",".join(option for option in text.split(",") if not HIDDEN_OPTION.match(option))


def parse_mountinfo(text: str) -> List[Mount]:
    """Lines of /proc/self/mountinfo; per-mount and file-system options merged, rw/ro of either kept."""
    mounts = []
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if not dash or len(left) < 6 or len(right) < 2:
            continue
        options = left[5].split(",")
        more = right[2].split(",") if len(right) > 2 else []
        merged = options + [option for option in more if option not in options and option != "rw"]
        mounts.append(
            Mount(
                left[2],
                unescape(left[4]),
                public_options(",".join(merged)),
                right[0],
                without_credentials(unescape(right[1])),
            )
        )
    return mounts


def mounts(ctx: Context) -> List[Mount]:
    return parse_mountinfo(ctx.read_or("/proc/self/mountinfo", "", MOUNTS_LIMIT) or "")


def remote_mount(ctx: Context, path: str) -> Optional[Mount]:
    """The mount that would make a question about this path depend on another machine, or None."""
    found: List[Mount] = ctx.once("mounts", mounts)
    for mount in found:
        below = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if below and mount.kind not in HARMLESS:
            return mount
    return None


def room(ctx: Context, mount: Mount) -> Optional[Dict[str, Any]]:
    """Size and free room; None for a single file that is mounted, as container engines do."""
    point = ctx.path(mount.point)
    try:
        if not stat.S_ISDIR(os.stat(point).st_mode):
            return None
        answer = os.statvfs(point)
    except OSError as error:
        ctx.unread_error(f"filesystems.{mount.point}", error)
        return None
    return {
        "mount": mount.point,
        "device": mount.source,
        "type": mount.kind,
        "bytes": answer.f_blocks * answer.f_frsize,
        "free_bytes": answer.f_bavail * answer.f_frsize,  # for ordinary users: what is reserved for root is not free
        "inodes": answer.f_files or None,  # btrfs and vfat count none
        "free_inodes": answer.f_favail if answer.f_files else None,
        "read_only": "ro" in mount.options.split(","),
    }


def collect(ctx: Context) -> Dict[str, Any]:
    found: List[Mount] = ctx.once("mounts", mounts)
    if not found:
        ctx.unread("filesystems", "/proc/self/mountinfo could not be read")
        return {"filesystems": None, "mounts": None}
    per_device: Dict[str, Mount] = {}
    for mount in found:
        if mount.kind in KERNEL or mount.kind in NO_ROOM or mount.kind in ("proc", "devtmpfs"):
            continue
        if mount.kind == "overlay" and mount.point != "/":
            continue  # a container's layers: their room is that of a file system which is listed
        if mount.kind not in LOCAL or remote_mount(ctx, mount.point):
            ctx.unread(
                f"filesystems.{mount.point}", f"{mount.kind}: not asked, as a dead server would hang the checkup"
            )
            continue
        shortest = per_device.get(mount.device_number)
        if shortest is None or len(mount.point) < len(shortest.point):
            per_device[mount.device_number] = mount
    rows = [
        [mount.point, mount.source, mount.kind, mount.options]
        for mount in found
        if mount.kind not in KERNEL and not mount.point.startswith(MASKS)
    ]
    asked = (room(ctx, mount) for mount in per_device.values())
    return {
        "filesystems": [answer for answer in asked if answer],
        "mounts": {"columns": ["mount", "device", "type", "options"], "rows": rows},
    }
