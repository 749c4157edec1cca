"""A router for tests: FRR in a host, with a shell of its own for SSH and its daemons' own terminals for telnet."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.hosts.host import Host

CAPABILITIES = ("--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", "--cap-add", "SYS_ADMIN")
_CONFIG = """\
frr defaults traditional
hostname edge1
log syslog informational
password {telnet}
enable password {enable}
service integrated-vtysh-config
!
ip route 203.0.113.0/24 blackhole
!
router bgp 65001
 no bgp ebgp-requires-policy
 neighbor 192.0.2.9 remote-as 65002
 neighbor 192.0.2.9 description the neighbour town
 neighbor 192.0.2.9 password {bgp}
!
"""


@dataclass
class Router:
    """A host that runs zebra and bgpd. Its passwords are new ones in each test."""

    host: Host
    passwords: dict[str, str] = field(
        default_factory=lambda: {
            name: secrets.token_urlsafe(12).replace("-", "x") for name in ("telnet", "enable", "bgp")
        }
    )

    def install(self) -> None:
        """Install FRR from Debian's packages and start it; `netops` logs in to its shell with the tests' key."""
        self.host.run("apt-get -qq install -y --no-install-recommends frr frr-pythontools >/dev/null", timeout=300)
        self.host.write("/etc/frr/frr.conf", _CONFIG.format(**self.passwords), mode="640", owner="frr:frr")
        self.host.run(
            r"""
            sed -i -e 's/^bgpd=no/bgpd=yes/' -e 's/^\(zebra\|bgpd\|staticd\)_options=.*/\1_options=" -A 0.0.0.0"/' \
              /etc/frr/daemons
            useradd --create-home --shell /usr/bin/vtysh --groups frr,frrvty netops
            install -d -m 700 -o netops -g netops /home/netops/.ssh
            install -m 600 -o netops -g netops /root/.ssh/authorized_keys /home/netops/.ssh/authorized_keys
            systemctl restart frr
            for dummy in $(seq 100); do vtysh -c 'show version' >/dev/null 2>&1 && exit 0; sleep 0.2; done; exit 1
            """,
            timeout=90,
        )

    def tell(self, *commands: str) -> str:
        """Give commands to its own shell at the console."""
        quoted = " ".join(f"-c '{command}'" for command in commands)
        return self.host.run(f"vtysh {quoted}").stdout

    def running(self) -> str:
        """Its running configuration, as its own shell shows it."""
        return self.tell("show running-config")

    def by_ssh(self) -> Mapping[str, object]:
        """The variables by which it is reached over SSH."""
        return {"netmiko_platform": "frr", "netmiko_user": "netops", "ansible_connection": "local"}

    def by_telnet(self) -> Mapping[str, object]:
        """The variables by which its daemon bgpd is reached over telnet."""
        return {
            "netmiko_platform": "frr_telnet",
            "netmiko_port": 2605,
            "netmiko_password": self.passwords["telnet"],
            "netmiko_secret": self.passwords["enable"],
            "ansible_connection": "local",
        }
