# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A limit of processes."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from ..host import Host
from ..looks import config, ours_to_mend
from ..model import FILES, ParameterError, Params, Reading, bad, good, manual
from ..rules import Rule
from ..texts import comment_out, shown

MAIN = "/etc/security/limits.conf"
FOLDER = "/etc/security/limits.d"
OURS = f"{FOLDER}/60-civicops.conf"


class Limit(NamedTuple):
    """A line of limits.conf(5)."""

    domain: str
    kind: str
    item: str
    value: str


def limit_of(line: str) -> Optional[Limit]:
    words = line.partition("#")[0].split()
    return Limit(*words) if len(words) == 4 else None


class Limits:
    """The main file, then the others by name; of the lines for one domain the last counts (pam_limits(8)), and a dash
    sets both kinds."""

    name = "limits"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.domain = params.text("domain")
        self.kind = params.text("kind", choices=("hard", "soft", "-"))
        self.item = params.text("item")
        self.rule = Rule.of(params, ops=("eq", "min", "max", "one_of"))
        params.done()
        if any(len(word.split()) != 1 or "#" in word for word in (self.domain, self.item, self.rule.target)):
            raise ParameterError("domain, item and value are one word each")
        self.wanted = f"{self.domain} {self.kind} {self.item} {self.rule.text}"

    def current(self, host: Host) -> Reading:
        was, fine = self._effective(host)
        if fine:
            return good(was)
        for path in self._later(host):
            text = config(host, path) or ""
            if not ours_to_mend(host, path) and comment_out(text, self._disagrees) != text:
                return manual(was, f"{path} overrides what would be set, and is not the administrator's to edit")
        return bad(was)

    def apply(self, host: Host) -> None:
        text = comment_out(host.text(OURS) or "", self._mine)
        end = "" if not text or text.endswith("\n") else "\n"
        host.write(OURS, f"{text}{end}{self.domain} {self.kind} {self.item} {self.rule.target}\n")
        for path in self._later(host):
            old = config(host, path) or ""
            if (new := comment_out(old, self._disagrees)) != old:
                host.write(path, new)

    def _effective(self, host: Host) -> Tuple[str, bool]:
        kinds = ("soft", "hard") if self.kind == "-" else (self.kind,)
        values: List[Optional[str]] = [None] * len(kinds)
        for path in self._files(host):
            for line in (config(host, path) or "").split("\n"):
                limit = limit_of(line)
                if limit and (limit.domain, limit.item) == (self.domain, self.item):
                    values = [limit.value if limit.kind in (kind, "-") else old for kind, old in zip(kinds, values)]
        was = shown(", ".join(f"{kind} {value or 'not set'}" for kind, value in zip(kinds, values)))
        return was, all(self.rule.met(value) for value in values)

    def _files(self, host: Host) -> List[str]:
        return [MAIN, *(f"{FOLDER}/{name}" for name in host.names(FOLDER) if name.endswith(".conf"))]

    def _later(self, host: Host) -> List[str]:
        return [path for path in self._files(host)[1:] if path > OURS]

    def _mine(self, line: str) -> bool:
        limit = limit_of(line)
        kinds = (self.kind, "-") if self.kind != "-" else ("hard", "soft", "-")
        return limit is not None and (limit.domain, limit.item) == (self.domain, self.item) and limit.kind in kinds

    def _disagrees(self, line: str) -> bool:
        limit = limit_of(line)
        return limit is not None and self._mine(line) and not self.rule.met(limit.value)
