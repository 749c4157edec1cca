# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A kernel's parameter, now and after the next start."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from typing import Dict, List, Optional

from ..host import Host, HostError
from ..looks import config, merged, ours_to_mend, parsed, pretend, pretended, refuse, refused
from ..model import KERNEL, ParameterError, Params, Reading, absent, bad, good, stuck
from ..rules import Rule
from ..texts import Key, comment_out, set_value, shown

OURS = "/etc/sysctl.d/zz-civicops.conf"
MAIN = "/etc/sysctl.conf"
UFW = "/etc/ufw/sysctl.conf"
# sysctl.d(5): by name, whichever folder a file is in; procps's sysctl --system reads sysctl.conf after them.
FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def key_of(text: str) -> str:
    """net/ipv4/ip_forward is net.ipv4.ip_forward; where a slash comes first, a dot is part of a name (sysctl.d(5))."""
    if "/" in text and "." in text and text.index("/") < text.index("."):
        return text.replace(".", "\0").replace("/", ".").replace("\0", "/")
    return text.replace("/", ".")


def assignments(text: str) -> Dict[str, str]:
    """What a file sets; of several lines the last counts."""
    found = {}
    for line in text.split("\n"):
        line = line.strip()
        if line[:1] in ("", "#", ";"):
            continue
        key, equals, value = line.lstrip("-").partition("=")
        if equals:
            found[key_of(key.strip())] = " ".join(value.split())
    return found


class Sysctl:
    """Persistent by a file of ours that is read last; other files of the administrator's that say something else get
    that line made a comment. At run time by /proc/sys."""

    name = "sysctl"
    stage = KERNEL

    def __init__(self, params: Params) -> None:
        self.key = params.text("key")
        self.rule = Rule.of(params, ops=("eq", "min", "max", "range", "one_of"))
        params.done()
        if not _KEY.fullmatch(self.key) or ".." in self.key:
            raise ParameterError(f"key is no kernel parameter: {self.key!r:.60}")
        self.wanted = f"{self.key} = {self.rule.text}"
        self._proc = f"/proc/sys/{self.key.replace('.', '/')}"

    def current(self, host: Host) -> Reading:
        if not host.ctx.exists(self._proc):
            return absent(f"this kernel has no {self.key}")
        kept = self.persistent(host)
        now = self._now(host)
        todo = not self.rule.met(kept) or bool(self._elsewhere(host))
        was = shown(f"now {now}, after a start {kept or 'not set'}")
        if self.rule.met(now):
            return bad(was) if todo else good(was)
        why = refused(host, f"sysctl {self.key}")
        if why is None and not os.access(host.ctx.path(self._proc), os.W_OK):
            why = "it can't be written on this host (a container?), which has to be set outside"
        return bad(was) if why is None else stuck(was, f"{self.key} is {now}: {why}"[:300], todo=todo)

    def apply(self, host: Host) -> None:
        for path in self._elsewhere(host):
            text = host.text(path) or ""
            host.write(path, comment_out(text, self._disagrees))
        if not self.rule.met(self.persistent(host)):
            text = host.text(OURS) or "# Kept by civicops.town; taken back by its restore point.\n"
            host.write(OURS, set_value(text, Key(self.key, "equals_spaced"), self.rule.target))
        if self.rule.met(self._now(host)) or not os.access(host.ctx.path(self._proc), os.W_OK):
            return
        pretend(host, f"sysctl {self.key}", self.rule.target)
        try:
            host.sysctl(self.key, self.rule.target)
        except OSError as error:
            refuse(host, f"sysctl {self.key}", f"the kernel does not take it now: {error.strerror}")

    def _now(self, host: Host) -> str:
        would = pretended(host, f"sysctl {self.key}")
        if would is not None:
            return would
        try:
            raw = host.ctx.read_bytes(self._proc, 4096, whole=False)
        except PermissionError:
            return "unreadable"
        except OSError as error:
            raise HostError(f"{self._proc}: {error.strerror}") from None
        return " ".join(raw.decode("ascii", "replace").split())

    def persistent(self, host: Host) -> Optional[str]:
        """What would be set at the next start. A key by its name counts before patterns (sysctl.d(5))."""
        named: Optional[str] = None
        pattern: Optional[str] = None
        for path in _read(host):
            for key, value in _assignments(host, path).items():
                if key == self.key:
                    named = value
                elif "*" in key and fnmatchcase(self.key, key):
                    pattern = value
        return pattern if named is None else named

    def _elsewhere(self, host: Host) -> List[str]:
        """The administrator's files with a line that says something else."""
        paths = [f"/etc/sysctl.d/{name}" for name in host.names("/etc/sysctl.d") if name.endswith(".conf")]
        found = []
        last = re.split(r"[./]", self.key)[-1]
        for path in (*paths, MAIN, UFW):
            if path == OURS or not ours_to_mend(host, path):
                continue
            text = config(host, path) or ""
            if last in text and comment_out(text, self._disagrees) != text:
                found.append(path)
        return found

    def _disagrees(self, line: str) -> bool:
        value = assignments(line).get(self.key)
        return value is not None and not self.rule.met(value)


def _assignments(host: Host, path: str) -> Dict[str, str]:
    text = config(host, path)
    return {} if text is None else parsed(host, "sysctl", text, assignments)


def _read(host: Host) -> List[str]:
    """The files in the order in which they are read at a start."""
    paths = [*merged(host, FOLDERS), MAIN]
    ufw = config(host, "/etc/ufw/ufw.conf") or ""
    if re.search(r"^\s*ENABLED\s*=\s*[\"']?yes", ufw, re.M | re.I):
        paths.append(UFW)  # ufw-framework(8): IPT_SYSCTL, when the firewall starts
    return paths
