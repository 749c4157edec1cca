# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What several types of controls do on a host: read configuration that may be a link, find files by patterns, resolve
root's links, and say what they found where a part of it is people's to settle."""

from __future__ import annotations

import errno
import os
import stat
from fnmatch import fnmatchcase
from typing import Any, Callable, Dict, List, Optional, Sequence

from .files import READ_LIMIT
from .host import Access, Host, HostError
from .model import Reading, bad, good, manual, stuck
from .texts import listed

PATHS = 500  # that one pattern may name
_LINKS = 8
_LOCAL = "/etc/"  # what belongs to the administrator, and so may be mended; the rest is the packages'


def config(host: Host, path: str) -> Optional[str]:
    """A configuration file's text, or None where there is none; one that is masked by /dev/null is empty.

    :raises HostError: it is longer than any configuration is, or no file.
    """
    now = host.access(path)
    if now is None:
        return None
    if stat.S_ISLNK(now.mode) and host.ctx.link(path) == "/dev/null":
        return ""
    try:
        text = host.reading(path)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise HostError(f"{path} is no regular file") from None
        raise
    long = text is not None and len(text) >= READ_LIMIT // 4
    if text is not None and long and len(text.encode("utf-8", "surrogateescape")) >= READ_LIMIT:
        raise HostError(f"{path} is longer than {READ_LIMIT} bytes")
    return text


def parsed(host: Host, what: str, text: str, parse: Callable[[str], Any]) -> Any:
    """What a parser makes of a text, once for each text."""
    return host.ctx.once(f"{what} {hash(text)} {len(text)}", lambda dummy: parse(text))


def expand(host: Host, pattern: str) -> List[str]:
    """The paths that a pattern names and that are there, sorted, as a shell does. Raises HostError: too many."""
    found = ["/"]
    for part in pattern.strip("/").split("/"):
        if not any(one in part for one in "*?["):
            found = [os.path.join(folder, part) for folder in found]
            continue
        found = [
            os.path.join(folder, name)
            for folder in found
            for name in host.names(folder)
            if fnmatchcase(name, part) and (part[0] == "." or name[0] != ".")
        ]
        if len(found) > PATHS:
            raise HostError(f"{pattern} names more than {PATHS} files")
    return [path for path in found if host.access(path) is not None]


def expand_all(host: Host, patterns: Sequence[str]) -> List[str]:
    """The same of several patterns, in their order, each path once."""
    return list(dict.fromkeys(path for pattern in patterns for path in expand(host, pattern)))


def resolved(host: Host, path: str) -> str:
    """Where a path's last step leads: links are followed only where they are root's.

    :raises HostError: somebody else's link, or a loop.
    """
    for dummy in range(_LINKS):
        now = host.access(path)
        if now is None or not stat.S_ISLNK(now.mode):
            return path
        if now.uid not in (0, os.geteuid()):
            raise HostError(f"{path} is somebody's link: it is not followed")
        target = host.ctx.link(path) or ""
        path = os.path.normpath(os.path.join(os.path.dirname(path), target))
    raise HostError(f"{path} is a loop of links")


def merged(host: Host, folders: Sequence[str], suffix: str = ".conf") -> List[str]:
    """Drop-ins as systemd and its kin read them: by name; of files of one name, that in the first folder alone; what is
    neither a file nor a link is passed over."""
    by_name: Dict[str, str] = {}
    for folder in folders:
        for name in host.names(folder):
            path = os.path.join(folder, name)
            if name.endswith(suffix) and name not in by_name and _is_read(host.access(path)):
                by_name[name] = path
    return [by_name[name] for name in sorted(by_name)]


def _is_read(now: Optional[Access]) -> bool:
    return now is not None and (stat.S_ISREG(now.mode) or stat.S_ISLNK(now.mode))


def ours_to_mend(host: Host, path: str) -> bool:
    """Whether a file is the administrator's and itself there, so that a line of it may be changed."""
    now = host.access(path)
    return path.startswith(_LOCAL) and now is not None and stat.S_ISREG(now.mode)


def comes(host: Host, *packages: str) -> bool:
    """Whether this run is going to install one of these packages, so that what is missing now will be there."""
    coming = host.coming.intersection(packages)
    return bool(coming) and (host.dry or not coming <= host.packages())


def who(now: Access) -> str:
    return f"{now.bits:04o} {now.uid}:{now.gid}"


# -- what check mode can't write --------------------------------------------------


def pretend(host: Host, what: str, value: str) -> None:
    """In check mode, remember what the kernel or a program would be told."""
    if host.dry:
        host.ctx.shared[f"pretended {what}"] = value


def pretended(host: Host, what: str) -> Optional[str]:
    value = host.ctx.shared.get(f"pretended {what}")
    return None if value is None else str(value)


def refuse(host: Host, what: str, why: str) -> None:
    """Remember that something can't be had on this host, so that it is told and not tried again in this run."""
    host.ctx.shared[f"refused {what}"] = why


def refused(host: Host, what: str) -> Optional[str]:
    value = host.ctx.shared.get(f"refused {what}")
    return None if value is None else str(value)


# -- where a part is people's to settle --------------------------------------------


def verdict(mendable: Sequence[str], others: Sequence[str], why: str, *, mended: bool, fine: str = "") -> Reading:
    """What is said of findings of which some can be mended and the others are for people.

    :param why: what people have to do.
    :param mended: whether this control has mended its part in this run.
    """
    was = listed([*mendable, *others])
    if mendable and others:
        return stuck(was, f"a part is for people to settle: {why}", todo=True)
    if mendable:
        return bad(was)
    if others:
        return stuck(was, f"what is left is for people to settle: {why}", todo=False) if mended else manual(was, why)
    return good(fine)
