"""Rings: the order in which a night goes through a town, and the harm after which it goes no further."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

from civicops.ledger.claims import WHOLE_TOWN, Claim
from civicops.moments import moment
from civicops.town.model import Halt
from civicops.town.vocabulary import Ring

RINGS: tuple[str, ...] = get_args(Ring)
WITHOUT_RING = "broad"
"""The ring of a host that is in no group `ring_NAME`."""

GOOD = "done"
UNTOUCHED = ("refused", "blocked")
"""Outcomes of hosts that were opened and to which nothing was done after all: neither harm nor proof."""

Groups = Mapping[str, Collection[str]]


@dataclass(frozen=True)
class Ordered:
    """A town's hosts by ring; those that are never changed are in none."""

    rings: Mapping[str, frozenset[str]]
    of: Mapping[str, str]

    def former(self, ring: str) -> tuple[str, ...]:
        """The rings before one."""
        return RINGS[: RINGS.index(ring)]


def ordered(groups: Groups) -> Ordered:
    """Who is in which ring; a host in none is in `broad`, one in several where the playbooks ask for it."""
    everybody = set(groups.get("all", ())) - set(groups.get("observe_only", ()))
    of = dict.fromkeys(everybody, WITHOUT_RING)
    for ring in ("last", "early", "canary"):
        of |= dict.fromkeys(everybody & set(groups.get(f"ring_{ring}", ())), ring)
    return Ordered({ring: frozenset(host for host in of if of[host] == ring) for ring in RINGS}, of)


def partners(host: str, groups: Groups) -> frozenset[str]:
    """The hosts that are never worked on at the same time as this one: groups `pair_NAME`."""
    pairs = (set(members) for name, members in groups.items() if name.startswith("pair_") and host in members)
    return frozenset(set().union(*pairs) - {host})


class Health:
    """What became of each host, by its newest claim for the job: the ground on which later rings may begin."""

    def __init__(self, claims: Iterable[Claim], order: Ordered, halt: Halt, run: str, now: datetime) -> None:
        self._order, self._halt, self._run = order, halt, run
        self.newest: dict[str, Claim] = {}
        for claim in sorted(claims, key=lambda one: one.opened_at):
            if claim.host != WHOLE_TOWN and claim.outcome not in UNTOUCHED:
                self.newest[claim.host] = claim
        self._harmed = {host for host, claim in self.newest.items() if harmed(claim, now)}

    def refusal(self, ring: str, *, proof: bool = True) -> tuple[str, str] | None:
        """Why no host of a ring may be opened now, as a code and a line for people; None where one may.

        `proof`: whether a canary must have been done well first.
        """
        so_far = [*self._order.former(ring), ring]
        # What its own ring came to another night stops nobody: tonight it is tried again.
        tonight = {host for host in self._order.rings[ring] if host in self._harmed and self._of_run(host)}
        harmed_so_far = tonight | (self._harmed - self._order.rings[ring])
        for one in so_far:
            members = self._order.rings[one]
            bad = sorted(harmed_so_far & members)
            allowed = len(members) * self._halt.ring // 100
            if len(bad) > allowed:
                return "halt", (
                    f"halted: {len(bad)} of {len(members)} hosts of the ring {one} came to harm "
                    f"({few(bad)}), {allowed} allowed"
                )
        everybody = frozenset().union(*(self._order.rings[one] for one in so_far))
        bad = sorted(harmed_so_far & everybody)
        # A percentage of few hosts is none of them; the ring's own limit has spoken for these.
        allowed = max(len(everybody) * self._halt.town // 100, 1)
        if len(bad) > allowed:
            return "halt", (
                f"halted: {len(bad)} of {len(everybody)} hosts of the rings up to {ring} came to harm "
                f"({few(bad)}), {allowed} allowed"
            )
        canaries = self._order.rings["canary"]
        if proof and ring != "canary" and canaries and not any(self._done(host) for host in canaries):
            return "canary", (
                f"no host of the ring canary has been done well in the last {_days(self._halt)}: "
                f"{few(sorted(canaries))} come first"
            )
        return None

    def harmed_now(self, hosts: Iterable[str]) -> list[str]:
        """Those of the hosts that came to harm in this run."""
        return sorted(host for host in hosts if host in self._harmed and self._of_run(host))

    def soaked_until(self, ring: str, soak: timedelta) -> datetime | None:
        """Until when the rings before one are watched: from the end of their newest work in this run."""
        former = self._order.former(ring)
        ends = [
            moment(claim.settled_at)
            for host, claim in self.newest.items()
            if claim.settled_at is not None and claim.run == self._run and self._order.of.get(host) in former
        ]
        return max(ends) + soak if ends and soak else None

    def _of_run(self, host: str) -> bool:
        return self.newest[host].run == self._run

    def _done(self, host: str) -> bool:
        claim = self.newest.get(host)
        return claim is not None and claim.outcome == GOOD


def harmed(claim: Claim, now: datetime) -> bool:
    """Whether the work under a claim ended other than well, or did not end by the end of its opening."""
    if claim.outcome is None:
        return now > moment(claim.until)
    return claim.outcome != GOOD


def _days(halt: Halt) -> str:
    from civicops.town.scalars import format_duration

    return format_duration(halt.proof)


def few(hosts: list[str]) -> str:
    """The first of them, for a line that people read."""
    return ", ".join(hosts[:3]) + (f" and {len(hosts) - 3} more" if len(hosts) > 3 else "")
