"""Root may log in over SSH with a password, which anybody who reaches the port may try to guess."""

from __future__ import annotations

from collections.abc import Iterator

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said
from civicops.assess.measures import password_state
from civicops.assess.recovery_known import brief
from civicops.assess.ssh_logins import NO_SERVER, root_is_left_out, takes_passwords


class SshRootPassword(HostFinding):
    id = "ssh-root-password"
    title = "Root may log in over SSH with a password"
    severity = "high"
    frameworks = ("CIS v8 5.4", "NIST 800-53 AC-6", "NIST 800-53 AC-17", "CJIS AC-6")
    remedy = "Set PermitRootLogin to no, or to prohibit-password where automation needs root's key."
    effort = "low"
    reads = ("ssh.settings",)

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        by_password = takes_passwords(facts)
        if by_password.state != "found":
            yield by_password
            return
        root = facts.get("ssh", "settings", "permitrootlogin")
        if root is None:
            yield Said("unknown", f"{by_password.text}; whether from root too is not known")
        elif root != "yes":
            yield Said("fine", f"root may not log in with a password (PermitRootLogin {brief(root)})")
        else:
            yield self._root(facts, by_password.text)

    @staticmethod
    def _root(facts: Facts, how: str) -> Said:
        left_out = root_is_left_out(facts)
        if left_out:
            return Said("fine", "root is not among the users that may log in")
        if left_out is None:
            return Said("unknown", "only members of some groups may log in; whether root is in one is not known")
        users = [one for one in facts.get("users") or () if one.get("name") == "root"]
        if users and password_state(users[0]) in ("none", "locked"):
            return Said("found", f"{how}, from root too; root has no usable password now", "medium")
        return Said("found", f"{how}, from root too")

    def matters(self, item: str, reason: str) -> bool:
        """Without an SSH server there are no settings to read."""
        return reason != NO_SERVER


FINDING = SshRootPassword()
