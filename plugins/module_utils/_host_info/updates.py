# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Updates that wait, security told apart, each figure beside what makes it doubtful.

Nothing is written to the host's caches.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, Optional, Tuple

from .apt_caches import private_caches
from .context import CommandError, Context
from .origins import Origins, note, origin_of, release_of
from .packages import installed
from .sources import SECURITY_SUITE, package_sources

APT_SECONDS = 60.0
DNF_SECONDS = 60.0
COLUMNS = ["name", "arch", "from", "to", "security", "archive", "source"]
Row = List[Any]  # all columns but the source package, which is the installed one's (null: the same name)


def security_archive(origin: str, label: str, archive: str, codename: str = "") -> bool:
    """By what the signed index says of itself: Debian-Security, bookworm-security, UbuntuESM, ..."""
    return bool(
        label.endswith("-Security")
        or origin.startswith("UbuntuESM")
        or SECURITY_SUITE.search(archive)
        or SECURITY_SUITE.search(codename)
    )


# -- apt, in this process -----------------------------------------------------


def apt_row(package: Any, candidate: Any) -> Row:
    installed = package.current_ver
    security = False
    archives: List[str] = []
    for version in package.version_list:
        if version > installed and version <= candidate:
            for index_file, dummy in version.file_list:
                if version == candidate and index_file.archive not in ("now", ""):
                    archives.append(f"{index_file.origin or index_file.site}/{index_file.archive}")
                security = security or security_archive(
                    index_file.origin or "", index_file.label or "", index_file.archive or "", index_file.codename or ""
                )
    return [
        package.name,
        candidate.arch,
        installed.ver_str,
        candidate.ver_str,
        security,
        archives[0] if archives else None,
    ]


def apt_in_process(ctx: Context) -> List[Row]:
    """Pending updates by python3-apt, and whence the installed packages come, from the same cache; raises ImportError
    without it, CommandError when apt can't open its lists."""
    import apt_pkg

    apt_pkg.init_config()
    for name, place in private_caches(ctx).items():
        apt_pkg.config.set(f"Dir::Cache::{name}", place)
    apt_pkg.init_system()
    try:
        cache = apt_pkg.Cache(None)
        chosen = apt_pkg.DepCache(cache)
    except (SystemError, apt_pkg.Error) as error:
        raise CommandError(f"apt: {error}") from error
    rows = []
    origins: Origins = {}
    release = release_of(ctx)
    for package in cache.packages:
        if package.current_ver is None or not package.has_versions:
            continue
        origins[package.name, package.current_ver.arch] = origin_of(package, release)
        candidate = chosen.get_candidate_ver(package)
        if candidate is not None and candidate > package.current_ver:
            rows.append(apt_row(package, candidate))
    note(ctx, origins)
    return rows


# -- apt-get, where python3-apt is absent -------------------------------------

INST = re.compile(r"Inst (\S+) \[([^\]]+)\] \((\S+) (.*?) ?\[([^\]]+)\]\)")


def parse_simulation(text: str) -> List[Row]:
    """Lines of `apt-get -s dist-upgrade`: Inst NAME [FROM] (TO ORIGIN:VERSION/ARCHIVE, ... [ARCH])."""
    rows: List[Row] = []
    for line in text.splitlines():
        match = INST.match(line)
        if not match:
            continue
        name, old, new, where, arch = match.groups()
        archives = [part.strip() for part in where.split(",")]
        pairs = [
            (origin.partition(":")[0], suite) for origin, dummy, suite in (part.partition("/") for part in archives)
        ]
        security = any(security_archive(origin, origin, suite) for origin, suite in pairs)
        origin, suite = pairs[0]
        rows.append([name.partition(":")[0], arch, old, new, security, f"{origin}/{suite}" if suite else None])
    return rows


def apt_get(ctx: Context) -> List[Row]:
    """Raises CommandError."""
    program = ctx.program("apt-get")
    if program is None:
        raise CommandError("neither python3-apt nor apt-get is there")
    options = ["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "-o", "Debug::NoLocking=1"]
    status, output = ctx.run([program, "-s", "-q", *options, "dist-upgrade"], APT_SECONDS)
    if status != 0:
        raise CommandError(f"apt-get -s dist-upgrade: exit status {status}")
    note(ctx, None, "python3-apt is not there, which alone tells the archives of packages")
    ctx.unread("updates.held", "python3-apt is not there, and apt-get leaves out updates that are held back")
    return parse_simulation(output)


# -- dnf ----------------------------------------------------------------------


def parse_check_update(text: str) -> List[Tuple[str, str, str, str]]:
    """Name, architecture, version and repository of `dnf check-update`, up to the obsoletes."""
    found = []
    for line in text.partition("\nObsoleting")[0].splitlines():
        fields = line.split()
        if len(fields) == 3 and "." in fields[0] and fields[1][:1].isdigit():
            name, dummy, arch = fields[0].rpartition(".")
            found.append((name, arch, fields[1], fields[2]))
    return found


def parse_updateinfo(text: str) -> List[str]:
    """Packages (NAME-VERSION.ARCH) of `dnf updateinfo list --security`."""
    lines = (line.split() for line in text.splitlines())
    return [fields[-1] for fields in lines if len(fields) == 3 and "/" in fields[1] + "/"]


def dnf_rows(
    updates: Iterable[Tuple[str, str, str, str]], security: Optional[List[str]], now: Dict[str, str]
) -> List[Row]:
    rows: List[Row] = []
    known = set(security or ())
    for name, arch, version, repository in updates:
        bare = version.partition(":")[2] or version
        marked = f"{name}-{bare}.{arch}" in known or f"{name}-{version}.{arch}" in known
        rows.append([name, arch, now.get(name), version, None if security is None else marked, repository])
    return rows


def dnf(ctx: Context) -> List[Row]:
    """Pending updates from dnf's own cache; raises CommandError.

    dnf writes its solver cache even with --cacheonly, so root does not ask it: the question is left to an ordinary
    user, who can't write there.
    """
    program = ctx.program("dnf") or ctx.program("yum")
    if program is None:
        raise CommandError("neither apt nor dnf is there")
    if ctx.is_root:
        raise CommandError("dnf writes to its cache when root asks; an ordinary user can see its updates")
    base = [program, "-q", "--cacheonly", "--setopt=cachedir=/var/cache/dnf"]
    status, output = ctx.run([*base, "check-update"], DNF_SECONDS)
    if status not in (0, 100):  # 100: updates are there
        raise CommandError(f"dnf check-update: exit status {status}; its cache may be missing")
    security: Optional[List[str]] = None
    status, advisories = ctx.run([*base, "updateinfo", "list", "--security"], DNF_SECONDS)
    if status == 0:
        security = parse_updateinfo(advisories)
    else:
        ctx.unread("updates.security", f"dnf updateinfo: exit status {status}")
    table = ctx.once("packages", installed)
    now = {row[0]: row[1] for row in table["rows"]} if table else {}
    return dnf_rows(parse_check_update(output), security, now)


def pending(ctx: Context) -> List[Row]:
    """Raises CommandError."""
    if not ctx.exists("/etc/apt"):
        return dnf(ctx)
    if ctx.root == "/":
        try:
            return apt_in_process(ctx)
        except ImportError:
            pass
    return apt_get(ctx)


def collect(ctx: Context) -> Dict[str, Any]:
    sources: Optional[Dict[str, Any]] = ctx.once("package_sources", package_sources)
    if not ctx.want_updates:
        ctx.unread("updates", "not asked for")
        note(ctx, None, "updates were not asked for, and the archives of packages with them")
        return {"updates": None}
    if sources is None or sources["lists_checked_at"] is None:
        ctx.unread("updates", "no package lists were downloaded yet, so nothing is known of updates")
        note(ctx, None, "no package lists were downloaded yet")
        return {"updates": None}
    table = ctx.once("packages", installed)
    source_of = {row[0]: row[3] for row in table["rows"]} if table else {}
    try:
        rows = [[*row, source_of.get(row[0])] for row in pending(ctx)]
    except CommandError as error:
        ctx.unread_error("updates", error)
        note(ctx, None, "apt did not answer")
        return {"updates": None}
    security: Optional[int] = sum(1 for row in rows if row[4])
    if sources["security_source"] is False:
        ctx.unread("updates.security_count", sources["security_source_why"])
        security = None
    elif any(row[4] is None for row in rows):
        security = None
    return {
        "updates": {
            "count": len(rows),
            "security_count": security,
            "lists_checked_at": sources["lists_checked_at"],
            "caveats": sources["caveats"],
            "columns": COLUMNS,
            "rows": sorted(rows, key=lambda row: (not row[4], row[0])),
        }
    }
