# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Which programs listen on the network, and how far away they can be heard."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any, Dict, List, NamedTuple, Optional, Set

from .context import Context
from .processes import Process, all_processes, unit, user_name

TABLES = (("tcp", 4, "0A"), ("tcp", 6, "0A"), ("udp", 4, "07"), ("udp", 6, "07"))  # 0A: LISTEN, 07: unconnected
TABLE_LIMIT = 8 << 20  # bytes
DESCRIPTOR_LIMIT = 20000  # open files of one process looked at


class Listener(NamedTuple):
    proto: str
    address: str
    port: int
    uid: int
    inode: str


def address_of(digits: str) -> str:
    """The kernel's hexadecimal address, four bytes at a time in the machine's byte order; raises ValueError."""
    words = [struct.pack("=I", int(digits[at : at + 8], 16)) for at in range(0, len(digits), 8)]
    raw = b"".join(words)
    if len(raw) not in (4, 16):
        raise ValueError(digits)
    text = socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
    return text[7:] if text.startswith("::ffff:") and "." in text else text


def parse_table(text: str, proto: str, state: str) -> List[Listener]:
    """Listening rows of /proc/net/{tcp,udp}{,6}."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != state:
            continue
        try:
            digits, dummy, port = fields[1].partition(":")
            found.append(Listener(proto, address_of(digits), int(port, 16) & 0xFFFF, int(fields[7]), fields[9]))
        except (ValueError, struct.error):
            continue
    return found


def scope(address: str) -> str:
    """loopback (this host), link (this cable), all (every interface) or address (one of its interfaces)."""
    if address in ("0.0.0.0", "::"):  # noqa: S104  compared, not bound
        return "all"
    if address.startswith("127.") or address == "::1":
        return "loopback"
    return "link" if address.startswith(("169.254.", "fe8", "fe9", "fea", "feb")) else "address"


def owners(ctx: Context, wanted: Set[str]) -> Dict[str, Process]:
    """The process behind each socket inode; process 1 last, as it holds sockets for those that it starts."""
    found: Dict[str, Process] = {}
    hidden = False
    for process in sorted(all_processes(ctx), key=lambda process: process.pid == 1):
        if len(found) == len(wanted):
            break
        folder = ctx.path(f"/proc/{process.pid}/fd")
        try:
            descriptors = os.listdir(folder)[:DESCRIPTOR_LIMIT]
        except PermissionError:
            hidden = True
            continue
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                target = os.readlink(f"{folder}/{descriptor}")
            except PermissionError:
                hidden = True
                break
            except OSError:
                continue
            if target.startswith("socket:[") and target[8:-1] in wanted:
                found.setdefault(target[8:-1], process)
    if len(found) < len(wanted):
        closed = "refused even to root" if ctx.is_root else "needs root"
        reason = closed if hidden else "held by the kernel, or outside this system"
        ctx.unread("sockets.process", f"{len(wanted) - len(found)} of {len(wanted)}: {reason}")
    return found


def collect(ctx: Context) -> Dict[str, Any]:
    listeners: List[Listener] = []
    for proto, family, state in TABLES:
        path = f"/proc/net/{proto}{'6' if family == 6 else ''}"
        try:
            listeners += parse_table(ctx.read(path, TABLE_LIMIT), proto, state)
        except FileNotFoundError:
            continue  # no IPv6 on this host
        except OSError as error:
            ctx.unread_error(f"sockets.{path}", error)
    if not ctx.exists("/proc/net/tcp"):
        ctx.unread("sockets", "/proc/net/tcp is absent")
        return {"sockets": None}
    found = owners(ctx, {listener.inode for listener in listeners})
    rows = []
    for listener in sorted(set(listeners), key=lambda one: (one.proto, one.port, one.address, one.inode)):
        process: Optional[Process] = found.get(listener.inode)
        rows.append(
            [
                listener.proto,
                listener.address,
                listener.port,
                scope(listener.address),
                process.name if process else None,
                process.pid if process else None,
                user_name(ctx, listener.uid),
                unit(ctx, process.pid) if process else None,
            ]
        )
    columns = ["proto", "address", "port", "scope", "process", "pid", "user", "unit"]
    return {"sockets": {"columns": columns, "rows": rows}}
