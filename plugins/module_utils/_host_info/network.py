# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Interfaces, addresses, default gateways and name servers."""

from __future__ import annotations

import socket
import struct
from typing import Any, Dict, List, Tuple

from .context import Context

RTM_NEWADDR, RTM_GETADDR, NLMSG_ERROR, NLMSG_DONE = 20, 22, 2, 3
NLM_F_REQUEST_DUMP = 0x301
IFA_ADDRESS, IFA_LOCAL = 1, 2
NETLINK_SECONDS = 2.0
RTF_UP, RTF_GATEWAY = 1, 2
Address = Tuple[int, str, int]  # interface index, address, prefix length


def parse_addresses(data: bytes) -> Tuple[List[Address], bool]:
    """Answers to RTM_GETADDR (rtnetlink(7)), and whether the last one was among them."""
    found: List[Address] = []
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind in (NLMSG_DONE, NLMSG_ERROR):
            return found, True
        if length < 16 or at + length > len(data):
            return found, True
        if kind == RTM_NEWADDR and length >= 24:
            family, prefix, dummy, dummy, index = struct.unpack_from("=BBBBI", data, at + 16)
            parts: Dict[int, bytes] = {}
            inner, end = at + 24, at + length
            while inner + 4 <= end:
                size, name = struct.unpack_from("=HH", data, inner)
                if size < 4 or inner + size > end:
                    break
                parts[name] = data[inner + 4 : inner + size]
                inner += (size + 3) & ~3
            raw = parts.get(IFA_LOCAL) or parts.get(IFA_ADDRESS) or b""
            if (family, len(raw)) in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
                found.append((index, socket.inet_ntop(family, raw), prefix))
        at += (length + 3) & ~3
    return found, False


def addresses() -> List[Address]:
    """All addresses of this network namespace, asked from the kernel; raises OSError."""
    found: List[Address] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
        link.settimeout(NETLINK_SECONDS)
        link.send(struct.pack("=IHHIIB3x", 20, RTM_GETADDR, NLM_F_REQUEST_DUMP, 1, 0, socket.AF_UNSPEC))
        done = False
        while not done and len(found) < 4096:
            more, done = parse_addresses(link.recv(65536))
            found += more
    return found


def parse_route4(text: str) -> List[Dict[str, str]]:
    """Default gateways of /proc/net/route, whose numbers are in the machine's byte order."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        try:
            if len(fields) > 7 and fields[1] == "00000000" and int(fields[3], 16) & (RTF_UP | RTF_GATEWAY) == 3:
                address = socket.inet_ntop(socket.AF_INET, struct.pack("=I", int(fields[2], 16)))
                found.append({"interface": fields[0], "address": address})
        except (ValueError, struct.error):
            continue
    return found


def parse_route6(text: str) -> List[Dict[str, str]]:
    """Default gateways of /proc/net/ipv6_route."""
    found = []
    for line in text.splitlines():
        fields = line.split()
        try:
            if len(fields) > 9 and fields[0] == "0" * 32 and fields[1] == "00" and int(fields[8], 16) & RTF_GATEWAY:
                address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[4]))
                found.append({"interface": fields[9], "address": address})
        except ValueError:
            continue
    return found


def parse_resolv(text: str) -> List[str]:
    fields = (line.split() for line in text.splitlines())
    return [words[1] for words in fields if len(words) > 1 and words[0] == "nameserver"]


def interfaces(ctx: Context, per_index: Dict[int, List[str]]) -> List[Dict[str, Any]]:
    found = []
    for name in ctx.names("/sys/class/net"):
        base = f"/sys/class/net/{name}"
        index = ctx.line_or_none(f"{base}/ifindex") or ""
        if not index.isdecimal():
            continue  # bonding_masters is a file
        mtu = ctx.line_or_none(f"{base}/mtu") or ""
        found.append(
            {
                "name": name,
                "mac": ctx.line_or_none(f"{base}/address"),
                "state": ctx.line_or_none(f"{base}/operstate"),
                "mtu": int(mtu) if mtu.isdecimal() else None,
                "physical": ctx.exists(f"{base}/device"),
                "addresses": per_index.get(int(index), []),
            }
        )
    return found


def collect(ctx: Context) -> Dict[str, Any]:
    per_index: Dict[int, List[str]] = {}
    network: Dict[str, Any] = {"interfaces": None}
    try:
        for index, address, prefix in addresses():
            per_index.setdefault(index, []).append(f"{address}/{prefix}")
        network["interfaces"] = interfaces(ctx, per_index)
    except OSError as error:
        ctx.unread_error("network.interfaces", error)
    network["gateways"] = parse_route4(ctx.read_or("/proc/net/route", "") or "") + parse_route6(
        ctx.read_or("/proc/net/ipv6_route", "") or ""
    )
    servers = parse_resolv(ctx.read_or("/etc/resolv.conf", "") or "")
    if servers == ["127.0.0.53"]:  # systemd-resolved's own: what it asks stands elsewhere
        servers = parse_resolv(ctx.read_or("/run/systemd/resolve/resolv.conf", "") or "") or servers
    network["dns_servers"] = servers
    return {"network": network}
