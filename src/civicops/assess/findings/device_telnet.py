"""A network device takes logins by telnet: passwords cross the network readable."""

from __future__ import annotations

from civicops.assess.device_finding import DeviceFinding, sign
from civicops.assess.devices import Device
from civicops.assess.finding import State


class DeviceTelnet(DeviceFinding):
    id = "device-telnet"
    title = "A network device is managed by telnet"
    severity = "high"
    frameworks = ("CIS v8 4.6", "NIST 800-53 AC-17(2)", "NIST 800-53 SC-8", "CJIS SC-8")
    remedy = "Switch SSH on, and telnet off; renew the passwords that have crossed the network."
    effort = "low"

    def of(self, device: Device) -> tuple[State, str]:
        if device.config.body["transport"] == "telnet":
            return "found", "it is reached by telnet, and so its passwords and configuration cross the network readable"
        words = {"found": "it can be managed by telnet", "fine": "telnet is off"}
        return sign(device, "telnet", True, what="whether it can be managed by telnet", **words)


FINDING = DeviceTelnet()
