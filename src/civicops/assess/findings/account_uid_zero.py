"""A second root: an account with another name, all of root's power, and often nobody who knows of it."""

from __future__ import annotations

from collections.abc import Iterator

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said
from civicops.assess.recovery_known import listed


class AccountUidZero(HostFinding):
    id = "account-uid-zero"
    title = "There is more than one root"
    severity = "high"
    frameworks = ("CIS v8 5.4", "NIST 800-53 AC-6", "NIST 800-53 IA-4", "CJIS AC-6")
    remedy = "Find out who made it and why; give its user a uid of their own, and sudo if needed."
    effort = "low"
    reads = ("users",)
    despite = ("users.last_login", "users.directory", "users.password")

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        users = facts.get("users")
        if not users:
            yield self.not_known(facts, "which accounts it has is")
            return
        others = [one["name"] for one in users if one.get("uid") == 0 and one["name"] != "root"]
        if others:
            yield Said("found", f"with root's number, 0: {listed(others)}")
        else:
            yield Said("fine", "nobody but root has root's number, 0")


FINDING = AccountUidZero()
