"""What was installed against holes does not run yet: the host wants to be started anew, and has wanted it for long."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said, cells, clock
from civicops.assess.measures import moment_of
from civicops.assess.recovery_known import listed

DUE = timedelta(days=14)
"""How long a reboot may be wanted: a weekly window, and one that was missed. CJIS 6.0: critical patches in 15 days."""
LONG = timedelta(days=30)
"""CJIS 6.0's time for patches of high severity."""
_KERNEL = re.compile(r"linux-image-[0-9a-z.+~-]{1,80}|kernel(-core|-default|-uek|-modules|-modules-core)?")
_OF_PROCESS_1 = frozenset({"libc6", "glibc", "systemd", "libssl3", "libssl3t64", "openssl-libs"})


class RebootOverdue(HostFinding):
    id = "reboot-overdue"
    title = "A reboot is overdue"
    severity = "medium"
    frameworks = ("CIS v8 7.3", "NIST 800-53 SI-2", "CJIS SI-2")
    remedy = "Reboot it in the next window; let patch nights reboot by themselves."
    effort = "low"
    reads = ("reboot",)

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        wanted = facts.get("reboot", "wanted")
        if wanted is None:
            yield self.not_known(facts, "whether a reboot is wanted is", "reboot", "identity.kernel")
        elif not wanted:
            yield Said("fine", "no reboot is wanted")
        else:
            yield self._wanted(host, facts)

    def _wanted(self, host: Host, facts: Facts) -> Said:
        why = f"a reboot is wanted ({listed(facts.get('reboot', 'reasons') or ('without a reason',), 3)})"
        now, booted = clock(host), moment_of(facts.get("identity", "booted_at"))
        if booted is None or booted > now:
            return Said("unknown", f"{why}; since when is not known, as its last start is not")
        since = self._since(facts, booted, now)
        waits = now - (since or booted)
        if waits <= DUE:
            known = "since it was started" if since is None else "as far as its packages tell"
            return Said("fine", f"{why}, for {waits.days} days, {known}")
        if since is None:
            return Said("unknown", f"{why}; it runs for {waits.days} days, and since when it is wanted is not known")
        return Said("found", f"{why}, for {waits.days} days at least", "high" if waits > LONG else None)

    @staticmethod
    def _since(facts: Facts, booted: datetime, now: datetime) -> datetime | None:
        """When the first of the packages was installed, after the start, that a start alone brings into use."""
        reasons = " ".join(str(one) for one in facts.get("reboot", "reasons") or ())[:4000]
        named = set(re.split(r"[ ,:]+", reasons)) | (_OF_PROCESS_1 if "process 1" in reasons else set())
        installed = (
            moment_of(row.get("installed_at"))
            for row in cells(facts, "packages")
            if row.get("name") in named or _KERNEL.fullmatch(str(row.get("name")))
        )
        return min((one for one in installed if one is not None and booted < one <= now), default=None)


FINDING = RebootOverdue()
