# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""An option of the SSH client, for all users of the host."""

from __future__ import annotations

from typing import Dict

from ..host import Host, HostError
from ..model import FILES, Params, Reading, absent, bad, good, manual
from ..openssh import ADDS_UP, CLIENT, OLD_NAMES, known, settings
from ..values import Wanted


class SshClient:
    """What C(ssh) uses where neither the command line nor the user's own file says otherwise."""

    name = "ssh_client"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.option = params.text("option").lower()
        self.value = Wanted(params)
        params.done()
        self.wanted = f"{self.option} {self.value}"

    def current(self, host: Host) -> Reading:
        if not host.program("ssh"):
            return absent("the SSH client is not installed")
        now = self._effective(host)
        self.option = OLD_NAMES.get(self.option, self.option) if self.option not in now else self.option
        was = f"{self.option} {now.get(self.option, 'not set')}"[:200]
        if self.value.fits(now.get(self.option)):
            return good(was)
        if self.value.op == "present" or self.option in ADDS_UP:
            return manual(was, "what it should be is for people to say")
        first = CLIENT.before_ours(host, self.option)
        return manual(was, f"{first.path} is read before our file and sets it") if first else bad(was)

    def _effective(self, host: Host) -> Dict[str, str]:
        argv = ["ssh", "-G", "-F", CLIENT.main, "civicops.invalid"]  # without root's own file
        status, output = host.ask(argv)
        if status != 0:
            raise HostError(f"ssh -G: exit {status}")
        found: Dict[str, str] = host.once(f"parsed {argv!r}", lambda: settings(output))
        return {**found, **CLIENT.own(host)} if host.dry and CLIENT.ours in host.touched else found

    def apply(self, host: Host) -> None:
        words = known(host, self.option, self.value.values) if self.value.op == "subset" else []
        if self.value.op == "subset" and not words:
            raise HostError(f"this OpenSSH knows none of {self.value.text}"[:200])
        CLIENT.set(host, {self.option: [",".join(words) or self.value.text]})
