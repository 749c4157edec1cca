# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Which of the host's keys the SSH daemon shows."""

from __future__ import annotations

from typing import Dict, List, NamedTuple

from ..._host_info.ssh import parse_key
from ..host import Host, HostError
from ..model import ACCESS, ParameterError, Params, Reading, absent, bad, good, manual
from ..openssh import SERVER, split
from .sshd import effective

KINDS = {"ssh-rsa": "rsa", "ssh-ed25519": "ed25519", "ssh-dss": "dsa", "ecdsa-sha2-nistp256": "ecdsa",
         "ecdsa-sha2-nistp384": "ecdsa", "ecdsa-sha2-nistp521": "ecdsa"}  # fmt: skip
MADE = ("ed25519", "rsa", "ecdsa")


class HostKey(NamedTuple):
    path: str
    kind: str
    bits: int


class SshHostKeys:
    """Only keys of these types, RSA ones of C(rsa_bits) at least. C(make): one that is missing is made."""

    name = "ssh_host_keys"
    stage = ACCESS

    def __init__(self, params: Params) -> None:
        self.types = params.texts("types", ["ed25519", "rsa"])
        self.rsa_bits = params.number("rsa_bits", 3072)
        self.make = params.flag("make")
        params.done()
        if not set(self.types) <= set(MADE):
            raise ParameterError(f"types are of {', '.join(MADE)}")
        self.wanted = f"{', '.join(self.types)} (RSA: {self.rsa_bits} bits or more)"

    def current(self, host: Host) -> Reading:
        if not host.program("sshd"):
            return absent("sshd is not installed")
        shown = self._shown(host)
        was = ", ".join(f"{key.kind} {key.bits}" for key in shown)[:200] or "no key"
        if shown and all(self._fits(key) for key in shown) and not self._missing(shown):
            return good(was)
        if not self._wanted_keys(host) and not self.make:
            return manual(was, "no key of a wanted type is there, and a new one is for people to make and make known")
        return bad(was)

    def apply(self, host: Host) -> None:
        if self.make:
            for kind in self._missing(self._wanted_keys(host)):
                self._make(host, kind)
        paths = [key.path for key in self._wanted_keys(host)]
        if host.dry and self.make:
            paths = [_path(kind) for kind in self.types]
        if not paths:
            raise HostError("no host key would be left")
        for path in {line.path for line in SERVER.lines(host) if line.key == "hostkey" and line.path != SERVER.ours}:
            self._silence(host, path)
        SERVER.set(host, {"hostkey": paths})
        host.reload("ssh")

    def _fits(self, key: HostKey) -> bool:
        return key.kind in self.types and (key.kind != "rsa" or key.bits >= self.rsa_bits)

    def _missing(self, keys: List[HostKey]) -> List[str]:
        have = {key.kind for key in keys}
        return [kind for kind in self.types if kind not in have] if self.make else []

    def _shown(self, host: Host) -> List[HostKey]:
        """The keys that are in force and there."""
        if host.dry and SERVER.ours in host.touched:
            lines = [split(raw) for raw in (host.text(SERVER.ours) or "").splitlines()]
            paths = [value for key, value in lines if key == "hostkey"]
        else:
            paths = effective(host).get("hostkey", "").split()
        return [key for key in map(self._reader(host), paths) if key.kind]

    def _wanted_keys(self, host: Host) -> List[HostKey]:
        """Those that may stay, in the order of the types; our own choice of before hides none."""
        paths = [*effective(host).get("hostkey", "").split(), *map(_path, self.types)]
        found = [key for key in map(self._reader(host), dict.fromkeys(paths)) if self._fits(key)]
        return sorted(found, key=lambda key: self.types.index(key.kind))

    @staticmethod
    def _reader(host: Host):  # type: ignore[no-untyped-def]
        def read(path: str) -> HostKey:
            text = host.reading(path + ".pub") or ""
            key = parse_key(text.splitlines()[0]) if text and host.exists(path) else None
            found: Dict[str, object] = key or {}
            return HostKey(path, KINDS.get(str(found.get("type")), ""), int(str(found.get("bits") or 0)))

        return read

    def _make(self, host: Host, kind: str) -> None:
        path = _path(kind)
        for old in (path, path + ".pub"):
            host.remove(old)
        argv = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", path]
        host.change([path, path + ".pub"], [*argv, "-b", str(max(self.rsa_bits, 3072))] if kind == "rsa" else argv)

    @staticmethod
    def _silence(host: Host, path: str) -> None:
        """Other files' HostKey lines would add to ours."""
        lines = (host.text(path) or "").splitlines()
        host.write(path, "\n".join(f"#{raw}" if split(raw)[0] == "hostkey" else raw for raw in lines) + "\n")


def _path(kind: str) -> str:
    return f"/etc/ssh/ssh_host_{kind}_key"
