"""A network device sets its clock by nobody: what its log says happened at no known time."""

from __future__ import annotations

from civicops.assess.device_finding import DeviceFinding, sign
from civicops.assess.devices import Device
from civicops.assess.finding import State


class DeviceNoTime(DeviceFinding):
    id = "device-no-time"
    title = "A network device has no time server"
    severity = "low"
    frameworks = ("CIS v8 8.4", "NIST 800-53 AU-8", "CJIS AU-8")
    remedy = "Give it the time server of the town (NTP)."
    effort = "low"

    def of(self, device: Device) -> tuple[State, str]:
        words = {"found": "it has no time server", "fine": "its clock is set by a time server"}
        return sign(device, "time", False, what="whether it has a time server", **words)


FINDING = DeviceNoTime()
