# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Whether packets are filtered on this host."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

from .context import CommandError, Context
from .processes import all_processes

FIREWALL_SECONDS = 5.0


def parse_nft(text: str) -> Optional[Dict[str, Any]]:
    """Number of rules, and the policies of the chains that hook incoming packets, of `nft -j list ruleset`."""
    try:
        items = json.loads(text)["nftables"]
    except (ValueError, KeyError, TypeError):
        return None
    rules = 0
    policies: List[str] = []
    for item in items if isinstance(items, list) else []:
        if not isinstance(item, dict):
            continue
        rules += "rule" in item
        chain = item.get("chain")
        if isinstance(chain, dict) and chain.get("hook") == "input":
            policies.append(f"{chain.get('family')} {chain.get('table')} {chain.get('policy', 'accept')}")
    return {"rules": rules, "input_policies": policies}


def parse_iptables(text: str) -> Dict[str, Any]:
    """The same of `iptables-save`."""
    lines = text.splitlines()
    policies = [f"ip {words[0][1:]} {words[1].lower()}" for words in (line.split() for line in lines)
                if len(words) > 1 and words[0] == ":INPUT"]  # fmt: skip
    return {"rules": sum(1 for line in lines if line.startswith("-A ")), "input_policies": policies}


def ruleset(ctx: Context) -> Optional[Dict[str, Any]]:
    if not ctx.is_root:
        ctx.unread("firewall.rules", "needs root")
        return None
    for name, arguments in (("nft", ["-j", "list", "ruleset"]), ("iptables-save", [])):
        program = ctx.program(name)
        if program is None:
            continue
        try:
            status, output = ctx.run([program, *arguments], FIREWALL_SECONDS)
        except CommandError as error:
            ctx.unread_error("firewall.rules", error)
            continue
        answer = parse_nft(output) if name == "nft" else parse_iptables(output)
        if status == 0 and answer is not None:
            return dict(answer, asked=name)
        ctx.unread("firewall.rules", f"{name}: exit status {status}")
    ctx.unread("firewall.rules", "neither nft nor iptables-save is there to ask")
    return None


def collect(ctx: Context) -> Dict[str, Any]:
    names = {process.name for process in all_processes(ctx)}
    ufw = ctx.read_or("/etc/ufw/ufw.conf")
    legacy = ctx.read_or("/proc/net/ip_tables_names")
    return {
        "firewall": {
            "ufw_enabled": None
            if ufw is None
            else any(line.strip().lower() == "enabled=yes" for line in ufw.splitlines()),
            "firewalld_running": "firewalld" in names,
            "legacy_tables": legacy.split() if legacy is not None else None,
            "ruleset": ruleset(ctx),
        }
    }
