"""Software of another maker than the distribution's that its maker mends no more, or not for long.

A package of the distribution's own lives as long as its release: `os-end-of-life` tells that. Where it is not known
whose a package is, its maker's end is told as something that is not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from civicops.assess.catalogue import SEVERITIES
from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.finding import STATES
from civicops.assess.host_finding import HostFinding, Said, data
from civicops.assess.lifecycle import End, end_of_cycle
from civicops.assess.origins import has_own_sources_alone, is_own, own_names
from civicops.assess.recovery_known import brief, listed

_LONGEST = 200


@dataclass(frozen=True)
class Product:
    """One product of `software_end_of_life.yml`."""

    product: str
    name: str
    packages: re.Pattern[str]
    cycle: int = 0

    def cycle_of(self, package: str, version: str) -> str | None:
        """Which cycle a package of this name is of; None where it is none of the product's."""
        match = self.packages.fullmatch(package)
        if match is None:
            return None
        if not self.cycle:
            return match.group("cycle")
        numbers = re.match(r"(?:[0-9]+:)?([0-9]+(?:\.[0-9]+)*)", version[:_LONGEST], re.ASCII)
        return ".".join(numbers.group(1).split(".")[: self.cycle]) if numbers else ""


@dataclass(frozen=True)
class Installed:
    """One product on a host. `own`: whether it is the distribution's; None where that is not known."""

    product: Product
    cycle: str
    package: str
    own: bool | None

    @property
    def words(self) -> str:
        return f"{self.product.name} {brief(self.cycle) or 'of an unknown version'} ({brief(self.package)})"


class SoftwareEndOfLife(HostFinding):
    id = "software-end-of-life"
    title = "Software gets no more updates from its maker"
    severity = "high"
    frameworks = ("CIS v8 2.2", "NIST 800-53 SA-22", "CJIS SA-22")
    remedy = "Upgrade to a version that its maker supports, or use the distribution's own package."
    effort = "medium"
    reads = ("packages",)
    despite = ("packages.last_used", "packages.origin")

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        if not facts.column("packages", "name"):
            yield self.not_known(facts, "which software it has is")
            return
        others = [one for one in installed(facts) if one.own is not True]
        ends = [(one, end_of_cycle(estate.index, one.product.product, (one.cycle,), estate.today)) for one in others]
        said = [self._said(product, found) for product, found in self._by_product(ends, estate).items()]
        yield from said
        if unclear := [one.words for one, end in ends if end is None and one.own is None]:
            text = "neither whether they are the distribution's own nor when their makers' updates end is known"
            yield Said("unknown", f"{text}: {listed(unclear)}", "low")
        elif not said and others:
            yield Said("fine", f"the updates of {listed(one.words for one in others)} do not end soon")
        elif not said:
            yield Said("fine", "it has no software of another maker's of which an end is known")

    def _by_product(self, ends: list[tuple[Installed, End | None]], estate: Estate) -> dict[str, list[Said]]:
        """What is to be said of each product's cycles, by its name and what it is called in the feed."""
        found: dict[str, list[Said]] = {}
        for one, end in ends:
            if (said := self._cycle(one, end, estate)) is not None:
                found.setdefault(f"{one.product.product} {one.product.name}", []).append(said)
        return found

    def _said(self, product: str, found: list[Said]) -> Said:
        """One thing of all cycles of a product: by the worst of them."""
        worst = min(
            found, key=lambda said: (STATES.index(said.state), -SEVERITIES.index(said.severity or self.severity))
        )
        text = listed([said.text for said in found if said.state == worst.state], 3)
        short, _, name = product.partition(" ")
        when = "soon gets" if worst.severity == "medium" else "gets"
        return replace(worst, text=text, id=f"{self.id}-{short}", title=f"{name} {when} no more updates")

    @staticmethod
    def _cycle(one: Installed, end: End | None, estate: Estate) -> Said | None:
        """What there is to say of one cycle of a product, but that it is fine."""
        if end is None:
            # Of the distribution's own nobody needs to know it.
            return None if one.own is None else Said("unknown", f"{one.words}: when it ends is not in the feeds")
        stage = end.stage(estate.today)
        if stage == "later":
            return None
        words = f"{one.words}: its maker's updates {_ends(end, stage)}"
        if one.own is None:
            return Said("unknown", f"{words}, or the distribution mends it: whose it is, is not known", "low")
        return Said("found", f"{words} ({end.source})", "medium" if stage == "soon" else None)


def _ends(end: End, stage: str) -> str:
    if end.until is None:
        return "have ended"
    return f"{'ended' if stage == 'past' else 'end'} on {end.until}"


def installed(facts: Facts) -> Iterator[Installed]:
    """The products that a host has, each cycle once, and at worst: somebody else's before one that is not known."""
    if not any(map(_is_any_product, facts.column("packages", "name"))):
        return
    names, own_alone = own_names(facts), has_own_sources_alone(facts)
    found: dict[tuple[str, str], Installed] = {}
    for name, told, origin in facts.picked("packages", "name", "version", "origin"):
        if not _is_any_product(name):
            continue
        package, version = str(name), str(told or "")
        for product in products():
            cycle = product.cycle_of(package, version)
            if cycle is None:
                continue
            one = Installed(product, cycle, package, _own(origin, version, names, own_alone=own_alone))
            known = found.get((product.product, cycle))
            if known is None or (known.own is not False and one.own is not True):
                found[product.product, cycle] = one
            break
    yield from found.values()


def _own(origin: object, version: str, names: tuple[str, ...], *, own_alone: bool) -> bool | None:
    """Whose a package is: by its origin, else by a mark in its version, else by where packages can come from at all."""
    own = is_own(origin, names)
    if own is None and any(mark.search(version[:_LONGEST]) for mark in marks()):
        return False
    return True if own is None and own_alone else own


@cache
def products() -> tuple[Product, ...]:
    rows = data("software_end_of_life")["products"]
    return tuple(Product(**{**row, "packages": re.compile(row["packages"], re.ASCII)}) for row in rows)


@lru_cache(maxsize=1 << 16)
def _is_any_product(package: object) -> bool:
    """Most packages are none of any product's, and all hosts have mostly the same ones."""
    name = str(package)
    return len(name) <= _LONGEST and _any_product().fullmatch(name) is not None


@cache
def _any_product() -> re.Pattern[str]:
    """All patterns at once."""
    patterns = (product.packages.pattern.replace("(?P<cycle>", "(?:") for product in products())
    return re.compile("|".join(f"(?:{one})" for one in patterns), re.ASCII)


@cache
def marks() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(one, re.ASCII) for one in data("software_end_of_life")["marks"])


FINDING = SoftwareEndOfLife()
