# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Which machine this is, what it runs, on what, and since when."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Optional

from .context import Context, utc

# Text in the firmware's vendor or product name -> what the machine is a guest of.
HYPERVISORS = (
    ("qemu", "kvm"),
    ("kvm", "kvm"),
    ("vmware", "vmware"),
    ("virtualbox", "virtualbox"),
    ("innotek", "virtualbox"),
    ("xen", "xen"),
    ("virtual machine", "hyper-v"),
    ("amazon ec2", "amazon"),
    ("google compute engine", "google"),
    ("openstack", "openstack"),
    ("bhyve", "bhyve"),
    ("parallels", "parallels"),
    ("nutanix", "nutanix"),
    ("proxmox", "kvm"),
)
# Made when the system is installed and seldom touched later: the oldest dates the installation.
INSTALLATION_MARKS = ("/lost+found", "/var/log/installer", "/root/anaconda-ks.cfg", "/etc/machine-id", "/etc/hostname")


def parse_os_release(text: str) -> Dict[str, str]:
    """The key=value lines of os-release, unquoted."""
    values = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            values[key] = re.sub(r"\\(.)", r"\1", value[1:-1]) if quoted else value
    return values


def fqdn_from_hosts(text: str, hostname: str) -> Optional[str]:
    """The first dotted name that /etc/hosts gives to a line naming this host; no name server is asked."""
    for line in text.splitlines():
        names = line.partition("#")[0].split()[1:]
        if hostname in names or any(name.startswith(hostname + ".") for name in names):
            dotted = [name for name in names if name.startswith(hostname + ".")]
            if dotted:
                return dotted[0]
    return hostname if "." in hostname else None


def version_key(release: str) -> List[Any]:
    """Order of kernel releases: 6.1.0-9-amd64 before 6.1.0-18-amd64."""
    return [
        (1, int(part[:18]), "") if part.isdecimal() else (0, 0, part) for part in re.findall(r"[0-9]+|[^0-9]+", release)
    ]


def container(ctx: Context) -> Optional[str]:
    """The container engine that this system runs in, or None."""
    said = ctx.line_or_none("/run/systemd/container")
    if said:
        return said
    if ctx.exists("/run/.containerenv"):
        return "podman"
    if ctx.exists("/.dockerenv"):
        return "docker"
    environment = ctx.read_or("/proc/1/environ", "", 65536) or ""
    for entry in environment.split("\ufffd"):
        if entry.startswith("container="):
            return entry[len("container=") :] or "container"
    if "microsoft" in (ctx.line_or_none("/proc/sys/kernel/osrelease") or "").lower():
        return "wsl"
    return None


def hypervisor(ctx: Context) -> Optional[str]:
    """What the machine is a virtual guest of, from the firmware's names and the processor's flags."""
    names = [
        ctx.line_or_none(f"/sys/class/dmi/id/{name}") or "" for name in ("sys_vendor", "product_name", "bios_vendor")
    ]
    text = " ".join(names).lower()
    for mark, name in HYPERVISORS:
        if mark in text:
            return name
    said = ctx.line_or_none("/sys/hypervisor/type")
    if said:
        return said
    cpu = ctx.head("/proc/cpuinfo", 65536)
    flags = cpu.partition("\nflags")[2].partition("\n")[0].split()
    return "unknown" if "hypervisor" in flags else None


def virtualization(ctx: Context) -> Dict[str, Any]:
    """kind: physical, vm or container; by: the engine or hypervisor; shared by several collectors."""
    engine = container(ctx)
    if engine:
        return {"kind": "container", "by": engine}
    guest_of = hypervisor(ctx)
    return {"kind": "vm", "by": guest_of} if guest_of else {"kind": "physical", "by": None}


def boot_time(ctx: Context) -> Optional[float]:
    """Start of process 1, in seconds since 1970: in a container its own start, not the machine's."""
    stat_text = ctx.read_or("/proc/stat", "") or ""
    machine = next((line.split()[1] for line in stat_text.splitlines() if line.startswith("btime ")), None)
    fields = (ctx.read_or("/proc/1/stat", "") or "").rpartition(")")[2].split()
    if machine is None or len(fields) < 20:
        ctx.unread("identity.booted_at", "/proc/1/stat or /proc/stat not as expected")
        return None
    return int(machine) + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def kernels(ctx: Context, virtual: Dict[str, Any]) -> Dict[str, Any]:
    running = ctx.line_or_none("/proc/sys/kernel/osrelease")
    result: Dict[str, Any] = {"running": running, "build": ctx.line_or_none("/proc/sys/kernel/version")}
    if virtual["kind"] == "container":
        ctx.unread("identity.kernel.installed", "a container runs the kernel of the machine below")
        return dict(result, installed=None, newest_installed=None)
    installed = sorted(
        {name[8:] for name in ctx.names_or_none("/boot") if name.startswith("vmlinuz-")}, key=version_key
    )
    if not installed:
        ctx.unread("identity.kernel.installed", "no /boot/vmlinuz-*: the kernel comes from elsewhere")
        return dict(result, installed=None, newest_installed=None)
    flavour = (running or "").rpartition("-")[2]
    same = [release for release in installed if flavour and release.endswith("-" + flavour)]
    return dict(result, installed=installed, newest_installed=(same or installed)[-1])


def installed_at(ctx: Context) -> Dict[str, Any]:
    dated = [(time, mark) for mark in INSTALLATION_MARKS for time in [ctx.mtime(mark)] if time]
    if not dated:
        return {"at": None, "basis": None}
    time, mark = min(dated)
    return {"at": utc(time), "basis": f"time of {mark}"}


def collect(ctx: Context) -> Dict[str, Any]:
    text = ctx.read_or("/etc/os-release") or ctx.read_or("/usr/lib/os-release")
    release = parse_os_release(text) if text else {}
    if not text:
        ctx.unread("identity.os", "no os-release file")
    hostname = ctx.line_or_none("/proc/sys/kernel/hostname")
    virtual = ctx.once("virtualization", virtualization)
    booted = boot_time(ctx)
    machine_id = ctx.line_or_none("/etc/machine-id")
    if not machine_id:
        ctx.unread("identity.machine_id", "/etc/machine-id is absent or empty")
    return {
        "identity": {
            "machine_id": machine_id,
            "hostname": hostname,
            "fqdn": fqdn_from_hosts(ctx.read_or("/etc/hosts", "") or "", hostname) if hostname else None,
            "os": {
                "id": release.get("ID"),
                "id_like": (release.get("ID_LIKE") or "").split(),
                "name": release.get("NAME"),
                "pretty": release.get("PRETTY_NAME"),
                "version": release.get("VERSION_ID"),
                "codename": release.get("VERSION_CODENAME"),
                "point_release": ctx.line_or_none("/etc/debian_version"),
            },
            "kernel": ctx.once("kernels", lambda context: kernels(context, virtual)),
            "architecture": os.uname().machine,
            "virtualization": virtual,
            "booted_at": utc(booted) if booted else None,
            "uptime_seconds": max(0, int(ctx.now - booted)) if booted else None,
            "installed": installed_at(ctx),
        }
    }
