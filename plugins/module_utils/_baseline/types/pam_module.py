# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A PAM module in every login. On Debian by profiles and pam-auth-update, which keeps others' modules in order; on RHEL
by authselect's features; never by a hand in the common files."""

from __future__ import annotations

import re
from typing import Any, Dict, List

from ..host import Host, HostError
from ..model import ACCESS, ParameterError, Params, Reading, absent, bad, good, manual
from ..pam import (
    FOLDER,
    PROFILES,
    PamLine,
    bare,
    conf_values,
    edited,
    edited_by_hand,
    fits,
    has_module,
    managed_files,
    pam_lines,
    stacks,
    words,
)

# Profiles of ours by module. Priorities: pam_unix has 256 and pam_pwquality 1024, and the higher comes first. What
# counts failures stands before and after it (pam_faillock(8), EXAMPLES); the history comes after pwquality.
OURS: Dict[str, Dict[str, str]] = {
    "pam_faillock": {
        "civicops-faillock-notify": """Name: Refuse accounts that failed too often (civicops)
Default: no
Priority: 1024
Auth-Type: Primary
Auth:
\trequisite\tpam_faillock.so preauth {arguments}
Account-Type: Primary
Account:
\trequired\tpam_faillock.so {arguments}
""",
        "civicops-faillock": """Name: Count failed logins (civicops)
Default: no
Priority: 0
Auth-Type: Primary
Auth:
\t[default=die]\tpam_faillock.so authfail {arguments}
""",
    },
    "pam_pwhistory": {
        "civicops-pwhistory": """Name: Remember passwords of before (civicops)
Default: no
Priority: 512
Password-Type: Primary
Password:
\trequisite\tpam_pwhistory.so use_authtok {arguments}
Password-Initial:
\trequisite\tpam_pwhistory.so {arguments}
""",
    },
    "pam_faildelay": {
        "civicops-faildelay": """Name: Wait after a failed login (civicops)
Default: no
Priority: 2048
Auth-Type: Primary
Auth:
\toptional\tpam_faildelay.so {arguments}
""",
    },
}
PACKAGED = {"pam_unix": "unix", "pam_pwquality": "pwquality"}
"""Profiles of packages: there our arguments go into theirs."""
BRINGS = {"pam_pwquality": "libpam-pwquality"}
FEATURES = {"pam_faillock": "with-faillock", "pam_pwhistory": "with-pwhistory"}
AUTHSELECT = [f"/etc/authselect/{name}" for name in ("authselect.conf", "system-auth", "password-auth", "postlogin",
              "fingerprint-auth", "smartcard-auth", "nsswitch.conf", "dconf-db", "dconf-locks")]  # fmt: skip
SU = f"{FOLDER}/su"


class PamModule:
    """A module with its arguments: V(true) there, V(false) not there, a value, or C(<=N), C(>=N).

    What a module has a file for in /etc/security may be said there instead.
    """

    name = "pam_module"
    stage = ACCESS

    def __init__(self, params: Params) -> None:
        self.module = params.text("module", None, (*OURS, *PACKAGED, "pam_wheel"))
        self.arguments = _arguments(params)
        params.done()
        told = [_told(name, value) for name, value in self.arguments.items()]
        self.wanted = " ".join([self.module, *told])[:200]

    # -- looking -----------------------------------------------------------------

    def current(self, host: Host) -> Reading:
        if not host.exists(FOLDER):
            return absent("there is no PAM on this host")
        if not has_module(host, self.module):
            return bad("not installed yet") if self._comes(host) else absent(f"{self.module} is not installed")
        if self.module == "pam_wheel":
            return self._su(host)
        debian = self._debian(host)
        if host.dry and any(path in host.touched for path in self._texts(host)):
            return good("written")
        lacking = self._lacking(host, stacks(host, debian))
        if not lacking:
            return good(" ".join([self.module, *words(self.arguments)])[:200])
        if not debian:
            return self._by_authselect(host, lacking)
        hand = edited_by_hand(host)
        return (
            manual(lacking, f"{hand} was changed by hand, so pam-auth-update leaves it alone") if hand else bad(lacking)
        )

    def _comes(self, host: Host) -> bool:
        return BRINGS.get(self.module) in host.coming

    @staticmethod
    def _debian(host: Host) -> bool:
        return host.exists(f"{FOLDER}/common-auth")

    def _lacking(self, host: Host, lines: List[PamLine]) -> str:
        """What is not as it is wanted; empty where all is."""
        mine = [line for line in lines if line.module == self.module]
        if not mine:
            return f"no {self.module}"
        if self.module == "pam_faillock":
            told = {word for line in mine if line.kind == "auth" for word in line.arguments}
            missing = [word for word in ("preauth", "authfail") if word not in told]
            missing += [] if any(line.kind == "account" for line in mine) else ["account"]
            if missing:
                return f"pam_faillock without {', '.join(missing)}"
            mine = [line for line in mine if line.kind == "auth"]
        conf = conf_values(host, self.module)
        wrong = [name for name, value in self.arguments.items() if not self._has(name, value, mine, conf)]
        return " ".join([self.module, *(_shown(name, mine, conf) for name in wrong)])[:200] if wrong else ""

    def _has(self, name: str, value: Any, mine: List[PamLine], conf: Dict[str, str]) -> bool:
        if self.module == "pam_unix" and value is not False:
            mine = [line for line in mine if line.kind == "password"]  # the other stacks know no such arguments
        if name == "use_authtok":
            mine = [line for line in mine if not line.first]  # the first one asks for the password itself
        return all(fits(name, value, line.values.get(name, conf.get(name))) for line in mine)

    def _by_authselect(self, host: Host, lacking: str) -> Reading:
        feature = FEATURES.get(self.module)
        if self.module == "pam_unix" and self.arguments == {"nullok": False}:
            feature = "without-nullok"
        if feature is None or not host.program("authselect"):
            return manual(lacking, "no feature of authselect is for it, and its files are not for a program to edit")
        status, output = host.ask(["authselect", "current", "-r"])
        if status != 0:
            return manual(lacking, "authselect is not used on this host")
        if feature in output.split():
            return manual(lacking, f"authselect has {feature} on: its arguments go to /etc/security")
        return bad(lacking)

    # -- mending -------------------------------------------------------------------

    def apply(self, host: Host) -> None:
        if self.module == "pam_wheel":
            self._mend_su(host)
            return
        if not has_module(host, self.module):
            if host.dry and self._comes(host):
                return  # its package comes with a profile
            raise HostError(f"{self.module} is not installed")
        if not self._debian(host):
            feature = FEATURES.get(self.module, "without-nullok")
            host.change(AUTHSELECT, ["authselect", "enable-feature", feature])
        else:
            texts = self._texts(host)
            for path, text in texts.items():
                host.write(path, text)
            names = [path.rpartition("/")[2] for path in texts]
            host.change(managed_files(host), ["pam-auth-update", "--package", "--enable", *names])
        lacking = "" if host.dry else self._lacking(host, stacks(host, self._debian(host)))
        if lacking:
            raise HostError(f"it was set, and is not so: {lacking}")

    def _texts(self, host: Host) -> Dict[str, str]:
        """The profiles as they are to be, by path."""
        if self.module in OURS:
            arguments = {name: value for name, value in self.arguments.items() if name != "use_authtok"}
            line = " ".join(words(arguments))
            made = {f"{PROFILES}/{name}": text.replace("{arguments}", line) for name, text in OURS[self.module].items()}
            return {path: re.sub(r"[ \t]+$", "", text, flags=re.M) for path, text in made.items()}
        path = f"{PROFILES}/{PACKAGED.get(self.module, self.module)}"
        text = host.reading(path)
        return {} if text is None else {path: edited(text, self.module, self.arguments)}

    # -- su ------------------------------------------------------------------------

    def _su(self, host: Host) -> Reading:
        text = host.reading(SU)
        if text is None:
            return absent("there is no su on this host")
        for line in pam_lines(text):
            if line.kind == "auth" and line.module == "pam_wheel" and line.control in ("required", "requisite"):
                wrong = [name for name, value in self.arguments.items() if not fits(name, value, line.values.get(name))]
                return bad(f"pam_wheel {' '.join(line.arguments)}"[:200]) if wrong else good("su: pam_wheel")
        return bad("su: no pam_wheel")

    def _mend_su(self, host: Host) -> None:
        group = self.arguments.get("group")
        if group and not re.search(rf"^{re.escape(bare(group))}:", host.reading("/etc/group") or "", re.M):
            files = ["/etc/group", "/etc/gshadow", "/etc/group-", "/etc/gshadow-"]
            host.change(files, ["groupadd", "--system", bare(group)])
        lines = (host.text(SU) or "").splitlines()
        kept = [raw for raw in lines if not re.match(r"auth\s+(required|requisite)\s+pam_wheel\.so\b", raw)]
        ends = [number for number, raw in enumerate(kept, 1) if re.match(r"auth\s+sufficient\s+pam_rootok\.so", raw)]
        if not ends:
            raise HostError(f"{SU} has no line that lets root through, so none is put after it")
        kept.insert(ends[0], " ".join(["auth       required   pam_wheel.so", *words(self.arguments)]))
        host.write(SU, "\n".join(kept) + "\n")


def _told(name: str, value: Any) -> str:
    """A wanted argument in few words."""
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{name}{value}" if str(value).startswith(("<=", ">=")) else f"{name}={value}"


def _shown(name: str, mine: List[PamLine], conf: Dict[str, str]) -> str:
    """An argument as it is."""
    found = [one[name] for one in (*(line.values for line in mine), conf) if name in one]
    return f"without {name}" if not found else f"{name}={found[0]}" if found[0] else name


def _arguments(params: Params) -> Dict[str, Any]:
    """Raises ParameterError."""
    params.seen.append("arguments")
    given = params.given.get("arguments", {})
    if not isinstance(given, dict):
        raise ParameterError("arguments is a dictionary")
    for name, value in given.items():
        if not re.fullmatch(r"[a-z0-9_]{1,40}", str(name)):
            raise ParameterError(f"arguments: {name!r:.60} is none")
        if not isinstance(value, (bool, int)) and not re.fullmatch(r"([<>]=)?[A-Za-z0-9_./:-]{1,100}", str(value)):
            raise ParameterError(f"arguments: {name}={value!r:.60}")
    return given
