# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""PAM's stacks, and Debian's profiles from which pam-auth-update makes them."""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional

from .host import Host

FOLDER = "/etc/pam.d"
PROFILES = "/usr/share/pam-configs"
STATE = "/var/lib/pam"
KINDS = ("auth", "account", "password", "session", "session-noninteractive")
DEBCONF = [
    f"/var/cache/debconf/{name}" for name in ("config.dat", "config.dat-old", "templates.dat", "templates.dat-old")
]
CONFS = {"pam_faillock": "faillock.conf", "pam_pwquality": "pwquality.conf", "pam_pwhistory": "pwhistory.conf"}
"""Files in /etc/security that say what a module's line does not."""
_LINE = re.compile(r"-?(auth|account|password|session)\s+(\[[^\]]*\]|\w+)\s+(\S+)\s*(.*)")
_PRIMARY = '(the "Primary" block)'
_FALLBACK = "# here's the fallback"


class PamLine(NamedTuple):
    kind: str
    control: str
    module: str  # without .so
    arguments: List[str]
    first: bool  # of its kind in the file

    @property
    def values(self) -> Dict[str, str]:
        """Arguments by name; a flag has an empty value."""
        return {name: value for name, dummy, value in (one.partition("=") for one in self.arguments)}


def pam_lines(text: str) -> List[PamLine]:
    """Lines of a file in /etc/pam.d; those that continue are joined."""
    found: List[PamLine] = []
    for raw in text.replace("\\\n", " ").splitlines():
        match = _LINE.match(raw.partition("#")[0].strip())
        if match:
            name = match.group(3).rpartition("/")[2]
            first = all(line.kind != match.group(1) for line in found)
            arguments = match.group(4).split()
            found.append(PamLine(match.group(1), match.group(2), name.removesuffix(".so"), arguments, first))
    return found


def stacks(host: Host, debian: bool) -> List[PamLine]:
    """What every service goes through. Raises OSError, HostError."""
    names = [f"common-{kind}" for kind in KINDS[:3]] if debian else ["system-auth", "password-auth"]
    return [line for name in names for line in pam_lines(host.reading(f"{FOLDER}/{name}") or "")]


def has_module(host: Host, module: str) -> bool:
    """Whether the module itself is installed: a line that names a missing one shuts everybody out."""

    def look() -> List[str]:
        folders = [f"/usr/lib/{name}/security" for name in host.names("/usr/lib") if "-linux-" in name]
        folders += ["/usr/lib64/security", "/usr/lib/security", "/lib/security"]
        folders += [f"/lib/{name}/security" for name in host.names("/lib") if "-linux-" in name]
        return [name for folder in folders for name in host.ctx.names_or_none(folder)]

    return f"{module}.so" in host.once("pam modules", look)


def conf_values(host: Host, module: str) -> Dict[str, str]:
    """What the module's own file in /etc/security says."""
    if module not in CONFS:
        return {}
    found = {}
    for raw in (host.reading(f"/etc/security/{CONFS[module]}") or "").splitlines():
        name, dummy, value = raw.partition("#")[0].partition("=")
        if name.strip():
            found[name.strip()] = value.strip()
    return found


def edited_by_hand(host: Host) -> Optional[str]:
    """A file that pam-auth-update leaves alone, as its modules are not those that it wrote there; None if none."""
    for kind in KINDS[:3]:
        text = host.reading(f"{FOLDER}/common-{kind}") or ""
        state = host.reading(f"{STATE}/{kind}")
        block = text.partition(_PRIMARY)[2].partition(_FALLBACK)[0]
        if state is None or not block:
            return f"{FOLDER}/common-{kind}"
        primary = state.partition("Primary:")[2] if "Primary:" in state else state
        wrote = re.findall(r"^\S.*?(pam_\w+)\.so", re.sub(r"^Module:.*$", "", primary, flags=re.M), re.M)
        if [line.module for line in pam_lines(block)] != wrote:
            return f"{FOLDER}/common-{kind}"
    return None


def managed_files(host: Host) -> List[str]:
    """What pam-auth-update writes."""
    files = [f"{FOLDER}/common-{kind}" for kind in KINDS] + [f"{STATE}/{kind}" for kind in (*KINDS, "seen")]
    for path in DEBCONF:  # its answers of before, where they are of a size that is kept
        info = host.lstat(path)
        if info is not None and info.st_size < 1 << 20:
            files.append(path)
    return files


def words(arguments: Dict[str, Any]) -> List[str]:
    """Arguments as they are written; those that are not to be there are left out."""
    return [
        name if value is True else f"{name}={bare(value)}" for name, value in arguments.items() if value is not False
    ]


def bare(value: Any) -> str:
    """A wanted value without its C(<=) or C(>=)."""
    return str(value).lstrip("<>=")


def fits(name: str, value: Any, now: Optional[str]) -> bool:
    """Whether an argument is as it is wanted: V(true), V(false), a word, C(<=N) or C(>=N).

    An unlock_time of 0 is for ever, and so more than any number; a deny of 0 is no limit (pam_faillock(8)).
    """
    if value is False or now is None:
        return (now is None) == (value is False)
    if value is True:
        return True
    text = str(value)
    if not text.startswith(("<=", ">=")):
        return now == text
    if not re.fullmatch(r"-?[0-9]{1,9}", now):
        return False
    if int(now) == 0 and text.startswith("<="):
        return False
    if int(now) == 0 and name in ("unlock_time", "root_unlock_time"):
        return True
    return int(now) <= int(text[2:]) if text.startswith("<=") else int(now) >= int(text[2:])


def edited(text: str, module: str, arguments: Dict[str, Any]) -> str:
    """A package's profile with other arguments for its module; new ones go to the lines for passwords, if any."""
    lines = []
    section = ""
    for raw in text.splitlines():
        head = re.match(r"(\w+)(-Initial|-Type)?:", raw)
        section = head.group(1) if head else section
        if f"{module}.so" in raw and raw[:1] in " \t":
            before, dummy, after = raw.partition(f"{module}.so")
            kept = [one for one in after.split() if one.partition("=")[0] not in arguments]
            more = words(arguments) if section == "Password" else []
            raw = " ".join([f"{before}{module}.so", *kept, *more])
        lines.append(raw)
    return "\n".join(lines) + "\n"
