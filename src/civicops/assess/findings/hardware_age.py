"""A machine is older than the town replaces such machines: spare parts and firmware run out, and it fails when it suits
nobody."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from civicops.assess.catalogue import Severity
from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said, data, machine
from civicops.assess.measures import age_of_machine
from civicops.assess.recovery_known import brief

YEAR = 365.25
FAR = 2.0
"""Years past its time from which it is more than one budget's delay."""
_HOSTS = ("pc", "public_safety_pc", "rugged", "server")


class Age(NamedTuple):
    """How old a machine is, in years, and by what. `exact`: not only at least."""

    years: float
    basis: str
    exact: bool


class HardwareAge(HostFinding):
    """Firmware and system tell how old a machine is at least; that it is young, only a day of purchase tells."""

    id = "hardware-age"
    title = "A machine is older than its replacement years"
    severity = "low"
    frameworks = ("CIS v8 1.1", "NIST 800-53 SA-22", "CJIS SA-22")
    remedy = "Plan its replacement in the budget; until then keep a spare, and its backup tested."
    effort = "high"

    def applies(self, facts: Facts) -> bool:
        """Virtual machines and containers have no hardware of their own."""
        return machine(facts) not in ("vm", "container")

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        age = _age(host, facts, estate)
        if age is None:
            basis = brief(facts.get("hardware", "age", "basis") or facts.why_unread("hardware") or "it did not tell")
            yield Said("unknown", f"how old it is, is not known: {basis}")
            return
        kind = equipment(host, facts, estate)
        limit, source = replacement_years(kind, estate)
        words = f"{'' if age.exact else 'at least '}{age.years:.1f} years old ({age.basis})"
        if limit is None:
            yield Said("unknown", f"{words}; after how many years the town replaces a {_words(kind)} is not known")
        elif age.years > limit:
            severity: Severity | None = "medium" if age.years > limit + FAR else None
            yield Said("found", f"{words}; {limit} years are {source}", severity)
        elif kind is None:
            yield Said("unknown", f"{words}; what kind of equipment it is, is not known, and so when it is replaced")
        elif age.exact:
            yield Said("fine", f"{words}; {limit} years are {source}")
        else:
            text = f"{words}; {limit} years are {source}; only a day of purchase (warranty.csv) tells more"
            yield Said("unknown", text)


def _age(host: Host, facts: Facts, estate: Estate) -> Age | None:
    row = estate.warranties.of(host.name, serial(facts)) if estate.warranties else None
    if row is not None and row.bought is not None and row.bought <= estate.today:
        return Age((estate.today - row.bought).days / YEAR, f"bought on {row.bought}", True)
    days = age_of_machine(facts, estate.today)
    if days is None or days < 0:
        return None
    return Age(days / YEAR, brief(facts.get("hardware", "age", "basis")), False)


def serial(facts: Facts) -> str | None:
    """The machine's serial number, as its firmware tells it."""
    told = facts.get("hardware", "serial")
    return str(told) if told else None


def equipment(host: Host, facts: Facts, estate: Estate) -> str | None:
    """Which kind of equipment a host is; None where nothing tells. A PC of a department that never closes (police,
    fire, dispatch) is one of public safety."""
    known = _known()
    kind = next((known["groups"][group] for group in sorted(host.groups) if group in known["groups"]), None)
    if kind is None:
        model = " ".join(str(facts.get("hardware", key) or "") for key in ("vendor", "model")).lower()
        kind = next((one["kind"] for one in known["models"] if one["has"] in model), None)
    kind = kind or known["chassis"].get(str(facts.get("hardware", "chassis")))
    if kind == "pc" and any(one.always_on for one in estate.departments(host.name)):
        return "public_safety_pc"
    return str(kind) if kind else None


def replacement_years(kind: str | None, estate: Estate) -> tuple[int | None, str]:
    """After how many years a kind is replaced, and who says so: the town, else what towns usually do.

    Without a kind, the longest time of all: what is older is too old whatever it is.
    """
    budget = estate.town.budget if estate.town else None
    own = {str(key): years for key, years in budget.replacement_years.items()} if budget else {}
    practice, source = _known()["practice"], _known()["practice_source"]
    if kind is None:
        longest = max((practice | own)[name] for name in _HOSTS if name in practice | own)
        return longest, "the longest replacement time of all kinds of hosts"
    names = ("public_safety_pc", "pc") if kind == "public_safety_pc" else (kind,)
    if own_name := next((name for name in names if name in own), None):
        return own[own_name], f"the town's replacement time of a {_words(own_name)}"
    name = next((name for name in names if name in practice), None)
    return (practice[name], f"the replacement time of a {_words(name)} by {source}") if name else (None, "")


def _words(kind: str | None) -> str:
    return str(kind).replace("_", " ")


@cache
def _known() -> Any:
    return data("hardware_age")


FINDING = HardwareAge()
