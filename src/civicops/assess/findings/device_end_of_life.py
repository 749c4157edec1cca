"""A network device whose software gets no security fixes any more, or will soon get none."""

from __future__ import annotations

from collections.abc import Iterator

from civicops.assess.device_life import Lives
from civicops.assess.estate import Estate
from civicops.assess.finding import Evidence, Finding


class DeviceEndOfLife(Finding[Estate]):
    """By endoflife.date, which knows some vendors' software and no hardware."""

    id = "device-end-of-life"
    title = "A network device's software is not supported, or will soon not be"
    severity = "high"
    frameworks = ("CIS v8 12.1", "CIS v8 2.2", "NIST 800-53 SA-22", "CJIS SA-22")
    remedy = "Update the device to a release that is supported; replace it where its maker has none for it."
    effort = "medium"

    def look(self, town: Estate) -> Iterator[Evidence]:
        lives = Lives(town.index, town.today)
        for name, device in town.devices.items():
            told = lives.of(device)
            severity = told.severity if told.state == "found" else None
            yield Evidence(name, told.state, told.text, (device.facts,), severity, kind="device")


FINDING = DeviceEndOfLife()
