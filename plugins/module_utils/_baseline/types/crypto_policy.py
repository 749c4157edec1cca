# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The system-wide cryptographic policy of Red Hat's family."""

from __future__ import annotations

import re

from ..host import Host
from ..looks import config, pretend, pretended
from ..model import FILES, ParameterError, Params, Reading, absent, bad, good
from ..texts import shown

PROGRAM = "update-crypto-policies"


class CryptoPolicy:
    """One of the policies that do; where none of them is set, the first is. Sub-policies are named with them
    (DEFAULT:NO-SHA1)."""

    name = "crypto_policy"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.policies = params.texts("policy")
        params.done()
        if not self.policies or not all(re.fullmatch(r"[A-Z0-9-]+(:[A-Z0-9-]+)*", one) for one in self.policies):
            raise ParameterError("policy is a list of policies such as DEFAULT:NO-SHA1")
        self.wanted = " or ".join(self.policies)

    def current(self, host: Host) -> Reading:
        if host.program(PROGRAM) is None:
            return absent("this family has no system-wide cryptographic policy")
        now = self._now(host)
        return good(now) if now in self.policies else bad(shown(now or "not set"))

    def apply(self, host: Host) -> None:
        host.afterwards([PROGRAM, "--set", self._now(host) or "DEFAULT"])
        pretend(host, "crypto policy", self.policies[0])
        host.command([PROGRAM, "--set", self.policies[0]], 120.0)

    @staticmethod
    def _now(host: Host) -> str:
        would = pretended(host, "crypto policy")
        if would is not None:
            return would
        for path in ("/etc/crypto-policies/state/current", "/etc/crypto-policies/config"):
            words = [
                line.strip() for line in (config(host, path) or "").split("\n") if line.strip()[:1] not in ("", "#")
            ]
            if words and re.fullmatch(r"[A-Z0-9:-]+", words[0]):
                return words[0]
        return ""
