"""All that a host's file system holds, so that two looks can be held against each other."""

from __future__ import annotations

import json
import stat
from enum import Enum
from typing import NamedTuple

from tests.hosts.host import Host
from tests.hosts.town import Town

# The kernel's own trees and what is gone at the next start are no files of the host.
LEFT_OUT = ("/proc", "/sys", "/dev", "/run")
_PROGRAM = r"""
import hashlib, json, os, stat, sys
left_out = set(json.loads(sys.argv[1]))
found = {}
def look(path):
    info = os.lstat(path)
    kind = stat.S_IFMT(info.st_mode)
    content = ""
    if kind == stat.S_IFREG:
        digest = hashlib.blake2b(digest_size=16)
        with open(path, "rb") as stream:
            for piece in iter(lambda: stream.read(1 << 20), b""):
                digest.update(piece)
        content = digest.hexdigest()
    elif kind == stat.S_IFLNK:
        content = os.readlink(path)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        content = str(info.st_rdev)
    found[path] = [info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns, content]
for top in sys.argv[2:]:
    waiting = [top]
    while waiting:
        path = waiting.pop()
        try:
            look(path)
            if stat.S_ISDIR(found[path][0]):
                waiting += [one.path for one in os.scandir(path) if one.path not in left_out]
        except FileNotFoundError:
            found.pop(path, None)  # gone meanwhile
print(json.dumps(found))
"""


class File(NamedTuple):
    """What is known of one: its mode with its kind, the nanosecond of its last change, and its content's hash or where
    it leads."""

    mode: int
    owner: int
    group: int
    time: int
    content: str


class Times(Enum):
    """Whose times of the last change count: a directory has another one when a file in it was put back."""

    ALL = "all"
    FILES = "files"
    NONE = "none"


Picture = dict[str, File]


def picture(host: Host, *tops: str) -> Picture:
    """What lies below these directories, or below all."""
    argv = " ".join(tops or ("/",))
    script = f"python3 -I - '{json.dumps(LEFT_OUT)}' {argv}"
    found = json.loads(host.run(script, stdin=_PROGRAM, timeout=300).stdout)
    return {path: File(*one) for path, one in found.items()}


def differing(before: Picture, after: Picture, *, times: Times = Times.ALL) -> dict[str, str]:
    """What differs, by path, and how."""
    found = {}
    for path in sorted({*before, *after}):
        one, other = before.get(path), after.get(path)
        if one is None or other is None:
            found[path] = "new" if one is None else "gone"
            continue
        what = [name for name, old, new in zip(File._fields, one, other, strict=True) if old != new]
        if "time" in what and (times is Times.NONE or (times is Times.FILES and stat.S_ISDIR(one.mode))):
            what.remove("time")
        if what:
            found[path] = " ".join(what)
    return found


def changed_by_a_ping(town: Town, name: str, *tops: str) -> set[str]:
    """What changes when Ansible logs in and does nothing: logs of logins, its own place for what it sends."""
    host = town.host(name)
    before = picture(host, *tops)
    done = town.controller.ansible(name, "-m", "ping")
    assert done.returncode == 0, done.stdout + done.stderr
    return set(differing(before, picture(host, *tops)))
