"""A network device shows itself over SNMP, or lets itself be changed, by a word that everybody knows."""

from __future__ import annotations

from civicops.assess.device_finding import DeviceFinding, sign
from civicops.assess.devices import Device
from civicops.assess.finding import State


class DeviceDefaultCommunity(DeviceFinding):
    id = "device-default-community"
    title = "A network device answers to the community public or private"
    severity = "high"
    frameworks = ("CIS v8 4.7", "NIST 800-53 IA-5", "NIST 800-53 CM-6", "CJIS IA-5")
    remedy = "Switch SNMP off, or use SNMPv3; at least change the community, and allow the watching hosts only."
    effort = "low"

    def of(self, device: Device) -> tuple[State, str]:
        words = {
            "found": "SNMP answers to the community public or private",
            "fine": "no community that everybody knows",
        }
        return sign(device, "default_community", True, what="which communities SNMP answers to", **words)


FINDING = DeviceDefaultCommunity()
