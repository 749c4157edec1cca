# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The table of collectors, and the one place that turns a collector's failure into an C(unread) entry."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Optional, Tuple, TypeVar

from . import (
    accounts,
    agents,
    filesystems,
    firewall,
    hardware,
    identity,
    network,
    packages,
    reboot,
    services,
    sockets,
    sources,
    ssh,
    sudo,
    timesync,
    updates,
)
from .bounds import bounded
from .context import Context, utc

T = TypeVar("T")
Collector = Callable[[Context], Dict[str, Any]]

# The order matters only for what is shared: packages before what asks which are installed.
COLLECTORS: Tuple[Tuple[str, Collector], ...] = (
    ("identity", identity.collect),
    ("hardware", hardware.collect),
    ("filesystems", filesystems.collect),
    ("network", network.collect),
    ("sockets", sockets.collect),
    ("packages", packages.collect),
    ("package_sources", sources.collect),
    ("updates", updates.collect),
    ("reboot", reboot.collect),
    ("services", services.collect),
    ("users", accounts.collect),
    ("sudo", sudo.collect),
    ("ssh", ssh.collect),
    ("time_sync", timesync.collect),
    ("firewall", firewall.collect),
    ("agents", agents.collect),
)

# What takes its time outside this process, so that it runs meanwhile.
STARTERS: Tuple[Callable[[Context], None], ...] = (services.start, ssh.start)


def guarded(ctx: Context, name: str, collector: Callable[[Context], T]) -> Optional[T]:
    """The last line of defence: one odd file must not cost the rest of the document."""
    try:
        return collector(ctx)
    except Exception as error:
        ctx.unread(name, f"{type(error).__name__}: {ctx.shown(str(error))}")
        return None


def collect(ctx: Context, collectors: Tuple[Tuple[str, Collector], ...] = COLLECTORS) -> Dict[str, Any]:
    """The whole document body."""
    started = time.monotonic()
    document: Dict[str, Any] = {"host_time": utc(ctx.now), "seen_as_root": ctx.is_root}
    try:
        for starter in STARTERS:
            guarded(ctx, "commands", starter)
        for name, collector in collectors:
            document.update(guarded(ctx, name, collector) or {})
    finally:
        ctx.close()
    document["took_seconds"] = round(time.monotonic() - started, 3)
    return bounded(ctx, document)
