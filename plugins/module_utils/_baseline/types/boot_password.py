# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The password in front of the boot loader's menu."""

from __future__ import annotations

from ..._host_info.identity import virtualization
from ..host import Host
from ..model import KERNEL, Params, Reading, absent, good, manual

MENUS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub2/user.cfg")


class BootPassword:
    """Only looked at: a password is for people to choose, and to keep where they find it when the host does not
    start."""

    name = "boot_password"
    stage = KERNEL
    wanted = "a password in front of the boot loader's menu"

    def __init__(self, params: Params) -> None:
        params.done()

    def current(self, host: Host) -> Reading:
        if host.ctx.once("virtualization", virtualization)["kind"] == "container":
            return absent("a container has no boot loader")
        texts = [text for text in map(host.reading, MENUS) if text is not None]
        if not texts:
            return absent("there is no GRUB on this host")
        text = "\n".join(texts)
        if "password_pbkdf2 " in text or "GRUB2_PASSWORD=" in text:
            return good("set")
        return manual("none", "a password is for people to choose and to keep (grub-mkpasswd-pbkdf2)")

    def apply(self, host: Host) -> None:
        """Nothing: such a reading never mends."""
