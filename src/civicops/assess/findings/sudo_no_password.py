"""Everybody on the host may become root without being asked for anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said
from civicops.assess.recovery_known import listed

_EVERYBODY = frozenset({"ALL", "%users", "%everyone", "%domain users", "%domain\\ users"})
_ALL_COMMANDS = re.compile(r"(?<![A-Za-z_!])ALL(?![A-Za-z_])")


class SudoNoPassword(HostFinding):
    id = "sudo-no-password"
    title = "Everybody may use sudo without a password"
    severity = "critical"
    frameworks = ("CIS v8 5.4", "NIST 800-53 AC-6", "CJIS AC-6")
    remedy = "Take the rule out of sudoers, or name the few who need it."
    effort = "low"
    reads = ("sudo",)

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        if facts.get("sudo") is None:
            if "not installed" in (facts.why_unread("sudo") or ""):
                yield Said("fine", "it has no sudo")
            else:
                yield self.not_known(facts, "who may use sudo is")
            return
        everybody = _for_everybody(facts.get("sudo", "user_aliases") or {})
        rules = [
            rule
            for rule in facts.get("sudo", "rules") or ()
            if rule.get("nopasswd") and not everybody.isdisjoint(_names(str(rule.get("who"))))
        ]
        if not rules:
            yield Said("fine", "no rule gives everybody sudo without a password")
            return
        grants = [str(rule.get("grant")) for rule in rules]
        every = any(_any_command(grant) for grant in grants)
        what = "any command" if every else f"some commands ({listed(grants, 2)})"
        files = listed({str(rule.get("file") or "sudoers") for rule in rules}, 3)
        yield Said(
            "found", f"everybody may run {what} by sudo without a password: {files}", None if every else "medium"
        )

    def matters(self, item: str, reason: str) -> bool:
        """Without sudo there are no rules to read."""
        return not (item == "sudo" and "not installed" in reason)


def _any_command(grant: str) -> bool:
    """Whether what may be run without a password is every command."""
    free = [part.partition("PASSWD:")[0] for part in grant.split("NOPASSWD:")[1:]]
    return any(_ALL_COMMANDS.search(part) for part in free)


def _for_everybody(aliases: Mapping[str, object]) -> set[str]:
    """The names that mean everybody: sudo's own word, groups that all are in, and aliases of these, or of others."""
    members = {name: _names(str(text)) for name, text in aliases.items()}
    found = set(_EVERYBODY)
    while more := {name for name, theirs in members.items() if name not in found and not found.isdisjoint(theirs)}:
        found |= more
    return found


def _names(who: str) -> set[str]:
    """The users, groups and aliases of a list; groups in small letters, as a directory does not tell them apart."""
    names = {one.strip().strip('"') for one in who.split(",")}
    return {name.lower() if name.startswith("%") else name for name in names}


FINDING = SudoNoPassword()
