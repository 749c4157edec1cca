"""Nobody is bound to mend a machine any more, or not for long, by the town's own list (warranty.csv)."""

from __future__ import annotations

from collections.abc import Iterator

from civicops.assess.estate import Estate
from civicops.assess.finding import Evidence, Finding, Kind, Told
from civicops.assess.host_finding import machine
from civicops.assess.lifecycle import stage
from civicops.assess.recovery_known import brief
from civicops.town.warranty import Warranty


class HardwareWarranty(Finding[Estate]):
    """A row of the list speaks for itself, whether its host has ever been asked or not."""

    id = "hardware-warranty"
    title = "A warranty has ended"
    severity = "medium"
    frameworks = ("CIS v8 1.1", "NIST 800-53 MA-6")
    remedy = "Extend it, keep a spare, or plan the replacement."
    effort = "high"

    def look(self, town: Estate) -> Iterator[Evidence]:
        if town.warranties is None and not town.warranty_fault:
            return
        for host in town.hosts.values():
            facts = host.facts
            virtual = facts is not None and machine(facts) in ("vm", "container")
            serial = facts.get("hardware", "serial") if facts else None
            yield from self._of(town, host.name, "host", serial, host.told, needed=facts is not None and not virtual)
        for device in town.devices.values():
            serial = device.facts.body.get("serial") if device.facts else None
            yield from self._of(town, device.name, "device", serial, device.facts, needed=True)

    def _of(
        self, town: Estate, name: str, kind: Kind, serial: object, told: Told | None, *, needed: bool
    ) -> Iterator[Evidence]:
        """`needed`: whether something has to be said of one without a row."""
        number = str(serial) if serial else None
        row = town.warranties.of(name, number) if town.warranties else None
        if town.warranties is None:
            if needed:
                yield Evidence(name, "unknown", town.warranty_fault, kind=kind)
        elif row is None:
            if needed:
                why = "the list of warranties has no row of it" + ("" if number else ", nor is its serial number known")
                yield Evidence(name, "unknown", why, kind=kind)
        elif row.host and row.serial and number and row.serial.casefold() != number.strip().casefold():
            text = f"the list has the serial number {brief(row.serial)} of it, and the machine says {brief(number)}"
            yield Evidence(name, "unknown", text, (told,), kind=kind)
        else:
            yield self._row(row, name, kind, town)

    @staticmethod
    def _row(row: Warranty, name: str, kind: Kind, town: Estate) -> Evidence:
        if row.until is None:
            return Evidence(name, "unknown", f"the list does not say until when (line {row.line})", kind=kind)
        by = "".join(f", {brief(one)}" for one in (row.vendor, row.contract) if one)
        ends = stage(row.until, town.today)
        if ends == "past":
            return Evidence(name, "found", f"its warranty ended on {row.until}{by}", kind=kind)
        text = f"its warranty ends on {row.until}{by}"
        if ends == "soon":
            return Evidence(name, "found", text, (), "low", kind, title="A warranty ends soon")
        return Evidence(name, "fine", text, kind=kind)


FINDING = HardwareWarranty()
