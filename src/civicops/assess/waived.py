"""Which findings a town has accepted, by its waivers: for some hosts, with a reason, until a day.

A waiver names a finding's id, or a CVE in small letters: then that CVE alone is accepted, and a finding is only where
all of its CVEs are. What is not known can't be waived: it stays unknown. One that has run out excuses nothing, and says
so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase
from typing import NamedTuple

from civicops.assess.finding import Judged
from civicops.assess.recovery_known import brief, listed
from civicops.town.waivers import Waiver

KIND = "finding"
_GROUP = "group:"


class Weighed(NamedTuple):
    """A finding after the waivers were applied."""

    judged: Judged
    """Without the CVEs that are waived by themselves, where others are left."""
    by: tuple[Waiver, ...] = ()
    """The waivers by which it is accepted; none where it is not."""
    without: tuple[tuple[str, Waiver], ...] = ()
    """CVEs that were taken out of it, each with its waiver."""
    remarks: tuple[str, ...] = ()
    """Why a waiver that is about it does not hold."""

    @property
    def waived(self) -> bool:
        return bool(self.by)


class _Waived(NamedTuple):
    """As `Weighed`, of one host."""

    by: tuple[Waiver, ...] = ()
    without: tuple[tuple[str, Waiver], ...] = ()
    remarks: tuple[str, ...] = ()


class Waivers:
    """A town's waivers on one day. `groups` is Ansible's variable of that name; None where it could not be read."""

    def __init__(
        self, waivers: Iterable[Waiver], today: date, groups: Mapping[str, Collection[str]] | None = None
    ) -> None:
        self._waivers = [one for one in waivers if one.kind == KIND]
        self._today = today
        self._groups = None if groups is None else {name: frozenset(hosts) for name, hosts in groups.items()}
        self._about: dict[str, list[Waiver]] = {}
        self._named: dict[tuple[str, ...], list[str]] = {}
        self._used: set[Waiver] = set()

    def weigh(self, judged: Iterable[Judged]) -> list[Weighed]:
        """Each finding, as the waivers leave it."""
        return [weighed for one in judged for weighed in self._weighed(one)]

    def idle(self) -> list[str]:
        """After all findings were weighed: what is to be said of waivers that none of them was about."""
        return [self._idle(one) for one in self._waivers if one not in self._used]

    def _weighed(self, one: Judged) -> Iterator[Weighed]:
        """Apart where waivers make a difference between hosts of which the same is to be said."""
        if not self._naming(one.id) and not self._cves_named(one.cves):
            yield Weighed(one)
            return
        apart: dict[_Waived, list[str]] = {}
        for name in one.about:
            apart.setdefault(self._waived(one, name), []).append(name)
        for waived, about in apart.items():
            without = dict(waived.without)
            left = tuple(cve for cve in one.cves if cve not in without)
            yield Weighed(replace(one, about=tuple(about), cves=left), *waived)

    def _waived(self, one: Judged, about: str) -> _Waived:
        """What the waivers do to a finding on one of its hosts."""
        whole = list(self._covering(one.id, about))
        named = self._cves_named(one.cves)
        by_cve = {cve: told for cve in named if (told := list(self._covering(cve.lower(), about)))}
        if not whole and not by_cve:
            return _Waived()
        covering = dict.fromkeys(waiver for told in (whole, *by_cve.values()) for waiver in told)
        remarks = tuple(why for waiver in covering if (why := self._fails(waiver)))
        if one.state != "found":
            words = ("what is not known can't be waived",) if one.state == "unknown" else ()
            return _Waived(remarks=words)
        if holding := self._holding(whole):
            return _Waived(by=(holding,))
        without = {cve: waiver for cve, told in by_cve.items() if (waiver := self._holding(told))}
        if one.cves and len(without) == len(one.cves):
            return _Waived(by=tuple(dict.fromkeys(without.values())), remarks=remarks)
        return _Waived(without=tuple(without.items()), remarks=remarks)

    def _cves_named(self, cves: tuple[str, ...]) -> list[str]:
        """Those of some CVEs that a waiver names. Many hosts have the same ones."""
        if cves not in self._named:
            self._named[cves] = [one for one in cves if self._naming(one.lower())]
        return self._named[cves]

    def _naming(self, subject: str) -> list[Waiver]:
        if subject not in self._about:
            self._about[subject] = [one for one in self._waivers if fnmatchcase(subject, one.subject)]
        return self._about[subject]

    def _covering(self, subject: str, about: str) -> Iterator[Waiver]:
        """Those that are about this finding or CVE on this host, whatever the day; or may be, where nobody can tell."""
        for one in self._naming(subject):
            if self._groups is None and one.hosts.startswith(_GROUP):
                yield one
            elif one.covers(KIND, subject, about, self._groups or {}):
                self._used.add(one)
                yield one

    def _holding(self, told: Sequence[Waiver]) -> Waiver | None:
        """The one by which it is accepted: of several, the one that lasts longest."""
        holding = [one for one in told if not self._fails(one)]
        return max(holding, key=lambda one: (one.expires, -one.line), default=None)

    def _fails(self, one: Waiver) -> str:
        """Why a waiver does not hold today; nothing where it does."""
        if one.expires < self._today:
            return f"the waiver of {brief(one.approver)} for {one.subject} expired on {one.expires}"
        if one.granted > self._today:
            return f"the waiver of {brief(one.approver)} for {one.subject} begins on {one.granted}"
        if self._groups is None and one.hosts.startswith(_GROUP):
            return f"the waiver for {one.subject} on {brief(one.hosts)} does not hold, as the inventory can't be read"
        return ""

    def _idle(self, one: Waiver) -> str:
        where = f"waivers.yml, line {one.line}: {one.subject} on {brief(one.hosts)}"
        if self._groups is None and one.hosts.startswith(_GROUP):
            return f"{where}: whether it is about anything is not known, as the inventory can't be read"
        if one.hosts.startswith(_GROUP) and one.hosts[len(_GROUP) :] not in (self._groups or {}):
            return f"{where}: the inventory has no such group"
        over = f", and expired on {one.expires}" if one.expires < self._today else ""
        return f"{where}: no finding there is so named (mended since, or a slip of the pen){over}"


def told(weighed: Weighed) -> str:
    """Of a waived finding: by whose yes, why and until when."""
    return "; ".join(f"{brief(one.reason)} ({brief(one.approver)}, until {one.expires})" for one in weighed.by)


def left_out(weighed: Weighed) -> str:
    """Which CVEs were taken out of a finding, and by whose yes; nothing where none was."""
    by: dict[Waiver, list[str]] = {}
    for cve, waiver in weighed.without:
        by.setdefault(waiver, []).append(cve)
    return "; ".join(
        f"waived: {listed(cves)}: {brief(one.reason)} ({brief(one.approver)}, until {one.expires})"
        for one, cves in by.items()
    )
