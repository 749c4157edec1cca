# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What listens on this host's network, for a packet filter that must not shut it out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Set

from .._host_info.sockets import TABLE_LIMIT, TABLES, parse_table, scope
from .host import Host

# Packets without ports that a host answers whatever listens: ICMP and ICMPv6 (neighbours are found by it), IGMP, and
# IPsec, which the kernel takes by its own keys. Numbers of IANA's registry.
ALWAYS = {1, 2, 50, 51, 58}
RAW = ("/proc/net/raw", "/proc/net/raw6")
OWN_RAW = 255  # IPPROTO_RAW only sends


@dataclass
class Listening:
    """Ports that can be heard from outside, and protocols that programs take whole."""

    tcp: Set[int] = field(default_factory=set)
    udp: Set[int] = field(default_factory=set)
    protocols: Set[int] = field(default_factory=set)


def listening(host: Host, ssh: List[int]) -> Listening:
    """What listens now on other addresses than the loopback's; C(ssh): sshd's ports, whether it runs or not.

    :raises OSError: the tables can't be read, so nothing may be shut.
    """
    found = Listening(tcp=set(ssh), protocols=set(ALWAYS))
    for proto, family, state in TABLES:
        try:
            rows = parse_table(
                host.ctx.read(f"/proc/net/{proto}{'6' if family == 6 else ''}", TABLE_LIMIT), proto, state
            )
        except FileNotFoundError:
            if family == 4:
                raise
            continue
        ports = {row.port for row in rows if scope(row.address) != "loopback" and row.port}
        (found.tcp if proto == "tcp" else found.udp).update(ports)
    for path in RAW:  # the number of the protocol stands where others have the port
        rows = parse_table(host.ctx.read_or(path, "", TABLE_LIMIT) or "", "raw", "07")
        found.protocols.update(row.port for row in rows if 0 < row.port < OWN_RAW)
    return found
