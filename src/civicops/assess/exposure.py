"""Whether a host can be reached from the Internet, as far as that is known.

Who looks after the town knows best: Ansible's group `exposed` says that it can (by a router's forwarding or a proxy
too), `internal` that it can't. Else by the host's own facts: a public IPv4 address together with a socket that listens
on it is exposed; a host that nothing listens on beyond itself is not. All else is not known: from a private address
nobody can tell what a router forwards to it, and from a public IPv6 address not what the router lets through.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_interface

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts

EXPOSED, INTERNAL = "exposed", "internal"
"""The groups of the inventory that say it."""
_REACHED = ("all", "address")
"""Scopes of a socket that more than the host itself and its own link can reach."""


@dataclass(frozen=True)
class Exposure:
    """Whether it is exposed (None: not known), and why."""

    value: bool | None
    why: str


NOTHING = Exposure(None, "nothing is known of it")


def exposures(estate: Estate) -> dict[str, Exposure]:
    """Of each host and each network device of the inventory."""
    found = {host.name: exposure(host, groups_known=estate.groups is not None) for host in estate.hosts.values()}
    groups = estate.groups or {}
    for name in estate.devices:
        found[name] = _by_groups({one for one in (EXPOSED, INTERNAL) if name in groups.get(one, ())}) or NOTHING
    return found


def exposure(host: Host, *, groups_known: bool = True) -> Exposure:
    """Whether a host is exposed. `groups_known`: whether the inventory could be read."""
    if (told := _by_groups(host.groups)) is not None:
        return told
    if host.facts is None:
        return Exposure(None, "it has not answered yet")
    return _by_facts(host.facts, good_news=groups_known and host.told is not None and not host.told.old)


def _by_groups(groups: set[str] | frozenset[str]) -> Exposure | None:
    if EXPOSED in groups:
        return Exposure(True, f"it is in the group {EXPOSED}")
    if INTERNAL in groups:
        return Exposure(False, f"it is in the group {INTERNAL}")
    return None


def _by_facts(facts: Facts, *, good_news: bool) -> Exposure:
    sockets, addresses = facts.rows("sockets"), list(_public(facts))
    open_ones = [one for one in sockets or () if one.get("scope") in _REACHED]
    for one in open_ones:
        if addresses and (one["scope"] == "all" or str(one.get("address")) in addresses):
            return Exposure(True, "it has a public address, and listens on it")
    if sockets is None:
        return Exposure(None, "its sockets could not be read")
    if _cut(facts):
        return Exposure(None, "its sockets could be read in part only")
    if not open_ones:
        why = "nothing on it listens to other hosts"
        return Exposure(False, why) if good_news else Exposure(None, f"{why}, by an answer that is too old or alone")
    return Exposure(
        None, f"it listens, and whether the Internet gets there is not known: group {EXPOSED} or {INTERNAL}"
    )


def _cut(facts: Facts) -> bool:
    """Whether there may be more sockets than were read; whose they are is of no matter here."""
    unread = {str(one.get("item")) for one in facts.body.get("unread") or ()}
    return any(item.partition(".")[0] == "sockets" and item != "sockets.process" for item in unread)


def _public(facts: Facts) -> Iterator[str]:
    """Its public IPv4 addresses."""
    for interface in facts.get("network", "interfaces") or ():
        for text in interface.get("addresses") or ():
            try:
                address = ip_interface(text).ip
            except ValueError:
                continue
            if isinstance(address, IPv4Address) and address.is_global:
                yield str(address)
