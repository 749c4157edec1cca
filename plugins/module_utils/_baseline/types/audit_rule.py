# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What the kernel's audit writes down: in the rules that are loaded at each start, and in those that are loaded now."""

from __future__ import annotations

import re
import shlex
from functools import lru_cache
from typing import Dict, FrozenSet, List, Optional, Set, Tuple

from ..._host_info.identity import virtualization
from ..host import Host, HostError
from ..model import SERVICES, ParameterError, Params, Reading, absent, bad, good, stuck

FOLDER = "/etc/audit/rules.d"
PACKAGES = {"auditd", "audit"}  # Debian's and RHEL's
UNSET = {"auid!=unset", "auid!=-1", "auid!=4294967295"}
STATUS = {"-b": "backlog_limit", "-f": "failure", "-e": "enabled", "--backlog_wait_time": "backlog_wait_time"}
_WORD = re.compile(r"[A-Za-z0-9._/=!<>&,:*+@-]{1,4096}")

Rule = FrozenSet[Tuple[str, str]]


class AuditRule:
    """Rules in auditctl's words. The key (-k) is written and not compared: others may have chosen theirs."""

    name = "audit_rule"
    stage = SERVICES

    def __init__(self, params: Params) -> None:
        label = params.text("name")
        self.rules = params.texts("rules")
        params.done()
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,60}", label):
            raise ParameterError("name is of small letters, digits and -")
        for rule in self.rules:
            if normal(rule) is None:
                raise ParameterError(f"rules: {rule!r:.80} is none")
        self.path = f"{FOLDER}/60-civicops-{label}.rules"
        self.wanted = f"{len(self.rules)} audit rules: {label}"

    def current(self, host: Host) -> Reading:
        if not PACKAGES & (host.packages() | host.coming):
            return absent("auditd is not installed")
        rules = self._possible(host)
        if not rules:
            return absent("nothing that these rules watch is on this host")
        lacking = sum(1 for rule in rules if normal(rule) not in self._lasting(host))
        loaded = None if host.program("auditctl") is None else self._loaded(host)
        if loaded is None:
            if not PACKAGES & host.packages() and not self._is_container(host):
                return bad("auditd is not installed yet")
            was = f"{lacking} of {len(rules)} rules missing in {FOLDER}; the kernel could not be asked"
            return stuck(was, self._why(host), todo=lacking > 0)
        idle = sum(1 for rule in rules if normal(rule) not in loaded)
        was = f"of {len(rules)} rules {lacking} missing in {FOLDER}, {idle} not loaded"
        if not lacking and not idle:
            return good(f"{len(rules)} rules")
        if idle and ("-e", "2") in {one for rule in loaded for one in rule}:
            return stuck(was, "the loaded rules are locked until the next start", todo=lacking > 0)
        return good("written") if host.dry and not lacking and self.path in host.touched else bad(was)

    @staticmethod
    def _is_container(host: Host) -> bool:
        return bool(host.ctx.once("virtualization", virtualization)["kind"] == "container")

    def _why(self, host: Host) -> str:
        return "a container has no audit of its own" if self._is_container(host) else "the kernel's audit is silent"

    def _possible(self, host: Host) -> List[str]:
        """Without watches of what is not there: one of them stops the load of all rules after it."""
        return [rule for rule in self.rules if all(host.ctx.exists(place) for place in _places(rule))]

    @staticmethod
    def _lasting(host: Host) -> FrozenSet[Rule]:
        """Every rule in the files that are loaded at each start."""

        def read() -> FrozenSet[Rule]:
            names = [name for name in host.names(FOLDER) if name.endswith(".rules")]
            lines = [line for name in names for line in (host.reading(f"{FOLDER}/{name}") or "").splitlines()]
            return frozenset(rule for rule in map(normal, lines) if rule is not None)

        if host.dry:  # the picture changes without a word
            return read()
        found: FrozenSet[Rule] = host.once("audit files", read)
        return found

    @staticmethod
    def _loaded(host: Host) -> Optional[FrozenSet[Rule]]:
        """Every rule that is loaded, and the state as rules (-e 2); None where the kernel can't be asked."""

        def ask() -> Optional[FrozenSet[Rule]]:
            status, text = host.run(["auditctl", "-s"])
            values = dict(line.split(None, 1) for line in text.splitlines() if len(line.split(None, 1)) == 2)
            if status != 0 or "enabled" not in values:
                return None
            state = [f"{option} {values[name].split()[0]}" for option, name in STATUS.items() if name in values]
            status, text = host.run(["auditctl", "-l"])
            if status != 0:
                return None
            return frozenset(rule for rule in map(normal, [*state, *text.splitlines()]) if rule is not None)

        return host.once("audit loaded", ask)  # type: ignore[no-any-return]

    def apply(self, host: Host) -> None:
        if not PACKAGES & host.packages() and not (host.dry and PACKAGES & host.coming):
            raise HostError("auditd is not installed")
        host.write(self.path, "\n".join(self._possible(host)) + "\n", mode=0o640)
        host.reload("audit-rules")


def _places(rule: str) -> List[str]:
    """What must be there for a rule to be loaded: of a file its directory, of a directory itself."""
    folders = re.findall(r"-F\s*dir=(\S+)", rule)
    paths = [value[5:] for option, value in normal(rule) or () if option == "-F" and value.startswith("path=/")]
    return folders + [path.rpartition("/")[0] or "/" for path in paths]


@lru_cache(maxsize=4096)
def normal(line: str) -> Optional[Rule]:
    """A rule as a set of its parts, the same for the same rule however it is written; None for what is none.

    C(-w P -p wa) is C(-a always,exit -F path=P -F perm=wa); the key is left out (auditctl(8)).
    """
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return None
    if len(words) < 2 or len(words) % 2 or not all(_WORD.fullmatch(word) for word in words):
        return None
    found: Set[Tuple[str, str]] = set()
    pairs: List[Tuple[str, str]] = list(zip(words[::2], words[1::2]))
    options: Dict[str, str] = dict(pairs)
    for option, value in pairs:
        if not option.startswith("-") or value.startswith("-"):
            return None
        found |= _parts(option, value)
    if "-w" in options:
        found |= {("-a", "always"), ("-a", "exit")}
        if "-p" not in options:
            found.add(("-F", "perm=arwx"))
    return frozenset(found) or None


def _parts(option: str, value: str) -> FrozenSet[Tuple[str, str]]:
    if option == "-k" or (option == "-F" and value.startswith("key=")):
        return frozenset()
    if option in ("-a", "-A", "-S"):
        return frozenset(("-a" if option == "-A" else option, one) for one in value.split(",") if one != "all")
    if option == "-w":
        return frozenset({("-F", f"path={value.rstrip('/')}")})
    if option == "-p" or (option == "-F" and value.startswith("perm=")):
        return frozenset({("-F", "perm=" + "".join(sorted(value.rpartition("=")[2])))})
    if option == "-C":  # auditctl -l tells the two sides in an order of its own
        sides = re.fullmatch(r"([a-z]+)(!?=)([a-z]+)", value)
        return frozenset({(option, sides[2].join(sorted((sides[1], sides[3]))) if sides else value)})
    if option == "-F" and value.startswith("dir="):
        return frozenset({("-F", f"path={value[4:].rstrip('/')}")})
    return frozenset({(option, "auid!=unset" if value in UNSET else value)})
