# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A parameter of the kernel's command line."""

from __future__ import annotations

import re
import shlex
from typing import Dict, List, Optional

from ..host import Host
from ..looks import config
from ..model import KERNEL, ParameterError, Params, Reading, absent, bad, good, stuck
from ..rules import Rule
from ..texts import Key, set_value, shown, value_of

DEFAULTS = "/etc/default/grub"
ENTRIES = "/boot/loader/entries"
ENVIRONMENT = "/boot/grub2/grubenv"
_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_ALSO = (DEFAULTS, ENVIRONMENT, "/etc/kernel/cmdline")  # what grubby may write besides
_VARIABLES = ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT")


class BootParameter:
    """In GRUB's settings, and in what GRUB reads. The running kernel has it only after the next start."""

    name = "boot_parameter"
    stage = KERNEL

    def __init__(self, params: Params) -> None:
        self.key = params.text("key")
        self.flag = "value" not in params.given
        self.rule = Rule("eq", ("",)) if self.flag else Rule.of(params, ops=("eq", "min", "max", "one_of"))
        params.done()
        if not _WORD.fullmatch(self.key) or not re.fullmatch(r"[\w.,:/+-]*", self.rule.target):
            raise ParameterError("key and value are words of a kernel's command line")
        self.word = self.key if self.flag else f"{self.key}={self.rule.target}"
        self.wanted = self.key if self.flag else f"{self.key}={self.rule.text}"

    def current(self, host: Host) -> Reading:
        loader = _loader(host)
        if not loader:
            return absent("there is no boot loader (a container?), or one that is not GRUB")
        kept = self._kept(host, loader)
        now = self._of(host.ctx.read_or("/proc/cmdline", "") or "")
        was = shown(f"now {_said(now)}, after a start {_said(kept)}")
        if not self.rule.met(kept):
            return bad(was) if self.rule.met(now) else stuck(was, "it takes effect at the next start", todo=True)
        if not self.rule.met(now):
            return stuck(was, "it is set, and takes effect at the next start", todo=False)
        return good(was)

    def apply(self, host: Host) -> None:
        loader = _loader(host)
        if loader == "grubby":
            paths = [
                *_entries(host),
                *(path for path in _ALSO if host.exists(path)),
            ]
            host.ctx.shared[f"boot {self.key}"] = self.rule.target
            host.change(paths, ["grubby", "--update-kernel=ALL", f"--args={self.word}"], 120.0)
            return
        text = host.text(DEFAULTS) or ""
        for name in _VARIABLES:
            key = Key(name, "equals")
            words = _words(value_of(text, key) or "")
            kept = [word for word in words if word.partition("=")[0] != self.key]
            kept += [self.word] if name == _VARIABLES[0] else []
            if kept != words:
                text = set_value(text, key, " ".join(kept))
        host.write(DEFAULTS, text)
        host.ctx.shared[f"boot {self.key}"] = self.rule.target
        host.change(["/boot/grub/grub.cfg"], ["update-grub"], 120.0)

    def _of(self, line: str) -> Optional[str]:
        """What a command line sets the parameter to; the last word counts."""
        values: Dict[str, str] = {}
        for word in line.split():
            name, dummy, value = word.partition("=")
            values[name] = value
        return values.get(self.key)

    def _kept(self, host: Host, loader: str) -> Optional[str]:
        """The value in all of the loader's own entries, or None where one has none or another."""
        if host.dry and f"boot {self.key}" in host.ctx.shared:
            return str(host.ctx.shared[f"boot {self.key}"])
        if loader == "grubby":
            environment = re.search(r"^kernelopts=(.*)$", config(host, ENVIRONMENT) or "", re.M)
            options = environment.group(1) if environment else ""
            lines = re.findall(
                r"^options\s+(.*)$", "\n".join(config(host, path) or "" for path in _entries(host)), re.M
            )
            lines = [line.replace("$kernelopts", options) for line in lines]
        else:
            lines = re.findall(r"^\s*linux(?:16|efi)?\s+(.*)$", config(host, "/boot/grub/grub.cfg") or "", re.M)
        values = [self._of(line) for line in lines]
        return values[0] if values and all(self.rule.met(value) for value in values) else None


def _said(value: Optional[str]) -> str:
    return "not set" if value is None else value or "set"


def _loader(host: Host) -> str:
    if host.program("grubby") and _entries(host):
        return "grubby"
    return (
        "grub" if host.program("update-grub") and host.exists("/boot/grub/grub.cfg") and host.exists(DEFAULTS) else ""
    )


def _entries(host: Host) -> List[str]:
    return [f"{ENTRIES}/{name}" for name in host.names(ENTRIES) if name.endswith(".conf")]


def _words(text: str) -> List[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
