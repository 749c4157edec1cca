"""An account with a password or a key, that has been there for weeks, and nobody has ever used."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from civicops.assess.accounts import expired, lasting_record, people
from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said, clock
from civicops.assess.measures import day_of
from civicops.assess.recovery_known import brief, listed

NEW = timedelta(days=30)
"""How long an account may wait for its first login. CISA CPG 2.0 has unused ones disabled at about 30 days."""


class AccountNeverUsed(HostFinding):
    id = "account-never-used"
    title = "An account was never used"
    severity = "medium"
    frameworks = ("CIS v8 5.3", "NIST 800-53 AC-2(3)", "CJIS AC-2(3)")
    remedy = "Ask whose it is; lock it (passwd -l, and take its keys away) if nobody needs it."
    effort = "low"
    reads = ("users", "ssh.authorized_keys")
    despite = ("users.directory", "ssh.authorized_keys.root")

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        accounts = people(facts)
        if accounts is None:
            yield self.not_known(facts, "which accounts it has is")
            return
        today = clock(host).date()
        unused = [one for one in accounts if one.get("last_login") is None and not expired(one, today)]
        old = [one["name"] for one in unused if self._is_old(one, today) is True]
        undated = [one["name"] for one in unused if self._is_old(one, today) is None]
        if unused and not lasting_record(facts):
            why = facts.why_unread("users.last_login") or f"its record of logins is {facts.get('last_login_basis')}"
            names = listed(one["name"] for one in unused)
            yield Said("unknown", f"whether they were ever used is not known: {names} ({brief(why)})")
        elif old:
            yield Said("found", f"no login of theirs was ever recorded: {listed(old)}")
        elif undated:
            yield Said(
                "unknown",
                f"no login of theirs was recorded, and since when they are there is not known: {listed(undated)}",
            )
        else:
            text = f"no local account of a person's waits for its first login for more than {NEW.days} days"
            yield Said("fine", f"{text}, of {len(accounts)}")

    @staticmethod
    def _is_old(user: dict[str, Any], today: Any) -> bool | None:
        """By the day on which its password was set, which is not before the account's own first day."""
        changed = day_of((user.get("password") or {}).get("changed"))
        return None if changed is None else today - changed > NEW


FINDING = AccountNeverUsed()
