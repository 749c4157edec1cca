# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""File systems that are mounted below what is backed up, and that restic leaves out as it stays on the one of each path
that it was given.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from typing import Iterable, List, Sequence

from .._host_info.context import Context
from .._host_info.filesystems import KERNEL, LOCAL, NO_ROOM, Mount, mounts
from .config import Config

SHOWN = 50
"""So many are told."""
# Nothing is lost with them: the kernel's own, memory, images, a container's layers, views of what lies elsewhere.
_NOTHING = (
    KERNEL | NO_ROOM | {"proc", "devtmpfs", "overlay", "fuse.lxcfs", "fuse.gvfsd-fuse", "fuse.portal", "fuse.snapfuse"}
)


def left_out(config: Config) -> List[str]:
    """Where a file system is mounted that is not saved with the path above it; of several in each other the first."""
    return found_in(mounts(Context()), config) if config.one_file_system else []


def found_in(there: Iterable[Mount], config: Config) -> List[str]:
    """The same of the mounts that are given."""
    found: List[str] = []
    paths = [path.rstrip("/") or "/" for path in config.paths]
    for mount in sorted(there, key=lambda one: one.point):
        point = mount.point
        if mount.kind in _NOTHING or point in paths or any(point == one or below(point, one) for one in found):
            continue
        above = [path for path in paths if below(point, path)]
        if above and not excluded(point, config.excludes) and _another(mount, max(above, key=len)):
            found.append(point)
    return found


def missed(found: Iterable[str], on_purpose: Iterable[str]) -> List[str]:
    """Those that nobody has said are left out on purpose."""
    known = [path.rstrip("/") for path in on_purpose]
    return [point for point in found if not any(point == path or below(point, path) for path in known)]


def below(path: str, folder: str) -> bool:
    """Whether a path lies below a folder, and is not the folder itself."""
    return path != folder and path.startswith(f"{folder.rstrip('/')}/")


def _another(mount: Mount, path: str) -> bool:
    """Whether it is another file system than the path's. One whose server may be gone is not touched: it would hang."""
    if mount.kind not in LOCAL:
        return True
    try:
        info = os.lstat(mount.point)
        return stat.S_ISDIR(info.st_mode) and info.st_dev != os.lstat(path).st_dev  # a file is a container engine's
    except OSError:
        return True


def excluded(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of restic's patterns leaves the path out, or a folder above it."""
    parts = path.strip("/").split("/")
    return any(_matches(parts, pattern.strip()) for pattern in patterns)


def _matches(parts: Sequence[str], pattern: str) -> bool:
    words = pattern.strip("/").split("/")
    starts = [0] if pattern.startswith("/") else range(len(parts))
    return any(_begins(parts[start:], words) for start in starts)


def _begins(parts: Sequence[str], words: Sequence[str]) -> bool:
    """What is below a match is left out too, so that the words may be used up first."""
    if not words:
        return True
    if words[0] == "**":
        return any(_begins(parts[start:], words[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], words[0]) and _begins(parts[1:], words[1:])
