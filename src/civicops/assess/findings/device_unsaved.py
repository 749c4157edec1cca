"""A network device runs another configuration than the one that it starts with: the next power cut undoes a change."""

from __future__ import annotations

from civicops.assess.device_finding import DeviceFinding, why_untold
from civicops.assess.devices import Device
from civicops.assess.finding import State


class DeviceUnsaved(DeviceFinding):
    id = "device-unsaved"
    title = "A network device runs what it has not saved"
    severity = "medium"
    frameworks = ("CIS v8 4.2", "NIST 800-53 CM-2", "CJIS CM-2")
    remedy = "Save its configuration, or restart it if the change was meant for a day."
    effort = "low"

    def of(self, device: Device) -> tuple[State, str]:
        unsaved = device.config.body["unsaved"]
        if unsaved is None:
            return "unknown", f"whether what runs is saved is not known: {why_untold(device)}"
        return ("found", "what runs differs from what it starts with") if unsaved else ("fine", "what runs is saved")


FINDING = DeviceUnsaved()
