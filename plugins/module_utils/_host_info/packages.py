# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Installed packages of the dpkg and rpm families, with their source packages.

Vulnerability data speaks of source packages, so each row has them; null stands for "the same as the package's own".
`origin` is whose package it is: what apt's archives call themselves (see origins.py, which completes it), rpm's Vendor.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Set

from .context import CommandError, Context, utc

STATUS = "/var/lib/dpkg/status"
STATUS_LIMIT = 64 << 20  # bytes; 3,000 packages take 6 MB
POPULARITY = "/var/log/popularity-contest"
RPM_SECONDS = 30.0
RPM_FORMAT = "%{NAME}\\t%{EPOCH}\\t%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{SOURCERPM}\\t%{INSTALLTIME}\\t%{VENDOR}\\n"
COLUMNS = ["name", "version", "arch", "source", "source_version", "installed_at", "last_used", "origin"]
FIELDS = ("Package", "Status", "Architecture", "Source", "Version")


def parse_status(text: str) -> List[Dict[str, str]]:
    """Stanzas of dpkg's status file, reduced to the fields that are used."""
    found = []
    for stanza in text.split("\n\n"):
        fields: Dict[str, str] = {}
        for line in stanza.split("\n"):
            if line[:1] in "PSAV":  # the first letters of FIELDS
                key, colon, value = line.partition(":")
                if colon and key in FIELDS:
                    fields[key] = value.strip()
        if fields.get("Package") and fields.get("Status"):
            found.append(fields)
    return found


def dpkg_row(fields: Dict[str, str]) -> List[Optional[str]]:
    """One row; "Source: openssl (3.0.11-1)" names a version only where it differs."""
    name, version = fields["Package"], fields.get("Version", "")
    source, dummy, rest = fields.get("Source", name).partition(" ")
    source_version = rest.strip("() ") or version
    return [
        name,
        version,
        fields.get("Architecture"),
        None if source == name else source,
        None if source_version == version else source_version,
        None,
        None,
        None,
    ]


def parse_popularity(text: str) -> Dict[str, int]:
    """Last use by package: "ATIME CTIME PACKAGE FILE [<TAG>]"; 0 and tagged lines say nothing."""
    used = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[0].isdecimal() and len(fields[0]) < 12 and fields[0] != "0":
            used[fields[2]] = int(fields[0])
    return used


def last_use(ctx: Context) -> Dict[str, int]:
    text = ctx.read_or(POPULARITY, None, 8 << 20)
    if text is None:
        ctx.unread("packages.last_used", "the system keeps no record (popularity-contest is not installed)")
        return {}
    return parse_popularity(text)


def dpkg(ctx: Context) -> Dict[str, Any]:
    """Raises OSError and CommandError."""
    rows, held, broken = [], [], []
    used = last_use(ctx)
    info = ctx.path("/var/lib/dpkg/info")
    status = ctx.read(STATUS, STATUS_LIMIT)
    if STATUS in ctx.unread_items:
        ctx.unread("packages", f"{STATUS}: {ctx.unread_items[STATUS]}")
    for fields in parse_status(status):
        want, dummy, state = fields["Status"].partition(" ")
        if state.endswith(("config-files", "not-installed")):
            continue
        row = dpkg_row(fields)
        name, arch = fields["Package"], fields.get("Architecture", "")
        if want == "hold":
            held.append(name)
        if state != "ok installed":
            broken.append(f"{name}: {state}")
        for listing in (f"{info}/{name}.list", f"{info}/{name}:{arch}.list"):
            if "/" in name or "\0" in listing:
                break  # no package name of dpkg's, so no path for us
            try:
                row[5] = utc(os.stat(listing).st_mtime)
                break
            except OSError:
                continue
        if name in used:
            row[6] = utc(used[name])
        rows.append(row)
    if not rows:
        raise CommandError("dpkg's status file names no installed package")
    return {"family": "dpkg", "columns": COLUMNS, "rows": rows, "held": held, "broken": broken}


def source_of_rpm(file_name: str) -> List[Optional[str]]:
    """Name and version-release of NAME-VERSION-RELEASE.src.rpm."""
    stem = file_name[: -len(".src.rpm")] if file_name.endswith(".src.rpm") else ""
    parts = stem.rsplit("-", 2)
    return [parts[0], f"{parts[1]}-{parts[2]}"] if len(parts) == 3 else [None, None]


def parse_rpm(text: str) -> List[List[Optional[str]]]:
    """Rows of `rpm -qa --qf RPM_FORMAT`; gpg-pubkey entries are keys, not packages."""
    rows: List[List[Optional[str]]] = []
    for line in text.splitlines():
        fields = line.split("\t", 6)
        if len(fields) != 7 or fields[0] == "gpg-pubkey":
            continue
        name, epoch, version, arch, source_file, installed, vendor = fields
        source, source_version = source_of_rpm(source_file)
        rows.append(
            [
                name,
                version if epoch in ("(none)", "0", "") else f"{epoch}:{version}",
                arch,
                None if source == name else source,
                None if source_version == version else source_version,
                utc(int(installed)) if installed.isdecimal() and len(installed) < 12 else None,
                None,
                "" if vendor == "(none)" else vendor,
            ]
        )
    return rows


def rpm(ctx: Context, program: str) -> Dict[str, Any]:
    """Raises CommandError."""
    status, output = ctx.run([program, "-qa", "--qf", RPM_FORMAT], RPM_SECONDS)
    if status != 0:
        raise CommandError(f"rpm -qa: exit status {status}")
    rows = parse_rpm(output)
    if not rows:
        raise CommandError("rpm -qa names no package: no system is empty, so this is not its database")
    ctx.unread("packages.last_used", "the system keeps no record")
    return {"family": "rpm", "columns": COLUMNS, "rows": rows, "held": None, "broken": None}


def installed(ctx: Context) -> Optional[Dict[str, Any]]:
    """The package table of whichever family this host is; None where it could not be read."""
    try:
        if ctx.exists(STATUS):
            return dpkg(ctx)
        program = ctx.program("rpm")
        if program:
            return rpm(ctx, program)
        ctx.unread("packages", "neither dpkg's status file nor the program rpm is there")
    except (OSError, CommandError) as error:
        ctx.unread_error("packages", error)
    return None


def package_names(ctx: Context) -> Optional[Set[str]]:
    """Names of the installed packages, for collectors that look for one."""
    table = ctx.once("packages", installed)
    return {row[0] for row in table["rows"]} if table else None


def collect(ctx: Context) -> Dict[str, Any]:
    table = ctx.once("packages", installed)
    if not ctx.want_packages:
        ctx.unread("packages", "not asked for")
        return {"packages": None}
    return {"packages": table}
