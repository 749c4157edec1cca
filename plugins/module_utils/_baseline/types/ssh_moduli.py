# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The groups for Diffie-Hellman: short ones are taken out of /etc/ssh/moduli."""

from __future__ import annotations

from typing import List, Tuple

from ..host import Host, HostError
from ..model import FILES, Params, Reading, bad, good, manual

PATH = "/etc/ssh/moduli"


class SshModuli:
    """No group shorter than C(bits). Without the file sshd has groups of its own, none below 2048 bits."""

    name = "ssh_moduli"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.bits = params.number("bits", 3072)
        params.done()
        self.wanted = f"groups of {self.bits} bits or more"

    def current(self, host: Host) -> Reading:
        text = host.text(PATH)
        if text is None:
            return good("no file: the groups that are built in")
        kept, short = self._parts(text)
        if not short:
            return good(f"{len(kept)} groups")
        was = f"{short} shorter groups"
        return bad(was) if kept else manual(was, "no group would be left: make long ones with ssh-keygen -M generate")

    def apply(self, host: Host) -> None:
        text = host.text(PATH) or ""
        if not self._parts(text)[0]:
            raise HostError(f"{PATH}: no group would be left")
        lines = [line for line in text.splitlines() if not self._is_short(line)]
        host.write(PATH, "\n".join(lines) + "\n")

    def _parts(self, text: str) -> Tuple[List[str], int]:
        groups = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        kept = [line for line in groups if not self._is_short(line)]
        return kept, len(groups) - len(kept)

    def _is_short(self, line: str) -> bool:
        """The fifth field is the number of the highest bit, which is one less than their number (moduli(5))."""
        fields = [] if line.startswith("#") else line.split()
        return len(fields) == 7 and fields[4].isdecimal() and int(fields[4][:9]) < self.bits - 1
