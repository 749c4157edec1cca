# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What sudo's rules must not grant."""

from __future__ import annotations

import re
from typing import List

from ..host import Host
from ..model import ACCESS, Params, Reading, absent, good, manual
from ..texts import listed
from .sudo_default import MAIN, Statement, options, statements

FORBIDDEN = ("NOPASSWD", "!authenticate")


class SudoRule:
    """Audit alone: who may become root without a password is for people. C(except) names users and groups (%name) that
    may, as the account that runs Ansible does."""

    name = "sudo_rule"
    stage = ACCESS

    def __init__(self, params: Params) -> None:
        self.forbidden = params.text("forbid", choices=FORBIDDEN)
        self.allowed = params.texts("except", [])
        params.done()
        self.wanted = f"no {self.forbidden}"

    def current(self, host: Host) -> Reading:
        if host.access(MAIN) is None:
            return absent("sudo is not installed")
        found = [f"{line.path}: {line.text.split()[0]}" for line in statements(host) if self._grants(line)]
        return manual(listed(found), "who needs it, and who does not, is for people to tell") if found else good()

    def apply(self, host: Host) -> None:
        """Nothing is ever mended."""

    def _grants(self, line: Statement) -> bool:
        if self.forbidden == "!authenticate":
            hit: List[str] = [one.scope for one in options(line) if one.name == "authenticate" and one.off]
            return any(scope.lstrip(":@!>") not in self.allowed or not scope for scope in hit)
        who = line.text.split()[:1]
        return bool(re.search(r"\bNOPASSWD\s*:", line.text)) and not (who and who[0] in self.allowed)
