"""A network device keeps its log to itself, where the next start, or an intruder, ends it."""

from __future__ import annotations

from civicops.assess.device_finding import DeviceFinding, sign
from civicops.assess.devices import Device
from civicops.assess.finding import State


class DeviceNoLog(DeviceFinding):
    id = "device-no-log"
    title = "A network device sends its log nowhere"
    severity = "low"
    frameworks = ("CIS v8 8.2", "NIST 800-53 AU-4", "NIST 800-53 AU-12", "CJIS AU-12")
    remedy = "Have it send its log to a server (syslog)."
    effort = "low"

    def of(self, device: Device) -> tuple[State, str]:
        words = {"found": "it sends its log nowhere", "fine": "it sends its log to a server"}
        return sign(device, "log", False, what="whether it sends its log to a server", **words)


FINDING = DeviceNoLog()
