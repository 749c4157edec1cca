# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Where installed packages come from, by what the signed indexes of apt's archives call themselves.

ORIGIN/CODENAME ("Debian/bookworm-security"). Empty: no archive that apt knows has the package in that version or in a
newer one. Where nothing could be told the column stays null.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from .context import Context
from .identity import parse_os_release
from .packages import COLUMNS, installed

AT = COLUMNS.index("origin")
Origins = Dict[Tuple[str, str], str]


def named(origin: str, codename: str) -> str:
    """One archive, as the column has it."""
    return f"{origin}/{codename}" if codename else origin


def release_of(ctx: Context) -> Tuple[str, str]:
    """The host's own distribution and series (debian, bookworm): of several archives its own is told."""
    values = parse_os_release(ctx.read_or("/etc/os-release", "") or "")
    return values.get("ID", ""), values.get("VERSION_CODENAME", "")


def archives_of(version: Any) -> List[Tuple[str, str]]:
    """Origin and codename of each index that has a version; dpkg's own status file is none."""
    return [
        (file.origin or file.site or "an archive without a name", file.codename or "")
        for file, dummy in version.file_list
        if file.archive != "now"
    ]


def origin_of(package: Any, release: Tuple[str, str]) -> str:
    """The archive of the installed version. Where that is in none any more, of the lowest newer one that is."""
    distribution, series = release
    current = package.current_ver
    above = [version for version in package.version_list if version >= current]
    for version in reversed(above):  # apt has the newest first
        archives = archives_of(version)
        if archives:
            own = [one for one in archives if one[0].lower() == distribution]
            of_series = [one for one in own if series and one[1].partition("-")[0] == series]
            return named(*(of_series or own or archives)[0])
    return ""


def note(ctx: Context, origins: Optional[Origins], why: str = "") -> None:
    """Complete the table of packages, which was made before apt's cache was opened."""
    table = ctx.once("packages", installed)
    if table is None or table["family"] != "dpkg":
        return
    if origins is None:
        ctx.unread("packages.origin", why)
        return
    for row in table["rows"]:
        row[AT] = origins.get((row[0], row[2] or ""))
