"""People log in over SSH with a password alone: a guessed or stolen one is enough."""

from __future__ import annotations

from collections.abc import Iterator

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said
from civicops.assess.ssh_logins import NO_SERVER, takes_passwords


class SshPassword(HostFinding):
    id = "ssh-password"
    title = "SSH takes passwords"
    severity = "medium"
    frameworks = ("CIS v8 6.4", "NIST 800-53 IA-2", "NIST 800-53 AC-17", "CJIS IA-2")
    remedy = "Have sshd take keys only, once everybody who needs it has one; or demand a second factor."
    effort = "medium"
    reads = ("ssh.settings",)

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        yield takes_passwords(facts)

    def matters(self, item: str, reason: str) -> bool:
        """Without an SSH server there are no settings to read."""
        return reason != NO_SERVER


FINDING = SshPassword()
