"""Who else could delete a backup: keys and accounts that are good on the backup server and elsewhere, by host-facts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from civicops.assess.facts import Facts
from civicops.assess.recovery_known import Host, Recovery, brief, listed

ROOTLIKE = frozenset({"root", "sudo", "wheel", "admin", "disk", "docker", "lxd", "libvirt"})
"""Groups whose members can have root's power; of host-facts' groups those that merely see much are left out."""
PASSWORDS = {"passwordauthentication": "password", "kbdinteractiveauthentication": "keyboard-interactive"}


@dataclass(frozen=True)
class Access:
    """What was seen, and what could not be: nothing of either is fine."""

    seen: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __add__(self, other: Access) -> Access:
        return Access(self.seen + other.seen, self.unknown + other.unknown)


def masters(facts: Facts) -> frozenset[str] | None:
    """The users that may become root; None where that is not known.

    Where a rule of sudo is for a group or an alias that facts do not resolve, anybody may be meant.
    """
    users = facts.get("users")
    if users is None or (facts.get("sudo") is None and "not installed" not in (facts.why_unread("sudo") or "")):
        return None
    names = frozenset(str(one["name"]) for one in users)
    found = {
        str(one["name"]) for one in users if one["uid"] == 0 or ROOTLIKE.intersection(one.get("power_groups") or ())
    }
    for rule in facts.get("sudo", "rules") or ():
        for who in re.split(r"\s*,\s*", str(rule["who"])):
            if who.lstrip("%") not in ROOTLIKE and who not in names:
                return names
            found |= {who} & names
    return frozenset(found)


def shared_keys(host: Host, server: Host) -> Access:
    """Keys that open a host, and its backup server as somebody who may become root there."""
    here, there = host.known, server.known
    lacking = tuple(f"the keys of {brief(one.name)} are not known" for one in (host, server) if one.known is None)
    if here is None or there is None:
        return Access(unknown=lacking)
    powerful = masters(there)
    if powerful is None:
        lacking += (f"who may become root on {brief(server.name)} is not known",)
    lacking += tuple(why for one, facts in ((host, here), (server, there)) if (why := _unread_keys(one.name, facts)))
    opens = {one["sha256"]: one for one in _keys(here)}
    both = [
        f"the key {one['sha256'][:12]}… ({brief(one.get('comment') or 'without a name')}) opens it, and "
        f"{brief(server.name)} as {brief(one['user'])}"
        for one in _keys(there)
        if one["sha256"] in opens and one["user"] in (powerful or ()) and "command" not in (one.get("options") or ())
    ]
    return Access(tuple(dict.fromkeys(both)), lacking)


def _keys(facts: Facts) -> list[dict[str, Any]]:
    return [one for one in facts.get("ssh", "authorized_keys") or () if isinstance(one, dict)]


def _unread_keys(name: str, facts: Facts) -> str:
    if facts.get("ssh", "authorized_keys") is None:
        return f"the keys of {brief(name)} are not known"
    if why := facts.why_unread("ssh.authorized_keys"):
        return f"not all keys of {brief(name)} are known: {brief(why)}"
    if facts.get("ssh", "settings", "authorizedkeyscommand"):
        return f"{brief(name)} asks a program for further keys"
    return ""


def strangers(town: Recovery, server: Host, body: dict[str, Any]) -> Access:
    """Ways to power on a backup server that somebody has who has the town's accounts: its directory, passwords."""
    name = brief(server.name)
    if "domain" not in body:
        found = Access(unknown=(f"whether {name} is in a directory is not known",))
    elif body["domain"] is not None:
        found = Access((f"{name} is in the directory {brief(body['domain'])}, whose administrators may log in there",))
    else:
        found = Access()
    facts = server.known
    if facts is None:
        return found + Access(unknown=(f"accounts and logins of {name} are not known",))
    return found + _password_logins(name, facts) + _twins(town, server, facts)


def _password_logins(name: str, facts: Facts) -> Access:
    settings = facts.get("ssh", "settings")
    if settings is None:
        why = facts.why_unread("ssh.settings") or "it did not tell"
        if why == "sshd is not installed":
            return Access()
        return Access(unknown=(f"whether {name} takes passwords over SSH is not known: {brief(why)}",))
    taken = [word for key, word in PASSWORDS.items() if settings.get(key) == "yes"]
    if taken:
        return Access((f"{name} takes logins by {' and '.join(taken)} over SSH",))
    told = settings.get("passwordauthentication") == "no"
    return Access() if told else Access(unknown=(f"whether {name} takes passwords over SSH is not known",))


def _twins(town: Recovery, server: Host, facts: Facts) -> Access:
    """Administrators of the server that have a password there, and by the same name one on a host that is backed up."""
    powerful = masters(facts)
    users = _with_password(facts)
    if powerful is None or users is None:
        return Access(unknown=(f"who may become root on {brief(server.name)}, and by a password, is not known",))
    seen: list[str] = []
    unknown: list[str] = []
    for host, _, _ in town.clients:
        if host.name == server.name:
            continue
        theirs = _with_password(host.known) if host.known else None
        if theirs is None:
            unknown.append(host.name)
        elif both := sorted(powerful & users & theirs):
            seen.append(f"{listed(both, 3)} on {brief(host.name)}")
    told = (f"administrators of {brief(server.name)} have a password elsewhere too: {listed(seen, 3)}",)
    lacking = (f"which accounts of {listed(unknown, 3)} have a password is not known",)
    return Access(told if seen else (), lacking if unknown else ())


def _with_password(facts: Facts) -> frozenset[str] | None:
    users = facts.get("users")
    if users is None or any(one.get("password") is None for one in users):
        return None
    return frozenset(str(one["name"]) for one in users if one["password"]["state"] in ("set", "empty"))
