# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Who may become root by sudo, as the rules say."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Tuple

from .context import Context

INCLUDES_LIMIT = 200  # files
SKIPPED = ("Defaults", "User_Alias", "Runas_Alias", "Host_Alias", "Cmnd_Alias", "Cmd_Alias")
INCLUDE = re.compile(r"[@#](includedir|include)\s+(\S+)")


def parse_sudoers(text: str) -> Tuple[List[Dict[str, Any]], List[Tuple[str, str]], Dict[str, str]]:
    """Rules, includes (kind, path) and user aliases of one sudoers file."""
    rules: List[Dict[str, Any]] = []
    includes: List[Tuple[str, str]] = []
    aliases: Dict[str, str] = {}
    for raw in text.replace("\\\n", " ").splitlines():
        line = raw.strip()
        include = INCLUDE.match(line)
        if include:
            includes.append((include.group(1), include.group(2)))
            continue
        if line.startswith("User_Alias"):
            name, equals, members = line[len("User_Alias") :].partition("=")
            if equals:
                aliases[name.strip()] = members.strip()
            continue
        if not line or (line.startswith("#") and not re.match(r"#\d", line)) or line.startswith(SKIPPED):
            continue
        before, equals, grant = line.partition("=")
        who = re.match(r'("[^"]*"|(?:\\.|\S)+(?:\s*,\s*(?:\\.|\S)+)*)\s+\S', before)
        if equals and who:
            rules.append({"who": who.group(1), "grant": grant.strip(), "nopasswd": "NOPASSWD:" in grant})
    return rules, includes, aliases


def collect(ctx: Context) -> Dict[str, Any]:
    waiting = ["/etc/sudoers"]
    seen: List[str] = []
    rules: Optional[List[Dict[str, Any]]] = None
    aliases: Dict[str, str] = {}
    if not ctx.exists("/etc/sudoers"):
        installed = ctx.program("sudo") is not None
        ctx.unread("sudo", "no /etc/sudoers" if installed else "sudo is not installed")
        return {"sudo": None}
    while waiting and len(seen) < INCLUDES_LIMIT:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.append(path)
        try:
            found, includes, more = parse_sudoers(ctx.read(path))
        except OSError as error:
            ctx.unread_error("sudo" if path == "/etc/sudoers" else f"sudo.{path}", error)
            continue
        rules = rules or []
        rules += [dict(rule, file=path) for rule in found]
        aliases.update(more)
        for kind, target in includes:
            if kind == "include":
                waiting.append(target)
            else:  # sudo itself skips names with a dot and editors' backups
                waiting += [
                    f"{target}/{name}"
                    for name in ctx.names_or_none(target)
                    if "." not in name and not name.endswith("~")
                ]
    return {"sudo": None if rules is None else {"rules": rules, "user_aliases": aliases}}
