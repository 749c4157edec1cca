"""A network device takes logins by HTTP: passwords cross the network readable."""

from __future__ import annotations

from civicops.assess.device_finding import DeviceFinding, sign
from civicops.assess.devices import Device
from civicops.assess.finding import State


class DeviceHttp(DeviceFinding):
    id = "device-http"
    title = "A network device is managed by HTTP"
    severity = "medium"
    frameworks = ("CIS v8 4.6", "NIST 800-53 AC-17(2)", "NIST 800-53 SC-8", "CJIS SC-8")
    remedy = "Switch HTTPS on, and HTTP off."
    effort = "low"

    def of(self, device: Device) -> tuple[State, str]:
        words = {"found": "it can be managed by HTTP, unencrypted", "fine": "management by HTTP is off"}
        return sign(device, "http", True, what="whether it can be managed by HTTP", **words)


FINDING = DeviceHttp()
