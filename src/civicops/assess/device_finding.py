"""What the findings about network devices have in common: a sign in a device's configuration, on, off or not told."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace

from civicops.assess.devices import FACTS_STALE, Device
from civicops.assess.estate import Estate
from civicops.assess.finding import Evidence, Finding, State
from civicops.assess.recovery_known import brief


class DeviceFinding(Finding[Estate]):
    """A finding of one device, by its newest documents."""

    @abstractmethod
    def of(self, device: Device) -> tuple[State, str]:
        """How a device stands, and what was seen."""

    def look(self, town: Estate) -> Iterator[Evidence]:
        for device in town.devices.values():
            state, text = self.of(device)
            told = replace(device.config, old=town.moment - device.config.at > FACTS_STALE)
            yield Evidence(device.name, state, text, (told,), kind="device")


def sign(device: Device, name: str, bad: bool, *, found: str, fine: str, what: str) -> tuple[State, str]:
    """What a sign says of a device: found where it is as it should not be, unknown where it was not told."""
    value = device.config.body["signs"].get(name)
    if value is None:
        return "unknown", f"{what} is not known: {why_untold(device)}"
    return ("found", found) if value is bad else ("fine", fine)


def why_untold(device: Device) -> str:
    """Why a device's configuration does not tell something."""
    body = device.config.body
    if body["outcome"] == "refused":
        return f"its configuration was refused: {brief(body['reason'])}"
    return f"the configuration of {brief(body['platform'])} does not tell us"
