# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Whether the running system is the installed one: kernel, libraries in use, and the host's own wish for a reboot."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Set, Tuple

from .context import CommandError, Context
from .identity import kernels, virtualization
from .owners import PACKAGES, of_system, owners
from .processes import all_processes, unit

MAPS_LIMIT = 8 << 20  # bytes of one process's map
# Deleted and mapped by design: shared memory, anonymous files, scratch and run-time folders.
BY_DESIGN = (
    "/memfd:",
    "/dev/",
    "/SYSV",
    "/[",
    "/tmp/",  # noqa: S108  compared, never opened
    "/var/tmp/",  # noqa: S108
    "/run/",
    "/i915",
    "/drm",
    "/home/",
    "/anon_hugepage",
)
FILES_PER_PROCESS = 20


def deleted_files(maps: str) -> List[str]:
    """Programs and libraries that a process has mapped for execution and that are no longer on disk."""
    found: Set[str] = set()
    for line in maps.splitlines():
        if not line.endswith(" (deleted)"):
            continue
        fields = line.split(None, 5)
        if len(fields) == 6 and "x" in fields[1]:
            path = fields[5][: -len(" (deleted)")]
            if path.startswith("/") and not path.startswith(BY_DESIGN):
                found.add(path)
    return sorted(found)


def stale_processes(ctx: Context) -> List[Dict[str, Any]]:
    """Processes that use deleted files, each with some of them."""
    return [process for process, dummy in stale(ctx)]


def stale(ctx: Context) -> List[Tuple[Dict[str, Any], List[str]]]:
    """The same with all of their files."""
    found = []
    hidden = long = 0
    here = ctx.link("/proc/self/ns/pid")
    for process in all_processes(ctx):
        if ctx.link(f"/proc/{process.pid}/ns/pid") not in (here, None):
            continue  # in a container on this host, which has libraries and restarts of its own
        try:
            data = ctx.read_bytes(f"/proc/{process.pid}/maps", MAPS_LIMIT)
        except PermissionError:
            hidden += 1
            continue
        except OSError:
            continue
        if len(data) >= MAPS_LIMIT:
            long += 1
        files = deleted_files(data.decode("utf-8", "replace")) if b" (deleted)\n" in data else []
        if files:
            told = {
                "pid": process.pid,
                "process": process.name,
                "unit": unit(ctx, process.pid),
                "files": files[:FILES_PER_PROCESS],
            }
            found.append((told, files))
    if hidden:
        ctx.unread(
            "reboot.stale_processes", f"{hidden} processes: {'refused even to root' if ctx.is_root else 'needs root'}"
        )
    if long:
        text = f"{long} processes: their maps are longer than {MAPS_LIMIT} bytes, of which the first were read"
        ctx.unread("reboot.stale_processes", text)
    return found


def with_packages(ctx: Context, found: List[Tuple[Dict[str, Any], List[str]]]) -> List[Dict[str, Any]]:
    """Each process with the packages whose files it uses, and how many files of the system have no package."""
    try:
        known = owners(ctx, {path for dummy, files in found for path in files})
    except (OSError, CommandError) as error:
        ctx.unread_error("reboot.stale_processes.packages", error)
        return [dict(process, packages=None, without_package=None) for process, dummy in found]
    told = []
    for process, files in found:
        packages = sorted({name for path in files for name in known.get(path, ())})
        without = sum(1 for path in files if not known.get(path) and of_system(path))
        without += max(0, len(packages) - PACKAGES)
        told.append(dict(process, packages=packages[:PACKAGES], without_package=without))
    return told


def kernel_build(version: str) -> str:
    """The package version in "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)"."""
    match = re.search(r" Debian (\S+)", version)
    return match.group(1) if match else ""


def kernel_reasons(ctx: Context) -> Tuple[List[str], bool]:
    """Why the running kernel is not the newest installed one, and whether that could be told at all."""
    virtual = ctx.once("virtualization", virtualization)
    kernel = ctx.once("kernels", lambda context: kernels(context, virtual))
    running, newest = kernel["running"], kernel["newest_installed"]
    if virtual["kind"] == "container":
        return [], True  # the kernel is the machine's below: no reboot of this system would change it
    if not running or not newest:
        ctx.unread("reboot.kernel", "installed kernels are not known")
        return [], False
    if running != newest:
        return [f"kernel {running} runs, {newest} is installed"], True
    table = ctx.shared.get("packages")
    build = kernel_build(kernel["build"] or "")
    for row in table["rows"] if table and build else ():
        if row[0] == f"linux-image-{running}" and row[1] != build:
            return [f"kernel build {build} runs, {row[1]} is installed"], True
    return [], True


def collect(ctx: Context) -> Dict[str, Any]:
    reasons = []
    for path in ("/run/reboot-required", "/var/run/reboot-required"):
        if ctx.exists(path):
            wanted_by = (ctx.read_or(path + ".pkgs", "") or "").split()
            reasons.append("the system asks for it: " + (", ".join(sorted(set(wanted_by))[:20]) or "no package named"))
            break
    kernel, told = kernel_reasons(ctx)
    reasons += kernel
    processes = with_packages(ctx, stale(ctx))
    if any(process["pid"] == 1 for process in processes):
        reasons.append("process 1 uses files that were replaced")
    return {
        "reboot": {
            "wanted": True if reasons else False if told else None,
            "reasons": reasons,
            "stale_processes": processes,
        }
    }
