"""An account with an administrator's power that is nobody's: who has used it can't be told afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from civicops.assess.accounts import expired, people
from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said, clock, data
from civicops.assess.recovery_access import ROOTLIKE, masters
from civicops.assess.recovery_known import listed


class AccountShared(HostFinding):
    id = "account-shared"
    title = "Administrators share an account"
    severity = "medium"
    frameworks = ("CIS v8 5.4", "NIST 800-53 IA-2", "CJIS IA-2")
    remedy = "Give each administrator an account of their own, and lock the shared one."
    effort = "medium"
    reads = ("users", "sudo", "ssh.authorized_keys")
    despite = ("users.last_login", "users.directory", "ssh.authorized_keys.root")

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        accounts = people(facts)
        if accounts is None:
            yield self.not_known(facts, "which accounts it has is")
            return
        today = clock(host).date()
        shared = [one for one in accounts if str(one["name"]).lower() in _names() and not expired(one, today)]
        able = masters(facts) or frozenset()
        if found := [one["name"] for one in shared if ROOTLIKE.intersection(one.get("power_groups") or ())]:
            yield Said("found", f"named for no person, with an administrator's power: {listed(found)}")
        elif doubtful := [one["name"] for one in shared if one["name"] in able or one.get("power_groups") is None]:
            yield Said("unknown", f"named for no person, and may have an administrator's power: {listed(doubtful)}")
        elif shared and masters(facts) is None:
            names = listed(one["name"] for one in shared)
            yield self.not_known(facts, f"named for no person: {names}; whether they may become root is", "sudo")
        else:
            yield Said("fine", "no local account with an administrator's power is named for more than one person")

    def matters(self, item: str, reason: str) -> bool:
        """Without sudo nobody has power by it."""
        return super().matters(item, reason) and not (item == "sudo" and "not installed" in reason)


@cache
def _names() -> frozenset[str]:
    return frozenset(data("account_shared")["names"])


FINDING = AccountShared()
