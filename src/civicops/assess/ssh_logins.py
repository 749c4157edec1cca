"""What sshd's effective settings say of logins by password. What a `Match` block changes for some is not in them."""

from __future__ import annotations

from collections.abc import Mapping

from civicops.assess.facts import Facts
from civicops.assess.host_finding import Said
from civicops.assess.recovery_access import PASSWORDS
from civicops.assess.recovery_known import brief

NO_SERVER = "sshd is not installed"
"""How host-facts say that there is no SSH server."""
# The methods for which a password is enough, by their names in AuthenticationMethods.
_WEAK = frozenset({"password", "keyboard-interactive", "none", "any"})


def takes_passwords(facts: Facts) -> Said:
    """Whether somebody may log in who has nothing but a password."""
    settings = facts.get("ssh", "settings")
    if not isinstance(settings, Mapping):
        why = facts.why_unread("ssh.settings") or facts.why_unread("ssh") or "the host did not tell"
        if why == NO_SERVER:
            return Said("fine", "it has no SSH server")
        return Said("unknown", f"whether it takes passwords over SSH is not known: {brief(why)}")
    taken = [word for key, word in PASSWORDS.items() if settings.get(key) == "yes"]
    if taken and _demands_more(str(settings.get("authenticationmethods") or "any")):
        return Said("fine", "it takes passwords beside a key or another proof only")
    if taken:
        return Said("found", f"it takes logins by {' and '.join(taken)} over SSH")
    if any(settings.get(key) != "no" for key in PASSWORDS):
        return Said("unknown", "whether it takes passwords over SSH is not known: not all of sshd's settings are there")
    return Said("fine", "it takes no passwords over SSH")


def _demands_more(methods: str) -> bool:
    """Whether each of the lists, of which one is enough, holds a proof that is no password."""
    return all(any(method.partition(":")[0] not in _WEAK for method in one.split(",")) for one in methods.split())


def root_is_left_out(facts: Facts) -> bool | None:
    """Whether lists of users keep root out; None where that depends on groups that are not known.

    A name with a pattern in it may mean root.
    """
    settings = facts.get("ssh", "settings") or {}
    words = {
        key: str(settings.get(key) or "").split() for key in ("denyusers", "allowusers", "denygroups", "allowgroups")
    }
    if "root" in words["denyusers"] or "root" in words["denygroups"]:
        return True
    names = [word.partition("@")[0] for word in words["allowusers"]]
    if names and not any(name == "root" or set(name) & set("*?!") for name in names):
        return True
    return None if words["allowgroups"] and "root" not in words["allowgroups"] else False
