# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Whether packets that nobody asked for are dropped."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional

from ..host import Host, HostError
from ..listening import Listening, listening
from ..model import ACCESS, Params, Reading, bad, good, manual, stuck
from .sshd import ports

TABLE = "civicops"
FOLDER = "/etc/nftables.d"
OURS = f"{FOLDER}/60-civicops.nft"
INCLUDE = f'include "{OURS}"'
MAINS = ("/etc/sysconfig/nftables.conf", "/etc/nftables.conf")  # RHEL's, where it is; else Debian's
UFW = ("/etc/ufw/user.rules", "/etc/ufw/user6.rules", "/etc/default/ufw", "/etc/ufw/ufw.conf")
UNIT = "nftables.service"
GONE = f"add table inet {TABLE}; delete table inet {TABLE}"  # whether it is there or not
EMPTY = "#!/usr/sbin/nft -f\n\nflush ruleset\n"
_SHUT = ("drop", "reject")


class Firewall:
    """The default for what comes in is to drop. By ufw or firewalld where one of them runs, else by a table of ours.

    What listens now on an outside address stays reachable, and sshd's port always.
    """

    name = "firewall"
    stage = ACCESS
    wanted = "what comes in unasked is dropped"

    def __init__(self, params: Params) -> None:
        params.text("default", "drop", ("drop",))
        params.done()
        self.units: List[str] = [UNIT, "firewalld.service"]

    def current(self, host: Host) -> Reading:
        if host.units(self.units)["firewalld.service"].active == "active":
            return self._firewalld(host)
        if re.search(r"^ENABLED=yes\s*$", host.reading("/etc/ufw/ufw.conf") or "", re.M | re.I):
            policy = ufw_policy(host)
            return good(f"ufw: {policy}") if policy in _SHUT else bad(f"ufw: {policy}")
        if not host.program("nft"):
            if "nftables" in host.coming and (host.dry or "nftables" not in host.packages()):
                return bad("no packet filter")
            return manual("no packet filter", "nftables is not installed")
        return self._nftables(host)

    @staticmethod
    def _firewalld(host: Host) -> Reading:
        zone = re.search(r"^DefaultZone=(\w+)", host.reading("/etc/firewalld/firewalld.conf") or "", re.M)
        name = zone.group(1) if zone else "public"
        texts = [
            host.reading(f"{folder}/{name}.xml") for folder in ("/etc/firewalld/zones", "/usr/lib/firewalld/zones")
        ]
        text = next((one for one in texts if one), "")
        if re.search(r'<zone[^>]*target="ACCEPT"', text):
            return manual(f"firewalld: zone {name} lets everything in", "a zone is for people to choose")
        return good(f"firewalld: zone {name}")

    def _nftables(self, host: Host) -> Reading:
        status, output = host.ask(["nft", "-j", "list", "ruleset"])
        if status != 0:
            return stuck(
                "not to be seen", "this host may not look at its packet filter, as containers may not", todo=False
            )
        chains = input_chains(output)
        ours = [chain for chain in chains if chain["table"] == TABLE]
        theirs = [chain for chain in chains if chain["table"] != TABLE]
        shut = {str(chain["family"]) for chain in theirs if chain["policy"] in _SHUT}
        if "inet" in shut or {"ip", "ip6"} <= shut:
            return good("dropped, by rules that are not ours")
        used = [chain for chain in theirs if chain["rules"] or chain["policy"] in _SHUT]
        if used:
            names = ", ".join(sorted({f"{chain['family']} {chain['table']}" for chain in used}))
            return manual(f"let in where no rule says otherwise: {names}"[:200], "these rules are not ours")
        lasting = self._lasting(host)
        if ours and lasting:
            return good("dropped")
        if host.dry and OURS in host.touched:
            return good("written")
        return bad("dropped until the next start" if ours else "let in")

    @staticmethod
    def _lasting(host: Host) -> bool:
        """Whether the next start loads our table."""
        text = host.reading(_main(host)) or ""
        enabled = host.units([UNIT])[UNIT].enabled.startswith("enabled")
        return enabled and host.exists(OURS) and INCLUDE in text.splitlines()

    def apply(self, host: Host) -> None:
        found = listening(host, ports(host))
        if re.search(r"^ENABLED=yes\s*$", host.reading("/etc/ufw/ufw.conf") or "", re.M | re.I):
            self._by_ufw(host, found)
            return
        if not host.program("nft") and not (host.dry and "nftables" in host.coming):
            raise HostError("nftables is not installed")
        if not host.exists(OURS):
            host.afterwards(["nft", GONE])
        host.write(OURS, ruleset(found), mode=0o600)
        text = host.text(_main(host))
        text = EMPTY if text is None else text
        if INCLUDE not in text.splitlines():
            # Last: what stands before may flush the ruleset.
            host.write(_main(host), f"{text.rstrip(chr(10))}\n{INCLUDE}\n", mode=None)
        if not host.units([UNIT])[UNIT].enabled.startswith("enabled"):
            host.unit(UNIT, "enable")  # and not started: that would flush what others (Docker) have loaded
        host.reload("nftables")

    @staticmethod
    def _by_ufw(host: Host, found: Listening) -> None:
        for proto, numbers in (("tcp", found.tcp), ("udp", found.udp)):
            for port in sorted(numbers):
                host.change(list(UFW), ["ufw", "allow", f"{port}/{proto}"])
        host.change(list(UFW), ["ufw", "default", "deny", "incoming"])
        host.reload("ufw")


def _main(host: Host) -> str:
    return MAINS[0] if host.exists(MAINS[0]) else MAINS[1]


def ufw_policy(host: Host) -> str:
    """What ufw does with what no rule names: drop, reject or accept."""
    found = re.search(r'^DEFAULT_INPUT_POLICY="?(\w+)"?', host.reading("/etc/default/ufw") or "", re.M)
    return found.group(1).lower() if found else "accept"


def input_chains(text: str) -> List[Dict[str, Any]]:
    """Chains that incoming packets go through, of C(nft -j list ruleset): family, table, policy, number of rules.

    :raises HostError: that is not what it printed.
    """
    try:
        items = json.loads(text)["nftables"]
        rows = [item for item in items if isinstance(item, dict)]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HostError("nft -j list ruleset: no such JSON as is expected") from error
    chains: Dict[Any, Dict[str, Any]] = {}
    for chain in (row["chain"] for row in rows if isinstance(row.get("chain"), dict)):
        if chain.get("hook") == "input" and chain.get("type") == "filter":
            key = (chain.get("family"), chain.get("table"), chain.get("name"))
            names = {"family": key[0], "table": key[1]}
            chains[key] = {**names, "policy": str(chain.get("policy", "accept")).lower(), "rules": 0}
    for rule in (row["rule"] for row in rows if isinstance(row.get("rule"), dict)):
        one: Optional[Dict[str, Any]] = chains.get((rule.get("family"), rule.get("table"), rule.get("chain")))
        if one is not None:
            one["rules"] += 1
    return list(chains.values())


def ruleset(found: Listening) -> str:
    """Our table, in nft's words; it replaces itself in one transaction."""
    lines = [
        'iif "lo" accept',
        "ct state established,related accept",
        f"meta l4proto {{ {_numbers(found.protocols)} }} accept",
        'udp dport { 68, 546 } accept comment "DHCP\'s answers"',
        f"tcp dport {{ {_numbers(found.tcp)} }} accept",
    ]
    if found.udp:
        lines.append(f"udp dport {{ {_numbers(found.udp)} }} accept")
    rules = "\n".join(f"        {line}" for line in lines)
    return f"""# Written by civicops.town baseline, with the ports on which something listened then.
# For another one: a line like them, and `nft -f {OURS}`.
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
    chain input {{
        type filter hook input priority filter; policy drop;
{rules}
    }}
}}
"""


def _numbers(found: Any) -> str:
    return ", ".join(map(str, sorted(found)))
