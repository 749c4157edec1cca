"""No whole configuration of a network device is kept, or none that is new: after it fails, it is set up from memory."""

from __future__ import annotations

from collections.abc import Iterator

from civicops.assess.catalogue import Severity
from civicops.assess.devices import DUE
from civicops.assess.estate import Estate
from civicops.assess.finding import Evidence, Finding
from civicops.assess.recovery_known import listed


class DeviceNoBackup(Finding[Estate]):
    id = "device-no-backup"
    title = "A network device has no whole and new backup"
    severity = "high"
    frameworks = ("CIS v8 11.2", "NIST 800-53 CP-9", "CJIS CP-9")
    remedy = "Mend what the last run of the job network says, and run it again."
    effort = "low"

    def look(self, town: Estate) -> Iterator[Evidence]:
        for device in town.devices.values():
            never = device.whole_at is None
            if device.alarms:
                severity: Severity | None = None if never else "medium"
                yield Evidence(device.name, "found", listed(device.alarms), (device.config,), severity, "device")
            else:
                text = f"its configuration was kept whole on {device.whole_at:%Y-%m-%d}, within {DUE.days} days"
                yield Evidence(device.name, "fine", text, (device.config,), kind="device")


FINDING = DeviceNoBackup()
