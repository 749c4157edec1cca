# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The machine itself: maker, model, firmware, processor, memory, disks, and how old it seems."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional

from .context import CommandError, Context
from .identity import installed_at, virtualization

DMI = "/sys/class/dmi/id"
CPUINFO_LIMIT = 4 << 20  # bytes: 512 processors
SMART_DISKS = 16  # disks asked for their SMART state
SMART_SECONDS = 5.0
# What firmware makers leave in a field that the machine's maker should have filled.
PLACEHOLDERS = {
    "to be filled by o.e.m.",
    "default string",
    "system serial number",
    "not specified",
    "none",
    "n/a",
    "o.e.m.",
}
# SMBIOS 3.x, table 17: the kinds that towns own.
CHASSIS = {
    "3": "desktop",
    "4": "desktop",
    "5": "desktop",
    "6": "tower",
    "7": "tower",
    "8": "laptop",
    "9": "laptop",
    "10": "laptop",
    "11": "handheld",
    "12": "docking station",
    "13": "all in one",
    "14": "laptop",
    "15": "desktop",
    "16": "desktop",
    "17": "server",
    "23": "server",
    "24": "sealed PC",
    "25": "server",
    "28": "server",
    "29": "server",
    "30": "tablet",
    "31": "convertible",
    "32": "convertible",
    "33": "gateway",
    "34": "embedded",
    "35": "mini PC",
    "36": "stick PC",
}
DISK_PREFIXES = ("sd", "hd", "vd", "xvd", "nvme", "mmcblk", "dasd")


def field_of(text: Optional[str]) -> Optional[str]:
    """A firmware field, or None where its maker left a placeholder."""
    return None if text is None or text.lower() in PLACEHOLDERS else text


def bios_date(text: Optional[str]) -> Optional[str]:
    """SMBIOS MM/DD/YYYY (or YY) as YYYY-MM-DD."""
    match = re.match(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})$", text or "", re.ASCII)
    if not match:
        return None
    month, day, year = (int(part) for part in match.groups())
    year += 0 if year > 99 else 1900 if year > 80 else 2000
    return f"{year:04d}-{month:02d}-{day:02d}" if 1 <= month <= 12 and 1 <= day <= 31 and year > 1980 else None


def parse_cpuinfo(text: str) -> Dict[str, Any]:
    """Model and number of logical processors of /proc/cpuinfo, on x86, ARM, POWER and s390."""
    model = None
    count = 0
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        key = key.strip()
        if not colon:
            continue
        if key == "processor" or key.startswith("processor "):
            count += 1
        elif key in ("model name", "cpu", "Model", "Hardware") and model is None:
            model = " ".join(value.split())
    return {"model": model, "count": count or None}


def parse_meminfo(text: str) -> Dict[str, Optional[int]]:
    """Memory and swap of /proc/meminfo, in bytes."""
    values = {}
    for line in text.splitlines():
        key, dummy, rest = line.partition(":")
        number = rest.split()[:1]
        if number and number[0].isdecimal() and len(number[0]) < 19:
            values[key] = int(number[0]) * 1024
    return {
        "memory_bytes": values.get("MemTotal"),
        "memory_available_bytes": values.get("MemAvailable"),
        "swap_bytes": values.get("SwapTotal"),
    }


def parse_smart(text: str) -> Dict[str, Any]:
    """What smartctl --json says of one disk."""
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(answer, dict):
        return {}

    def inner(key: str, name: str) -> Any:
        value = answer.get(key)
        return value.get(name) if isinstance(value, dict) else None

    passed, hours, degrees = (
        inner("smart_status", "passed"),
        inner("power_on_time", "hours"),
        inner("temperature", "current"),
    )
    return {
        "healthy": passed if isinstance(passed, bool) else None,
        "power_on_hours": hours if isinstance(hours, int) else None,
        "celsius": degrees if isinstance(degrees, int) else None,
    }


def smart(ctx: Context, disk: str) -> Optional[Dict[str, Any]]:
    item = f"hardware.disks.{disk}.smart"
    if not ctx.is_root:
        ctx.unread("hardware.disks.smart", "needs root")
        return None
    program = ctx.program("smartctl")
    if program is None:
        ctx.unread("hardware.disks.smart", "smartctl (package smartmontools) is not installed")
        return None
    try:
        # -n standby: a sleeping disk is not woken for an inventory
        dummy, output = ctx.run([program, "--json", "-n", "standby", "-H", "-A", "-i", f"/dev/{disk}"], SMART_SECONDS)
    except CommandError as error:
        ctx.unread_error(item, error)
        return None
    state = parse_smart(output)
    if state.get("healthy") is None:
        ctx.unread(item, "the disk gives no SMART verdict (asleep, virtual, or behind a RAID controller)")
        return None
    return state


def disks(ctx: Context, virtual: Dict[str, Any]) -> List[Dict[str, Any]]:
    found: List[Dict[str, Any]] = []
    for name in ctx.names_or_none("/sys/block"):
        if not name.startswith(DISK_PREFIXES) or "boot" in name:
            continue
        base = f"/sys/block/{name}"
        sectors = ctx.line_or_none(f"{base}/size") or ""
        rotational = ctx.line_or_none(f"{base}/queue/rotational")
        disk: Dict[str, Any] = {
            "name": name,
            "bytes": int(sectors) * 512
            if sectors.isdecimal() and len(sectors) < 16
            else None,  # sectors of 512, always
            "model": ctx.line_or_none(f"{base}/device/model") or ctx.line_or_none(f"{base}/device/name"),
            "rotational": rotational == "1" if rotational else None,
            "removable": ctx.line_or_none(f"{base}/removable") == "1",
            "smart": None,
        }
        if virtual["kind"] == "physical" and len(found) < SMART_DISKS:
            disk["smart"] = smart(ctx, name)
        found.append(disk)
    if virtual["kind"] == "vm":
        ctx.unread("hardware.disks.smart", "the disks are virtual")
    return found


def age(firmware_date: Optional[str], installed: Optional[str]) -> Dict[str, Any]:
    """The machine is at least as old as the older of its firmware and its system.

    Both can be younger than the machine (firmware update, reinstallation): hence "at least".
    """
    dates = [
        (date, basis) for date, basis in ((firmware_date, "firmware date"), (installed, "system installed")) if date
    ]
    if not dates:
        return {"since": None, "basis": "no firmware date and no trace of the installation"}
    since, basis = min(dates)
    return {"since": since, "basis": f"{basis}; the machine is at least this old"}


def collect(ctx: Context) -> Dict[str, Any]:
    virtual = ctx.once("virtualization", virtualization)
    cpu = parse_cpuinfo(ctx.read_or("/proc/cpuinfo", "", CPUINFO_LIMIT) or "")
    memory = parse_meminfo(ctx.read_or("/proc/meminfo", "") or "")
    if memory["memory_bytes"] is None:
        ctx.unread("hardware.memory_bytes", "/proc/meminfo not as expected")
    hardware: Dict[str, Any] = {"cpu": cpu, **memory}
    if virtual["kind"] == "container":
        why = f"runs in a container ({virtual['by']}): the hardware is that of the machine below"
        ctx.unread("hardware", why)
        return {"hardware": dict(hardware, vendor=None, model=None, serial=None, chassis=None, bios=None, disks=None,
                                 age={"since": None, "basis": why})}  # fmt: skip
    model = field_of(ctx.line_or_none(f"{DMI}/product_name"))
    if model is None:
        tree = ctx.line_or_none("/proc/device-tree/model")
        model = tree.rstrip("\ufffd") if tree else None
    serial = field_of(ctx.line_or_none(f"{DMI}/product_serial"))
    if serial is None:
        absent = "the firmware gives none" if ctx.is_root else "needs root"
        ctx.unread("hardware.serial", absent)
    if model is None:
        ctx.unread("hardware.model", "the firmware gives none")
    date = bios_date(ctx.line_or_none(f"{DMI}/bios_date"))
    installed = installed_at(ctx)["at"]
    if virtual["kind"] == "vm":
        why = f"a virtual machine ({virtual['by']}): its hardware is that of the host below"
        ctx.unread("hardware.age", why)
        estimate: Dict[str, Any] = {"since": None, "basis": why}
    else:
        estimate = age(date, installed[:10] if installed else None)
    return {
        "hardware": {
            "vendor": field_of(ctx.line_or_none(f"{DMI}/sys_vendor")),
            "model": model,
            "serial": serial,
            "chassis": CHASSIS.get(ctx.line_or_none(f"{DMI}/chassis_type") or ""),
            "bios": {
                "vendor": ctx.line_or_none(f"{DMI}/bios_vendor"),
                "version": ctx.line_or_none(f"{DMI}/bios_version"),
                "date": date,
            },
            **hardware,
            "disks": disks(ctx, virtual),
            "age": estimate,
        }
    }
