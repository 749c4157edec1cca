# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""OpenSSH's configuration files: what is in force, which file says so, and our own file, which is read first.

The first value of an option that is read is the one that counts (sshd_config(5), ssh_config(5)), so ours wins by being
read before all others.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from .host import Host, HostError
from .looks import config

HEADER = "# Written by civicops.town baseline. The first value that is read counts, so this file comes first.\n"
FILES = 100  # included files that are looked at
ADDS_UP = {
    "acceptenv", "allowgroups", "allowusers", "denygroups", "denyusers", "hostkey", "identityfile", "listenaddress",
    "permitlisten", "permitopen", "port", "sendenv", "setenv", "subsystem",
}  # fmt: skip
"""Options of which every line counts, so that an earlier one hides nothing."""
OLD_NAMES = {"pubkeyacceptedalgorithms": "pubkeyacceptedkeytypes",
             "hostbasedacceptedalgorithms": "hostbasedacceptedkeytypes"}  # fmt: skip
"""Options that OpenSSH before 8.5 calls otherwise."""
QUERIES = {"kexalgorithms": "kex", "ciphers": "cipher", "macs": "mac", "hostkeyalgorithms": "HostKeyAlgorithms",
           "pubkeyacceptedalgorithms": "PubkeyAcceptedAlgorithms", "casignaturealgorithms": "CASignatureAlgorithms",
           "hostbasedacceptedalgorithms": "HostbasedAcceptedAlgorithms"}  # fmt: skip
"""Lists of algorithms, and what C(ssh -Q) calls what this version of OpenSSH knows."""


class Line(NamedTuple):
    """One setting. C(match) is the line of the Match or Host block that it stands in."""

    path: str
    number: int
    key: str
    value: str
    match: str


@dataclass(frozen=True)
class Place:
    """The main file, the directory that it includes, and our file there."""

    main: str
    folder: str
    ours: str

    @property
    def include(self) -> str:
        return f"Include {self.folder}/*.conf"

    # -- looking -----------------------------------------------------------------

    def lines(self, host: Host) -> List[Line]:
        """Every setting in the order in which it is read. Raises OSError, HostError: a file is none, or too long."""
        found: List[Line] = host.once(f"openssh {self.main}", lambda: list(self._read(host, self.main, "", [0])))
        return found

    def _read(self, host: Host, path: str, match: str, count: List[int]) -> Iterator[Line]:
        count[0] += 1
        if count[0] > FILES:
            raise HostError(f"{self.main} includes more than {FILES} files, or itself")
        for number, raw in enumerate((config(host, path) or "").splitlines(), 1):
            key, value = split(raw)
            if key in ("match", "host") and (key == "match" or self.main.endswith("/ssh_config")):
                match = f"{key.capitalize()} {value}"
            elif key == "include":
                for one in self._included(host, value):
                    yield from self._read(host, one, match, count)
            elif key:
                yield Line(path, number, key, value, match)

    def _included(self, host: Host, value: str) -> List[str]:
        found = []
        for pattern in value.split():
            full = pattern if pattern.startswith("/") else f"/etc/ssh/{pattern}"
            folder, dummy, name = full.rpartition("/")
            found += [f"{folder}/{one}" for one in host.names(folder) if fnmatch.fnmatchcase(one, name)]
        return found

    def ours_is_read_first(self, host: Host) -> bool:
        """Whether the main file includes our directory before anything else. Raises OSError."""
        for raw in (config(host, self.main) or "").splitlines():
            key, value = split(raw)
            if key == "include" and any(fnmatch.fnmatchcase(self.ours, pattern) for pattern in self._patterns(value)):
                return True
            if key:
                return False
        return False

    @staticmethod
    def _patterns(value: str) -> List[str]:
        return [one if one.startswith("/") else f"/etc/ssh/{one}" for one in value.split()]

    def before_ours(self, host: Host, option: str) -> Optional[Line]:
        """A line that is read before our file and sets the option. Raises OSError."""
        for line in self.lines(host):
            if line.path == self.ours or not line.path.startswith(self.folder + "/") or line.path > self.ours:
                return None
            if line.key == option and not line.match:
                return line
        return None

    def own(self, host: Host) -> Dict[str, str]:
        """The settings of our file."""
        return dict(split(raw) for raw in (host.text(self.ours) or "").splitlines() if split(raw)[0])

    # -- changing ------------------------------------------------------------------

    def set(self, host: Host, lines: Dict[str, List[str]]) -> None:
        """Have our file say this of these options, and have it read first. Raises HostError, OSError."""
        kept = [raw for raw in (host.text(self.ours) or HEADER).splitlines() if split(raw)[0] not in lines]
        new = [f"{option} {value}" for option, values in lines.items() for value in values]
        host.write(self.ours, "\n".join([*kept, *new]) + "\n", mode=0o600 if "sshd" in self.main else None)
        if not self.ours_is_read_first(host):
            text = host.text(self.main)
            if text is None:
                raise HostError(f"{self.main} is not there")
            host.write(self.main, f"{self.include}\n{text}")


SERVER = Place("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d", "/etc/ssh/sshd_config.d/00-civicops.conf")
CLIENT = Place("/etc/ssh/ssh_config", "/etc/ssh/ssh_config.d", "/etc/ssh/ssh_config.d/60-civicops.conf")


def split(raw: str) -> Tuple[str, str]:
    """Option (lower case) and value of a line; neither of a comment. C(Key value), C(Key=value), C(Key "value")."""
    found = re.match(r'\s*([A-Za-z][A-Za-z0-9]*)(?:\s*=\s*|\s+|(?="))(.*?)\s*$', raw)
    if not found:
        return "", ""
    return found.group(1).lower(), found.group(2).strip('"')


def settings(output: str) -> Dict[str, str]:
    """What C(sshd -T) and C(ssh -G) print; an option that comes several times becomes one text."""
    found: Dict[str, str] = {}
    for line in output.splitlines():
        key, dummy, value = line.partition(" ")
        key = key.lower()
        found[key] = f"{found[key]} {value.strip()}" if key in found else value.strip()
    return found


def known(host: Host, option: str, words: List[str]) -> List[str]:
    """Those of a list of algorithms that this host's OpenSSH knows: a single unknown one makes it refuse them all."""
    query = QUERIES.get(option)
    if query is None or not host.program("ssh"):
        return words
    status, output = host.ask(["ssh", "-Q", query])
    there = set(output.split())
    return [word for word in words if word in there] if status == 0 and there else words


def error_line(host: Host, argv: List[str], seconds: float = 10.0) -> Optional[str]:
    """What a program says when it refuses, its own words; None where it does not. Raises CommandError."""
    # Answers of a command leave out what goes to its standard error, which is what is wanted here.
    status, output = host.run(["/bin/sh", "-c", 'exec "$@" 2>&1', "sh", *argv], seconds)
    if status == 0:
        return None
    said = [line.strip() for line in output.splitlines() if line.strip()]
    # The last line is often a mere summary of an earlier one.
    told = next((line for line in said if re.search(r"error|bad |invalid|line [0-9]|failed", line, re.I)), "")
    return (told or (said[-1] if said else f"exit {status}"))[:250]
