# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A kernel module that must not be loaded."""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Set

from ..host import CommandError, Host, HostError
from ..looks import config, merged, ours_to_mend, parsed, pretend, pretended, refuse, refused
from ..model import KERNEL, ParameterError, Params, Reading, bad, good, stuck
from ..texts import append, comment_out, joined

OURS = "/etc/modprobe.d/60-civicops.conf"
FOLDERS = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")
NOTHING = ("/bin/false", "/bin/true", "/usr/bin/false", "/usr/bin/true", "/sbin/nologin")
_LIST_LIMIT = 16 << 20  # bytes of modules.dep
_KERNELS = 4  # whose lists are read
_LOAD_MODULES = 16  # CAP_SYS_MODULE in capabilities(7)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


class _Said(NamedTuple):
    """What modprobe's configuration says."""

    install: Dict[str, str]  # the first line for a module counts (kmod's lookup takes the first match)
    blacklist: Set[str]


class _Kernels(NamedTuple):
    """Modules of the kernels that are installed; None: no kernel's list is there, as in a container."""

    loadable: Optional[Set[str]]
    built_in: Set[str]


def plain(name: str) -> str:
    """To the kernel a dash and an underscore are the same."""
    return name.replace("-", "_")


def said(text: str) -> _Said:
    """modprobe.d(5)."""
    found = _Said({}, set())
    for line in joined(text):
        words = line.split()
        if len(words) >= 3 and words[0] == "install":
            found.install.setdefault(plain(words[1]), words[2])
        elif len(words) >= 2 and words[0] == "blacklist":
            found.blacklist.add(plain(words[1]))
    return found


class KernelModule:
    """Denied is a module whose C(install) command does nothing and that no hardware's alias loads (C(blacklist))."""

    name = "kernel_module"
    stage = KERNEL

    def __init__(self, params: Params) -> None:
        self.module = params.text("module")
        params.done()
        if not _NAME.fullmatch(self.module):
            raise ParameterError(f"module is no module's name: {self.module!r:.60}")
        self.wanted = f"{self.module} can't be loaded"
        self._plain = plain(self.module)

    def current(self, host: Host) -> Reading:
        kernels: _Kernels = host.ctx.once("kernel modules", lambda dummy: _kernels(host))
        loaded = self._loaded(host)
        if self._plain in kernels.built_in and loaded is None:
            return stuck("built in", f"{self.module} is a part of the kernel itself", todo=False)
        if loaded is None and kernels.loadable is not None and self._plain not in kernels.loadable:
            return good("no kernel here has it")
        todo = not self._denied(host)
        was = ("loaded, " if loaded is not None else "") + ("may be loaded" if todo else "denied")
        if loaded is None:
            return bad(was) if todo else good(was)
        why = refused(host, f"module {self.module}") or _why_not(host, loaded)
        return stuck(was, f"{self.module} stays until the next start: {why}", todo=todo) if why else bad(was)

    def apply(self, host: Host) -> None:
        for path in _files(host):
            text = config(host, path) or ""
            if path != OURS and ours_to_mend(host, path) and (new := comment_out(text, self._loads)) != text:
                host.write(path, new)
        if not self._denied(host):
            text = host.text(OURS) or "# Kept by civicops.town; taken back by its restore point.\n"
            for line in (f"install {self.module} /bin/false", f"blacklist {self.module}"):
                text = append(text, line)
            host.write(OURS, text)
        loaded = self._loaded(host)
        if loaded is None or _why_not(host, loaded):
            return
        pretend(host, f"module {self.module}", "gone")
        host.afterwards(["modprobe", "--", self.module])
        try:
            host.command(["modprobe", "-r", "--", self.module])
        except (HostError, CommandError) as error:
            refuse(host, f"module {self.module}", str(error)[:150])

    def _denied(self, host: Host) -> bool:
        command: Optional[str] = None
        blacklisted = False
        for path in _files(host):
            one: _Said = parsed(host, "modprobe", config(host, path) or "", said)
            command = one.install.get(self._plain) if command is None else command
            blacklisted = blacklisted or self._plain in one.blacklist
        return command in NOTHING and blacklisted

    def _loads(self, line: str) -> bool:
        command = said(line).install.get(self._plain)
        return command is not None and command not in NOTHING

    def _loaded(self, host: Host) -> Optional[int]:
        """How often a loaded module is used; None where it is not loaded."""
        if pretended(host, f"module {self.module}"):
            return None
        text = host.ctx.read_or("/proc/modules", "") or ""
        for line in text.split("\n"):
            words = line.split()
            if len(words) >= 3 and words[0] == self._plain:
                return int(words[2]) if words[2].isdigit() else 1
        return None


def _files(host: Host) -> List[str]:
    return merged(host, FOLDERS)


def _why_not(host: Host, uses: int) -> str:
    """Why a loaded module can't be unloaded, or nothing."""
    if uses:
        return "it is in use"
    match = re.search(r"^CapEff:\s*([0-9a-f]+)", host.ctx.read_or("/proc/self/status", "") or "", re.M)
    if match and not int(match.group(1), 16) >> _LOAD_MODULES & 1:
        return "this host can't unload modules (a container?)"
    return ""


def _kernels(host: Host) -> _Kernels:
    loadable: Optional[Set[str]] = None
    built_in: Set[str] = set()
    for release in host.names("/lib/modules")[-_KERNELS:]:
        text = host.ctx.read_or(f"/lib/modules/{release}/modules.dep", None, _LIST_LIMIT)
        if text is not None:
            found = {plain(name) for name in re.findall(r"([^/\s:]+)\.ko(?:\.\w+)?:", text)}
            loadable = found if loadable is None else loadable | found
        text = host.ctx.read_or(f"/lib/modules/{release}/modules.builtin", "", _LIST_LIMIT) or ""
        built_in |= {plain(name) for name in re.findall(r"([^/\s:]+)\.ko", text)}
    return _Kernels(loadable, built_in)
