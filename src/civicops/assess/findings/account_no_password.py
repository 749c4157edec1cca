"""An account that anybody may use, as it has no password at all."""

from __future__ import annotations

from collections.abc import Iterator

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said
from civicops.assess.measures import password_state, without_password
from civicops.assess.recovery_known import listed


class AccountNoPassword(HostFinding):
    id = "account-no-password"
    title = "An account has no password"
    severity = "critical"
    frameworks = ("CIS v8 5.2", "NIST 800-53 IA-5", "CJIS IA-5")
    remedy = "Lock the account (passwd -l), or give it a password."
    effort = "low"
    reads = ("users",)
    despite = ("users.last_login", "users.directory")

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        users = facts.get("users")
        if not users:
            yield self.not_known(facts, "which accounts it has is")
            return
        if empty := [one["name"] for one in users if without_password(one)]:
            yield Said("found", f"without any password: {listed(empty)}")
        elif unknown := [one["name"] for one in users if password_state(one) is None]:
            why = facts.why_unread("users.password") or "no line of theirs was read"
            yield Said("unknown", f"whether they have a password is not known: {listed(unknown)} ({listed([why])})")
        else:
            yield Said("fine", f"no local account is without a password, of {len(users)} that can log in")


FINDING = AccountNoPassword()
