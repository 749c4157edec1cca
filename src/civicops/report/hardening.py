"""What is made of a town's hardening for people: by control, host by host, in a few lines, and whether it is enough."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from civicops.assess.catalogue import FRAMEWORKS, SEVERITIES, Control, Severity
from civicops.assess.hardening import Hardening, Standing
from civicops.assess.standing import OWN, Score, Verdict
from civicops.report.figures import WORST_FIRST, State
from civicops.text import printable

Why = Literal["failed", "would_change", "not_enforceable", "error", "expired", "waived"]
WHYS: tuple[Why, ...] = get_args(Why)
"""Why a control is not met on a host: people must mend it; an enforcement would; it can't be had there; it could not be
looked at; nothing excuses it any more; a waiver excuses it."""

WORDS: dict[Why, str] = {
    "failed": "to be mended by people",
    "would_change": "would be mended",
    "not_enforceable": "can't be had there",
    "error": "could not be looked at",
    "expired": "waiver expired",
    "waived": "waived",
}
_NAMES = 5


def why_not(host: Standing, verdict: Verdict) -> Why | None:
    """Why a control is not met; None where it is met, or not for this host."""
    if verdict.met or not verdict.counts:
        return None
    if verdict.state == "waived":
        return "waived" if host.excused(verdict) else "expired"
    if verdict.state == "changed":
        return "would_change"
    return next(one for one in WHYS if one == verdict.state)


def rank(severity: Severity | None) -> int:
    """Worst first. What is not in the catalogue may be as bad as anything, and stands first."""
    return 0 if severity is None else len(SEVERITIES) - SEVERITIES.index(severity)


@dataclass(frozen=True)
class HostLine:
    """One host, with its number on the page and the one word for it. `lists`: its controls by why they are not met."""

    number: int
    host: Standing
    state: State
    word: str
    lists: Mapping[Why, list[Verdict]]

    @property
    def would_change(self) -> list[Verdict]:
        """What the next enforcement would mend, at least in part."""
        return sorted(self.host.would_change, key=_worst_first)

    @property
    def lost(self) -> int:
        """How many controls were met the time before, and now are not, or were not seen."""
        return self.host.lost


@dataclass(frozen=True)
class ControlLine:
    """One control that is not met everywhere, and on which hosts."""

    number: int
    control: Control
    hosts: Mapping[Why, list[HostLine]]

    @property
    def open(self) -> list[HostLine]:
        """Where it is not met and not excused."""
        return [line for why in WHYS if why != "waived" for line in self.hosts.get(why, ())]


class Picture:
    """A town's hardening, as its page shows it."""

    def __init__(self, told: Hardening) -> None:
        self.told = told
        self.hosts = sorted(
            (_host_line(number, host) for number, host in enumerate(told.hosts)),
            key=lambda line: (WORST_FIRST.index(line.state), -line.lost, -len(line.host.open), line.host.host),
        )

    @cached_property
    def known(self) -> list[HostLine]:
        return [line for line in self.hosts if line.host.known]

    @cached_property
    def not_known(self) -> list[HostLine]:
        return [line for line in self.hosts if not line.host.known]

    @cached_property
    def controls(self) -> list[ControlLine]:
        """The worst first, and of these what is open on most hosts. Hosts that are not known have no part in it."""
        found: dict[str, tuple[Control, dict[Why, list[HostLine]]]] = {}
        for line in self.known:
            for why, verdicts in line.lists.items():
                for one in verdicts:
                    by_why = found.setdefault(one.control.id, (one.control, {}))[1]
                    by_why.setdefault(why, []).append(line)
        lines = [ControlLine(number, control, hosts) for number, (control, hosts) in enumerate(found.values())]
        return sorted(lines, key=lambda one: (rank(one.control.severity), -len(one.open), one.control.id))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Where on the page a control stands, by its id."""
        return {line.control.id: line.number for line in self.controls}

    @cached_property
    def counts(self) -> dict[Why, int]:
        """On how many hosts how many controls are not met, and why."""
        return {why: sum(len(line.lists.get(why, ())) for line in self.known) for why in WHYS}

    def with_why(self, *whys: Why) -> list[HostLine]:
        """The known hosts with such controls."""
        return [line for line in self.known if any(line.lists.get(why) for why in whys)]

    @property
    def would_change(self) -> int:
        """What the next enforcement would mend, at least in part, host by host."""
        return sum(len(line.host.would_change) for line in self.known)

    @property
    def losers(self) -> list[HostLine]:
        """Hosts on which something was lost since the audit before."""
        return [line for line in self.known if line.lost]


def _worst_first(verdict: Verdict) -> tuple[int, str]:
    return rank(verdict.control.severity), verdict.control.id


def _host_line(number: int, host: Standing) -> HostLine:
    lists: dict[Why, list[Verdict]] = {}
    for one in sorted(host.verdicts, key=_worst_first):
        if (why := why_not(host, one)) is not None:
            lists.setdefault(why, []).append(one)
    line = HostLine(number, host, "good", "as wanted", lists)
    state, word = _state(line)
    return HostLine(number, host, state, word, lists)


def _state(line: HostLine) -> tuple[State, str]:
    """The worst that is to be said of a host."""
    if not line.host.known:
        return "unknown", "not known"
    if line.lost:
        return "bad", f"{line.lost} lost"
    if line.lists.get("failed") or line.lists.get("expired"):
        return "bad", "needs work"
    if line.lists.get("error"):
        return "unknown", "partly not known"
    if line.host.open:
        return "soon", "to be hardened"
    return "good", "as wanted"


def label(framework: str) -> str:
    """What people call a framework, or the profile."""
    return "Profile" if framework == OWN else FRAMEWORKS.get(framework, framework)


def score_words(score: Score) -> str:
    """A score in words; never a percentage where nothing is known."""
    beside = [f"{score.waived} waived"] * bool(score.waived) + [f"{score.unknown} not known"] * bool(score.unknown)
    if score.percent is None:
        return "not known" + f" ({', '.join(beside)})" * bool(beside)
    return f"{score.percent} % ({', '.join([f'{score.met} of {score.total} met', *beside])})"


def summary(picture: Picture) -> list[str]:
    """A town's hardening in a few lines, for a terminal."""
    told = picture.told
    lines = [f"{len(picture.known)} of {_hosts(len(told.hosts))} known" + f", in the run {told.run}" * bool(told.run)]
    lines += [f"  {label(name)}: {score_words(told.score(name))}" for name in told.frameworks()]
    if picture.not_known:
        lines.append(f"  not known: {names(line.host.host for line in picture.not_known)}")
    if picture.losers:
        lost = sum(line.lost for line in picture.losers)
        lines.append(f"  met the time before, and now not: {lost} on {_on(picture.losers)}")
    if picture.would_change:
        changing = [line for line in picture.known if line.host.would_change]
        lines.append(f"  an enforcement would mend: {picture.would_change} on {_on(changing)}")
    for why in ("failed", "expired"):
        if hosts := picture.with_why(why):
            words = "people must mend" if why == "failed" else "waivers that have expired"
            lines.append(f"  {words}: {picture.counts[why]} on {_on(hosts)}")
    return [printable(line, 400) if not line.startswith(" ") else "  " + printable(line, 400) for line in lines]


@dataclass(frozen=True)
class Shortfall:
    """What is below a demand: controls that are open, by host, and hosts that are not known."""

    demand: Severity
    open: list[tuple[Standing, Verdict]]
    not_known: list[Standing]
    nobody: bool
    """There is no host at all, so that nothing is known."""

    @property
    def words(self) -> str:
        """Why it is not enough, in one line."""
        said = []
        if self.nobody:
            said.append("no host is known")
        if self.open:
            host, worst = min(self.open, key=lambda one: _worst_first(one[1]))
            controls = len({verdict.control.id for _, verdict in self.open})
            on = _hosts(len({standing.host for standing, _ in self.open}))
            said.append(
                f"{controls} {'control is' if controls == 1 else 'controls are'} not met and not waived on {on} "
                f"(such as {worst.control.id}, {worst.control.severity or 'of unknown severity'}, on {host.host})"
            )
        if self.not_known:
            count = len(self.not_known)
            said.append(
                f"{_hosts(count)} {'is' if count == 1 else 'are'} not known: "
                f"{names(host.host for host in self.not_known)}"
            )
        return f"below --fail-on {self.demand}: {'; '.join(said)}"


def shortfall(told: Hardening, demand: Severity) -> Shortfall | None:
    """What is not met of that severity or higher; None where all is.

    A control of which the severity is not known counts as if it had the highest; what could not be looked at, and what
    can't be had, are not met unless waived.
    """
    least = rank(demand)
    found = [(host, verdict) for host in told.known for verdict in host.open if rank(verdict.control.severity) <= least]
    short = Shortfall(demand, found, told.not_known, not told.hosts)
    return short if found or short.not_known or short.nobody else None


def names(hosts: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(_few([printable(host, 60) for host in hosts]))


def _few(told: list[str]) -> Iterator[str]:
    yield from told[:_NAMES]
    if len(told) > _NAMES:
        yield f"and {len(told) - _NAMES} more"


def _hosts(count: int) -> str:
    return f"{count} {'host' if count == 1 else 'hosts'}"


def _on(lines: Collection[HostLine]) -> str:
    return f"{_hosts(len(lines))}: {names(line.host.host for line in lines)}"
