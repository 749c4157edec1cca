# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A key in a configuration file."""

from __future__ import annotations

from dataclasses import replace
from typing import List, Optional, Tuple

from ..host import Host, HostError
from ..looks import comes, config, expand_all, ours_to_mend
from ..model import FILES, ParameterError, Params, Reading, absent, bad, good, manual
from ..rules import Rule
from ..texts import STYLES, Key, set_value, shown, unset, value_of

# What brings a file that this run may install first
BRINGS = {
    "/etc/security/pwquality.conf": ("libpam-pwquality", "libpwquality"),
    "/etc/audit/auditd.conf": ("auditd", "audit"),
    "/etc/rsyslog.conf": ("rsyslog",),
    "/etc/chrony/chrony.conf": ("chrony",),
    "/etc/chrony.conf": ("chrony",),
}


class Setting:
    """One key, as the program reads it: all files that it reads, in its order.

    C(reads) are the other files, read after C(path); where it names C(path) itself, it is the whole order.
    C(drop_in) is a file of ours that is written instead of C(path). C(first_wins): the program takes the first line,
    not the last. C(flag): a key that stands alone, without a value. C(or_keys): where one of these is set, it is as
    good (chrony's server and pool).
    """

    name = "setting"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.path = params.path("path")
        style = params.text("style", "equals_spaced", tuple(STYLES))
        self.key = Key(params.text("key"), style, params.maybe("section") or "", params.flag("ignore_case"))
        self.flag = params.flag("flag")
        self.rule = _flag(params) if self.flag else Rule.of(params)
        self.drop_in = params.path("drop_in") if "drop_in" in params.given else None
        params.maybe("drop_in")
        self.reads = params.paths("reads") if "reads" in params.given else []
        params.texts("reads", [])
        self.first = params.flag("first_wins")
        self.package = params.maybe("needs_package")
        self.others = [replace(self.key, name=name) for name in params.texts("or_keys", [])]
        self.create = params.flag("create")
        self.reload = params.maybe("reload")
        params.done()
        self.wanted = f"{self.key.name}: {'set' if self.flag and self.rule.op == 'eq' else self.rule.text}"

    def current(self, host: Host) -> Reading:
        if self.package and self.package not in host.packages():
            return absent(f"{self.package} is not installed")
        if not self._there(host) and not comes(host, *BRINGS.get(self.path, ())):
            return absent(f"there is no {self.path}")
        path, value = self._effective(host)
        was = "not set" if value is None else shown(f"{value or 'set'} ({path})")
        if self.rule.met(value):
            return good(was)
        for key in self.others:
            path, value = self._effective(host, key)
            if value is not None:
                return good(shown(f"{key.name} {value} ({path})"))
        later = self._stronger(host)
        if later:
            return manual(was, f"{later} overrides what would be set, and is not the administrator's to edit")
        return bad(was)

    def apply(self, host: Host) -> None:
        if not self._there(host) and not host.dry:
            raise HostError(f"there is no {self.path}: what brings it did not come")
        if self.rule.op == "absent":
            for path in self._order(host):
                text = config(host, path)
                if text is not None and (new := unset(text, self.key)) != text:
                    self._write(host, path, new)
        else:
            target = self.drop_in or self.path
            self._write(
                host, target, set_value(host.text(target) or "", self.key, None if self.flag else self.rule.target)
            )
            for path in self._winners(host, target):
                text = config(host, path) or ""
                if (new := unset(text, self.key, self.rule.met)) != text:
                    self._write(host, path, new)
        if self.reload:
            host.reload(self.reload)

    def _there(self, host: Host) -> bool:
        return bool(self.package) or self.create or host.access(self.path) is not None

    @staticmethod
    def _write(host: Host, path: str, text: str) -> None:
        if host.access(path) is not None and not ours_to_mend(host, path):
            raise HostError(f"{path} is not the administrator's to edit: it lies outside of /etc, or is a link")
        host.write(path, text)

    def _order(self, host: Host) -> List[str]:
        """The files that are read, in order; the first is the weakest."""
        reads = expand_all(host, self.reads)
        order = reads if self.path in self.reads else [self.path, *(path for path in reads if path != self.path)]
        if self.drop_in and self.drop_in not in order:
            order.append(self.drop_in)
        return order[::-1] if self.first else order

    def _effective(self, host: Host, key: Optional[Key] = None) -> Tuple[str, Optional[str]]:
        path, value = self.path, None
        for one in self._order(host):
            text = config(host, one)
            found = None if text is None else value_of(text, key or self.key, first=self.first)
            if found is not None:
                path, value = one, found
        return path, value

    def _winners(self, host: Host, target: str) -> List[str]:
        """Files that are stronger than the one we write."""
        order = self._order(host)
        return order[order.index(target) + 1 :] if target in order else []

    def _stronger(self, host: Host) -> str:
        """A file that would still win, and that is not ours to mend."""
        files = self._order(host) if self.rule.op == "absent" else self._winners(host, self.drop_in or self.path)
        for path in files:
            value = value_of(config(host, path) or "", self.key, first=self.first)
            if value is not None and not self.rule.met(value) and not ours_to_mend(host, path):
                return path
        return ""


def _flag(params: Params) -> Rule:
    if params.text("op", "eq", ("eq", "absent")) == "absent":
        return Rule("absent", ())
    if "value" in params.given:
        raise ParameterError("value: a flag has none")
    return Rule("eq", ("",), target="")
