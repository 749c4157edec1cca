"""What the matcher says of a host's packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from civicops.assess.catalogue import Severity
from civicops.assess.finding import Told
from civicops.assess.package_rules import COLOURS, NO_WHY, Colour, PackageState, Why, rules


class Hit(NamedTuple):
    """An advisory that concerns a package as it is on a host. `state`: the feed's own word."""

    id: str
    cves: tuple[str, ...]
    fixed: str | None
    state: str
    feed: str


@dataclass(frozen=True, slots=True)
class Standing:
    """One source package at one version on a host; alike hosts share it.

    `hits`: what its state comes from: what can be fixed; what was fixed and may not run yet; what has no fix.
    `unfixed`: what has no fix, whatever its state is. `restart`: units or processes that still use former files.
    """

    source: str
    version: str
    binaries: tuple[str, ...]
    state: PackageState
    why: Why = NO_WHY
    hits: tuple[Hit, ...] = ()
    unfixed: tuple[Hit, ...] = ()
    restart: tuple[str, ...] = ()
    kernel: bool = False
    """The kernels of a host: `version` is the one that the next start brings."""
    headers: bool = False
    """Of a kernel's source, and without any code of it that runs."""
    note: str = ""
    """What limits the support of the package, whatever its state is."""
    severity: Severity | None = None
    """The worst that is known of the hits; None where nothing is."""
    because: str = ""
    """What the severity comes from, and of how many CVEs nothing is known."""
    cves: tuple[str, ...] = ()
    """Of the hits, each once; an advisory without one is there by its own name."""
    to: str = ""
    """Where it is fixable: the lowest version that has all fixes."""

    @property
    def restarts(self) -> bool:
        """Whether processes may go on with a former version of it; of kernels the running one tells."""
        return not self.kernel and not self.headers


class Kernel(NamedTuple):
    """The running kernel and the newest installed one, by release and by version of the package; None: not known."""

    running: str | None
    running_version: str | None
    newest: str | None
    newest_version: str | None
    own: bool = True
    """False in a container, which runs the kernel of the machine below."""


class FeedUsed(NamedTuple):
    """A feed that the verdict rests on. `trouble`: why it is not good enough; empty where it is."""

    name: str
    date: str
    origin: str
    trouble: str = ""


@dataclass(frozen=True)
class HostPackages:
    """All packages of one host."""

    host: str
    distribution: str = ""
    release: str = ""
    standings: tuple[Standing, ...] = ()
    """In the order in which the host named its packages; the kernels last."""
    kernel: Kernel | None = None
    why: tuple[Why, ...] = ()
    """What is not known of the host as a whole: it has never answered, a feed is missing, packages were unread ..."""
    feeds: tuple[FeedUsed, ...] = ()
    told: Told | None = None
    """What it rests on."""

    @cached_property
    def by_state(self) -> Mapping[PackageState, Sequence[Standing]]:
        """Those in each state; states that none is in are left out."""
        found: dict[PackageState, list[Standing]] = {}
        for one in self.standings:
            found.setdefault(one.state, []).append(one)
        return found

    @property
    def colour(self) -> Colour:
        """The worst of what is known and what is not."""
        table = rules().colours
        found = {table[state] for state in self.by_state}
        if self.why or not self.standings:
            found.add("unknown")
        return min(found, key=COLOURS.index)

    @property
    def counts(self) -> Mapping[PackageState, int]:
        """How many source packages are in each state; those that none is in are left out."""
        return {state: len(some) for state, some in self.by_state.items()}
