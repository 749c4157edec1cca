# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Which permissions new files are made without."""

from __future__ import annotations

import re
from typing import List, Tuple

from ..accounts import login_def
from ..host import Host
from ..looks import config, ours_to_mend
from ..model import FILES, ParameterError, Params, Reading, bad, good
from ..texts import Key, append, listed, set_value

OURS = "/etc/profile.d/60-civicops-umask.sh"
LOGIN_DEFS = "/etc/login.defs"
SHELLS = ("/etc/bash.bashrc", "/etc/bashrc")  # what every interactive bash reads: Debian's and Red Hat's
ROOT = ("/root/.bash_profile", "/root/.bashrc", "/root/.profile")
_UMASK = re.compile(r"^(\s*umask\s+)([0-7]{1,4})(?=\s|;|$)", re.M)


class UmaskDefault:
    """login.defs for logins by PAM, a file of ours in profile.d, the shells' own files, and every weaker line in what
    they read. C(scope: root) looks at root's own files alone."""

    name = "umask_default"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.value = params.text("value", "027")
        self.scope = params.text("scope", "all", ("all", "root"))
        params.done()
        if not re.fullmatch("0?[0-7]{3}", self.value):
            raise ParameterError(f"value is an octal mask such as 027, not {self.value!r:.20}")
        self.wanted = f"{self.value} or stricter"

    def current(self, host: Host) -> Reading:
        wrong = [f"{path}: {what}" for path, what in self._weak(host)]
        return bad(listed(wrong)) if wrong else good(self.value)

    def apply(self, host: Host) -> None:
        for path, dummy in self._weak(host):
            text = host.text(path) or ""
            if path == LOGIN_DEFS:
                text = set_value(text, Key("UMASK", "space"), self.value)
            elif path == OURS and not _UMASK.search(text):
                text = append("# Kept by civicops.town; taken back by its restore point.\n", f"umask {self.value}")
            elif _UMASK.search(text):
                text = _UMASK.sub(self._stricter, text)
            else:
                text = append(text, f"umask {self.value}")
            host.write(path, text)

    def _weak(self, host: Host) -> List[Tuple[str, str]]:
        """Files with a weaker mask, or without one that they need."""
        found: List[Tuple[str, str]] = []
        needed: Tuple[str, ...] = ()
        files: Tuple[str, ...] = ROOT
        if self.scope != "root":
            names = [f"/etc/profile.d/{name}" for name in host.names("/etc/profile.d") if name.endswith(".sh")]
            needed = (OURS, *(path for path in SHELLS if ours_to_mend(host, path)))
            files = tuple(dict.fromkeys(("/etc/profile", *names, *needed)))
            value = login_def(host, "UMASK") or ""
            if not self._strict(value) and ours_to_mend(host, LOGIN_DEFS):
                found.append((LOGIN_DEFS, value or "not set"))
        for path in files:
            values = [match.group(2) for match in _UMASK.finditer(config(host, path) or "")]
            weak = [value for value in values if not self._strict(value)]
            if weak:
                found.append((path, weak[0]))
            elif path in needed and not values:
                found.append((path, "not set"))
        return found

    def _strict(self, value: str) -> bool:
        wanted = int(self.value, 8)
        return bool(re.fullmatch("[0-7]{1,4}", value)) and int(value, 8) & wanted == wanted

    def _stricter(self, match: re.Match[str]) -> str:
        return match.group(0) if self._strict(match.group(2)) else match.group(1) + self.value
