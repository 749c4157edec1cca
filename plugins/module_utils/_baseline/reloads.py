# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""How services are made to read what was written for them, by the names that C(host.reload) takes.

C(check) asks the program itself whether it would take the files, before anything is reloaded; C(apply) reloads and then
looks whether the service still stands. In check mode nothing was written, so there is nothing to ask.
"""

from __future__ import annotations

import socket
import time
from typing import List, Mapping, Protocol, Sequence

from .host import Host, HostError
from .openssh import error_line
from .types.firewall import GONE, OURS
from .types.firewall import _main as nftables_main
from .types.sshd import UNITS, is_real, ports

SETTLES = 20.0  # seconds after which a service that was reloaded must answer
RELOAD = ["systemctl", "--no-ask-password"]
RUNNING = ("active", "activating", "reloading")


class Reload(Protocol):
    """What a name stands for."""

    def check(self, host: Host) -> None:
        """Raises HostError with the program's own words, CommandError."""

    def apply(self, host: Host) -> None:
        """Raises HostError, CommandError."""


class Nothing:
    """Read anew by each program that starts."""

    def check(self, host: Host) -> None:
        """Nobody is to be asked."""

    def apply(self, host: Host) -> None:
        """Nobody is to be told."""


class Checked(Nothing):
    """The same, with a validator: sudo reads its file at each call, and refuses everybody where it is broken."""

    def __init__(self, *argv: str) -> None:
        self._argv = list(argv)

    def check(self, host: Host) -> None:
        if not host.dry and self._argv and host.program(self._argv[0]):
            refuse(host, self._argv)


class Service(Checked):
    """Whichever of these units runs is reloaded or restarted, and must run afterwards."""

    def __init__(self, units: Sequence[str], verb: str, validator: Sequence[str] = ()) -> None:
        super().__init__(*validator)
        self._units = list(units)
        self._verb = verb

    def running(self, host: Host) -> List[str]:
        found = host.units(self._units)
        return [name for name in self._units if found[name].active in RUNNING]

    def apply(self, host: Host) -> None:
        names = self.running(host)
        for name in names[:1]:  # the others are its other names
            self._tell(host, name)
            host.forget()
            state = host.units([name])[name].active
            if not host.dry and state not in RUNNING:
                raise HostError(f"{name} is {state} after its {self._verb}")

    def _tell(self, host: Host, name: str) -> None:
        host.command([*RELOAD, self._verb, name], 60.0)


class Ssh(Service):
    """sshd replaces itself at a reload, and ends where it does not like what it reads; so it must answer again."""

    def __init__(self) -> None:
        super().__init__(UNITS, "reload", ["sshd", "-t"])

    def apply(self, host: Host) -> None:
        super().apply(host)
        if host.dry or not is_real(host) or not self.running(host):
            return
        end = time.monotonic() + SETTLES
        while not any(map(_answers, ports(host))):
            if time.monotonic() > end:
                raise HostError(f"sshd does not answer within {SETTLES:.0f} s of its reload")
            time.sleep(0.1)


def _answers(port: int) -> bool:
    """Whether an SSH server greets on this host's own address."""
    try:
        with socket.create_connection(("localhost", port), timeout=1.0) as line:
            line.settimeout(1.0)
            return line.recv(4) == b"SSH-"
    except OSError:
        return False


class HangUp(Service):
    """A service that reads its settings at a hang-up, and whose unit knows no reload (logind) or refuses one by hand
    (auditd)."""

    def __init__(self, unit: str) -> None:
        super().__init__([unit], "hang-up")

    def _tell(self, host: Host, name: str) -> None:
        host.command([*RELOAD, "kill", "--signal=HUP", name])


class AuditRules(Checked):
    """The rules are put together into one file, and loaded where the kernel lets us."""

    FILES = ("/etc/audit/audit.rules", "/etc/audit/audit.rules.prev")

    def __init__(self) -> None:
        super().__init__("augenrules", "--check")

    def apply(self, host: Host) -> None:
        if host.dry or not host.program("augenrules"):
            return
        status, output = host.run(["auditctl", "-s"]) if host.program("auditctl") else (1, "")
        if status != 0 or "enabled 2" in output:
            host.change(list(self.FILES), ["augenrules"])  # a container, or rules locked until the next start
            return
        argv = ["/bin/sh", "-c", 'exec "$@" 2>&1', "sh", "augenrules", "--load"]
        host.change(list(self.FILES), argv)


class Nftables:
    """Our own table alone is loaded anew: the service would flush what others (Docker, fail2ban) have loaded."""

    def check(self, host: Host) -> None:
        if host.dry or not host.program("nft"):
            return
        for path in (OURS, nftables_main(host)):
            if host.exists(path):
                refuse(host, ["nft", "-c", "-f", path])

    def apply(self, host: Host) -> None:
        if host.dry or not host.program("nft"):
            return
        if host.exists(OURS):
            host.command(["nft", "-f", OURS])
        else:  # the change was taken back
            host.command(["nft", GONE])


class DaemonReload(Nothing):
    """systemd reads its units anew."""

    def apply(self, host: Host) -> None:
        if host.ctx.exists("/run/systemd/system"):
            host.command([*RELOAD, "daemon-reload"], 60.0)


class Dconf(Nothing):
    """The desktop's settings are put together into a file of their own."""

    def apply(self, host: Host) -> None:
        if host.program("dconf"):
            host.command(["dconf", "update"], 60.0)


class Ufw(Nothing):
    """ufw loads its rules anew."""

    def apply(self, host: Host) -> None:
        host.command(["ufw", "reload"], 60.0)


def refuse(host: Host, argv: List[str]) -> None:
    """Raises HostError with what a validator says where it says no."""
    said = error_line(host, argv, 30.0)
    if said is not None:
        raise HostError(f"{' '.join(argv[:2])}: {said}"[:300])


NOTHING = Nothing()
RELOADS: Mapping[str, Reload] = {
    "ssh": Ssh(),
    "sudo": Checked("visudo", "-c", "-q"),
    "journald": Service(["systemd-journald.service"], "restart"),
    "logind": HangUp("systemd-logind.service"),
    "timesyncd": Service(["systemd-timesyncd.service"], "restart"),
    "chrony": Service(["chrony.service", "chronyd.service"], "restart"),
    "journal-upload": Service(["systemd-journal-upload.service"], "restart"),
    "resolved": Service(["systemd-resolved.service"], "restart"),
    "rsyslog": Service(["rsyslog.service"], "restart", ["rsyslogd", "-N1"]),
    "cron": Service(["cron.service", "crond.service"], "restart"),
    "fail2ban": Service(["fail2ban.service"], "reload", ["fail2ban-client", "-t"]),
    "apparmor": Service(["apparmor.service"], "reload"),
    "auditd": HangUp("auditd.service"),
    "audit-rules": AuditRules(),
    "dconf": Dconf(),
    "nftables": Nftables(),
    "ufw": Ufw(),
    "daemon-reload": DaemonReload(),
    "system": DaemonReload(),
    "user": NOTHING,
    "sysctl": NOTHING,
    "coredump": NOTHING,
    "none": NOTHING,
}
