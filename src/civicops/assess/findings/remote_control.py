"""Programs by which somebody elsewhere takes the host over. In 2019 one such tool of one IT firm's infected 22 towns in
Texas."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

from civicops.assess.catalogue import Severity
from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said, cells, data
from civicops.assess.recovery_known import listed


class RemoteControl(HostFinding):
    """The one that the town itself uses may be waived; each product has an id of its own."""

    id = "remote-control"
    title = "A program for remote control is there"
    severity = "medium"
    frameworks = ("CIS v8 2.3", "NIST 800-53 AC-17", "NIST 800-53 CM-11", "CJIS AC-17")
    remedy = "Ask who uses it; remove it, or waive it with its owner's name, a second factor and a log of its sessions."
    effort = "low"
    reads = ("packages", "services")
    despite = ("packages.last_used", "packages.origin")

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        names = facts.column("packages", "name")
        known = _packages().intersection(names)
        services = facts.picked("services", "unit", "active")
        units = {str(unit): active == "active" for unit, active in services if _is_any(str(unit))}
        listening = {str(row.get("process")) for row in cells(facts, "sockets")}
        told = False
        for product in _products():
            running = [unit for unit in units if self.has(product, unit) and units[unit]]
            running += sorted(listening.intersection(product["processes"]))
            there = [f"package {name}" for name in product["packages"] if name in known]
            there += [unit for unit in units if self.has(product, unit) and not units[unit]]
            if running or there:
                told = True
                text = f"{product['name']}: {listed([*(f'{one} runs' for one in running), *there])}"
                severity: Severity | None = "high" if running else None
                title = f"{product['name']}, a program for remote control, is there"
                yield Said("found", text, severity, id=f"{self.id}-{product['id']}", title=title)
        if told:
            return
        if not names or not services:
            yield self.not_known(facts, "which programs it has is", "services" if names else "packages")
        else:
            yield Said(
                "fine", f"none of {len(_products())} programs for remote control is among its packages and services"
            )

    @staticmethod
    def has(product: dict[str, Any], unit: str) -> bool:
        """Whether a service is one of a product's."""
        prefix = product.get("unit_prefix")
        return unit in product["units"] or bool(prefix and unit.startswith(prefix))


@cache
def _products() -> tuple[dict[str, Any], ...]:
    return tuple(data("remote_control")["products"])


@cache
def _packages() -> frozenset[str]:
    return frozenset(name for product in _products() for name in product["packages"])


@lru_cache(maxsize=1 << 14)
def _is_any(unit: str) -> bool:
    """Most services are none of any product's, and all hosts have mostly the same ones."""
    return any(RemoteControl.has(product, unit) for product in _products())


FINDING = RemoteControl()
