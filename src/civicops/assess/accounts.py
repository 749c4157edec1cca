"""What facts tell of the accounts of a host: who may log in how, and for how long nobody has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from civicops.assess.facts import Facts
from civicops.assess.measures import day_of, password_state

PEOPLE = 1000
"""The first uid that is given to people: login.defs of Debian, Red Hat and SUSE."""
NOBODY = 65534


def people(facts: Facts) -> list[dict[str, Any]] | None:
    """The accounts of people that can log in with something: a password that is set, or a key that is known.

    None where accounts were not read: no system is without any.
    """
    users = facts.get("users")
    if not users:
        return None
    keys = {str(one.get("user")) for one in facts.get("ssh", "authorized_keys") or ()}
    return [
        one
        for one in users
        if PEOPLE <= one.get("uid", 0) != NOBODY
        and (password_state(one) in ("set", "empty", None) or one.get("name") in keys)
    ]


def expired(user: Mapping[str, Any], today: date) -> bool:
    """Whether an account was closed by its own date."""
    ends = day_of((user.get("password") or {}).get("account_expires"))
    return ends is not None and ends <= today


def lasting_record(facts: Facts) -> bool:
    """Whether logins are kept for good: wtmp alone is begun anew each month."""
    kept = str(facts.get("last_login_basis") or "")
    return any(word in ("lastlog", "lastlog2", "wtmpdb") for word in kept.split(", "))
