# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Packages that must be there, or must not."""

from __future__ import annotations

from typing import List, Set

from ..._host_info.apt_caches import private_caches
from ..._host_info.context import CommandError, Context
from ..host import Host, HostError
from ..model import PACKAGES, Params, Reading, absent, bad, good
from ..openssh import error_line

# As the installation is done, but for its lock; and even a simulation would write its plan into /var/log/apt.
SIMULATE = [
    "apt-get", "-s", "-q", "-oDebug::NoLocking=1", "-oDir::Log::Planner=", "-oAPT::Install-Recommends=false",
]  # fmt: skip
SECONDS = 60.0


class Package:
    """By the family's own names; a family without one has no such package. C(any): one of them will do."""

    name = "package"
    stage = PACKAGES

    def __init__(self, params: Params) -> None:
        self.debian = params.texts("debian", [])
        self.rhel = params.texts("rhel", [])
        self.state = params.text("state", "present", ("present", "absent"))
        self.any = params.flag("any") and self.state == "present"
        params.done()
        self.installs = self.debian if self.state == "present" else []
        self.wanted = f"{(' or ' if self.any else ', ').join(self.debian or self.rhel)} {self.state}"[:200]

    def current(self, host: Host) -> Reading:
        names = self._names(host)
        if not names:
            return absent("there is no such package in this family of systems")
        there = [name for name in names if name in host.packages()]
        lacking = self.brings(host)
        if self.state == "present":
            return bad(f"not installed: {', '.join(lacking)}"[:200]) if lacking else good("installed")
        return bad(f"installed: {', '.join(there)}"[:200]) if there else good("not installed")

    def brings(self, host: Host) -> List[str]:
        """What enforcement would install."""
        names = self._names(host) if self.state == "present" else []
        lacking = [name for name in names if name not in host.packages()]
        if self.any:
            return names[:1] if lacking == names else []
        return lacking

    def coming(self, host: Host) -> List[str]:
        """What enforcement would install and the host's lists know; nothing where one of them is not to be had."""
        names = self.brings(host)
        if not names or not host.program("apt-cache"):
            return names
        return names if set(names) <= host.ctx.once("candidates", lambda _ctx: _candidates(host)) else []

    def apply(self, host: Host) -> None:
        names, there = self._names(host), host.packages()
        install = self.brings(host)
        remove = [name for name in names if name in there] if self.state == "absent" else []
        if host.dry and not remove:
            # Whether they get along with what is there, apt would think about for a second on each host.
            if not self.coming(host):
                raise HostError(f"no package source has {', '.join(install)}")
            return
        if install and self._all_at_once(host):
            return
        if host.program("apt-get"):
            self._try(host, install, remove)
        host.change_packages(install, remove)

    def _all_at_once(self, host: Host) -> bool:
        """Whether everything that this run installs has come, or would come, in one transaction; it is tried once.

        One for each control would cost seconds apiece.
        """
        wanted = sorted(host.coming - host.packages())
        if not set(self.brings(host)) <= set(wanted) or len(wanted) < 2:
            return False

        def run(dummy: Context) -> bool:
            try:
                if host.program("apt-get"):
                    self._try(host, wanted, [])
                host.change_packages(wanted, [])
            except (HostError, CommandError):
                return False  # each by itself, so that the one that can't be had is told
            return True

        done: bool = host.ctx.once("baseline packages at once", run)
        return done and not self.brings(host)

    def _names(self, host: Host) -> List[str]:
        return self.debian if host.program("dpkg-query") else self.rhel

    @staticmethod
    def _try(host: Host, install: List[str], remove: List[str]) -> None:
        """Whether it can be done without the loss of anything else.

        :raises HostError: it can't, and why.
        """
        argv = [*SIMULATE, *_kept_elsewhere(host), "install", *install, *(f"{name}-" for name in remove)]
        status, output = host.run(argv, SECONDS)
        if status != 0:
            raise HostError(f"apt: {error_line(host, argv, SECONDS) or f'exit {status}'}")
        lost = [line.split()[1] for line in output.splitlines() if line.startswith("Remv ") and len(line.split()) > 1]
        more = sorted({name.partition(":")[0] for name in lost} - set(remove))
        if more:
            raise HostError(f"{', '.join(more[:10])} would be removed with it: that is for people to decide")


def _candidates(host: Host) -> Set[str]:
    """Which of the packages that this run would install the host's lists know: one question, as each costs the same."""
    lacking = sorted(host.installable - host.packages())
    dummy, output = host.run(["apt-cache", *_kept_elsewhere(host), "policy", *lacking], SECONDS)
    known, name = set(), ""
    for line in output.splitlines():
        if not line.startswith(" "):
            name = line.rstrip(":")
        elif line.startswith("  Candidate: ") and "(none)" not in line:
            known.add(name)
    return known


def _kept_elsewhere(host: Host) -> List[str]:
    """In check mode apt's index of its lists is not renewed where it lies."""
    places = host.ctx.once("apt's index", lambda ctx: private_caches(ctx, make=True)) if host.dry else {}
    return [f"-oDir::Cache::{name}={place}" for name, place in places.items()]
