# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A setting of one of systemd's own services."""

from __future__ import annotations

from typing import List, Optional, Tuple

from ..host import Host
from ..looks import comes, config, merged, ours_to_mend
from ..model import FILES, ParameterError, Params, Reading, absent, bad, good, manual
from ..rules import Rule
from ..texts import Key, set_value, shown, unset, value_of

# Component: its section, what reads it anew (nothing where it is read each time), and a program by which it is known.
COMPONENTS = {
    "journald": ("Journal", "journald", "systemd-journald"),
    "coredump": ("Coredump", "", "systemd-coredump"),
    "logind": ("Login", "logind", "systemd-logind"),
    "timesyncd": ("Time", "timesyncd", "systemd-timesyncd"),
    "resolved": ("Resolve", "resolved", "systemd-resolved"),
    "journal-upload": ("Upload", "journal-upload", "systemd-journal-upload"),
    "system": ("Manager", "system", "systemd"),
    "user": ("Manager", "", "systemd"),
}
# What brings a component that this run may install first
BRINGS = {
    "coredump": "systemd-coredump",
    "timesyncd": "systemd-timesyncd",
    "resolved": "systemd-resolved",
    "journal-upload": "systemd-journal-remote",
}
FOLDERS = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd")


class SystemdSetting:
    """The main file, then all drop-ins by name (systemd.conf(5)); an empty value takes back what was set before."""

    name = "systemd_setting"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.component = params.text("component", choices=tuple(COMPONENTS))
        self._section, self._reload, self._program = COMPONENTS[self.component]
        self.key = Key(params.text("key"), "systemd", self._section)
        self.rule = Rule.of(params, booleans=True)
        self.always = params.flag("always")
        params.done()
        if not self.key.name.isalnum():
            raise ParameterError(f"key is no key of systemd's: {self.key.name!r:.60}")
        self.ours = f"/etc/systemd/{self.component}.conf.d/zz-civicops.conf"  # trixie has a syslog.conf
        self.wanted = f"{self.key.name}={self.rule.text}"

    def current(self, host: Host) -> Reading:
        folders = ("/usr/lib/systemd", "/lib/systemd")
        there = self.always or any(host.ctx.exists(f"{folder}/{self._program}") for folder in folders)
        if not there and not comes(host, BRINGS.get(self.component, "")):
            return absent(f"{self._program} is not installed")
        path, value = self._effective(host)
        was = "not set" if value is None else shown(f"{value} ({path})")
        if self.rule.met(value):
            return good(was)
        for later in self._later(host):
            text = config(host, later) or ""
            if not self._fine(value_of(text, self.key)) and not ours_to_mend(host, later):
                return manual(was, f"{later} overrides what would be set, and is not the administrator's to edit")
        return bad(was)

    def apply(self, host: Host) -> None:
        if self.rule.op == "absent":
            changed = [path for path in self._files(host) if ours_to_mend(host, path)]
        else:
            host.write(self.ours, set_value(host.text(self.ours) or "", self.key, self.rule.target))
            changed = self._later(host)
        for path in changed:
            text = config(host, path) or ""
            if (new := unset(text, self.key, self._fine)) != text:
                host.write(path, new)
        if self._reload:
            host.reload(self._reload)

    def _fine(self, value: Optional[str]) -> bool:
        return value is None or (self.rule.op != "absent" and value != "" and self.rule.met(value))

    def _files(self, host: Host) -> List[str]:
        name = f"{self.component}.conf"
        main = [path for folder in FOLDERS if host.access(path := f"{folder}/{name}") is not None][:1]
        return [*main, *merged(host, [f"{folder}/{name}.d" for folder in FOLDERS])]

    def _effective(self, host: Host) -> Tuple[str, Optional[str]]:
        path, value = "", None
        for one in self._files(host):
            found = value_of(config(host, one) or "", self.key)
            if found is not None:
                path, value = one, found or None
        return path, value

    def _later(self, host: Host) -> List[str]:
        """Drop-ins that are read after ours."""
        name = self.ours.rpartition("/")[2]
        return [path for path in self._files(host) if ".d/" in path and path.rpartition("/")[2] > name]
