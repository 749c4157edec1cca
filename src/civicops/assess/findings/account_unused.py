"""An account that was used once, and not for a long time: nobody will notice when somebody else does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from civicops.assess.accounts import expired, people
from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said, clock
from civicops.assess.measures import has_power, moment_of
from civicops.assess.recovery_known import listed

UNUSED = timedelta(days=90)
"""CJIS 6.0, AC-2(3), has accounts disabled that were inactive for 90 days; CIS v8 5.3 says 45, CPG 2.0 about 30."""


class AccountUnused(HostFinding):
    id = "account-unused"
    title = "An account was not used for 90 days"
    severity = "low"
    frameworks = ("CIS v8 5.3", "NIST 800-53 AC-2(3)", "CJIS AC-2(3)")
    remedy = "Ask whose it is; lock it (passwd -l, and take its keys away) if nobody needs it."
    effort = "low"
    reads = ("users", "ssh.authorized_keys")
    despite = ("users.directory", "users.password", "ssh.authorized_keys.root")

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        accounts = people(facts)
        if accounts is None:
            yield self.not_known(facts, "which accounts it has is")
            return
        now, old, powerful = clock(host), [], False
        for one in accounts:
            last = moment_of(one.get("last_login")) if one.get("last_login") else None
            if last is not None and now - last > UNUSED and not expired(one, now.date()):
                old.append(f"{one['name']} (since {last:%Y-%m-%d})")
                powerful = powerful or has_power(one)
        if old:
            yield Said("found", f"not used for {UNUSED.days} days: {listed(old)}", "medium" if powerful else None)
        elif facts.get("last_login_basis") is None and accounts:
            yield self.not_known(facts, "when its accounts were used is", "users.last_login")
        else:
            yield Said("fine", f"every account of people that was ever used was so within {UNUSED.days} days")


FINDING = AccountUnused()
