# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Where packages come from: repositories of apt and dnf, how fresh their lists are, and whether one brings security."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any, Dict, List, Optional, Tuple

from .context import Context, utc
from .filesystems import without_credentials

APT = "/etc/apt"
LISTS = "/var/lib/apt/lists"
STALE_DAYS = 7  # Debian renews its security archive's signed index within 7 days (its Valid-Until)
SECURITY_SUITE = re.compile(r"(-security|/updates)$")
SECURITY_URI = re.compile(
    r"security\.debian\.org|/debian-security|security\.ubuntu\.com|esm\.ubuntu\.com", re.IGNORECASE
)
QUOTED = '\\|{}[]<>"^~_=!@#$%&*'  # what apt writes as %xx in the names of its list files
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
COLUMNS = ["kind", "uri", "suite", "components", "enabled", "signed_by", "trusted", "security", "fetched_at",
           "released_at", "valid_until", "file", "origin"]  # fmt: skip
Source = Dict[str, Any]


def source(
    kind: str, uri: str, suite: str, components: List[str], options: Dict[str, str], enabled: bool, file: str
) -> Source:
    signed_by = options.get("signed-by")
    if signed_by and "BEGIN PGP" in signed_by:
        signed_by = "key in the file itself"
    return {
        "kind": kind,
        "uri": without_credentials(uri),
        "suite": suite,
        "components": components,
        "enabled": enabled,
        "signed_by": signed_by,
        "trusted": options.get("trusted", "").lower() in ("yes", "true", "1"),
        "file": file,
    }


def parse_one_line(text: str, file: str) -> List[Source]:
    """Lines of sources.list(5); a line that is commented out is a source that is not enabled."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*(#\s*)?(deb|deb-src)\s+(\[[^\]]*\]\s+)?(\S+:\S+)\s+(\S+)([^#]*)", line)
        if not match:
            continue
        off, kind, brackets, uri, suite, components = match.groups()
        words = (word.partition("=") for word in (brackets or "").strip("[] ").split())
        options = {key.lower(): value for key, dummy, value in words}
        found.append(source(kind, uri, suite, components.split(), options, not off, file))
    return found


def parse_deb822(text: str, file: str) -> List[Source]:
    """Stanzas of *.sources."""
    found = []
    for stanza in re.split(r"\n[ \t]*\n", text.replace("\r", "")):
        fields: Dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t"):
                if key:
                    fields[key] += "\n" + line.strip()
                continue
            key, colon, value = line.partition(":")
            key = key.strip().lower() if colon else ""
            if key:
                fields[key] = value.strip()
        enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "0")
        for kind in fields.get("types", "").split()[:8]:
            for uri in fields.get("uris", "").split()[:32]:
                suites = fields.get("suites", "").split()[:32]
                components = fields.get("components", "").split()
                found += [source(kind, uri, suite, components, fields, enabled, file) for suite in suites]
    return found


def list_file(uri: str, suite: str) -> str:
    """How apt names the index of a source: the URI without scheme and credentials, quoted, slashes as underscores."""
    place = re.sub(r"^[a-z0-9+.-]+:/*", "", without_credentials(uri), flags=re.IGNORECASE).rstrip("/")
    quoted = "".join(f"%{ord(char):02x}" if char in QUOTED else char for char in place)
    suite_part = suite.strip("/").replace("/", "_")
    middle = "" if suite.endswith("/") else "_dists"
    return quoted.replace("/", "_") + middle + (f"_{suite_part}" if suite_part else "")


def parse_release(text: str) -> Dict[str, str]:
    """The header fields of an InRelease file, up to its checksums."""
    fields = {}
    for line in text.split("\n", 64)[:64]:
        if line.startswith(("MD5Sum:", "SHA1:", "SHA256:")):
            break
        key, colon, value = line.partition(":")
        if colon and key in ("Origin", "Label", "Suite", "Codename", "Date", "Valid-Until"):
            fields[key] = value.strip()
    return fields


def release_time(text: Optional[str]) -> Optional[float]:
    """Seconds since 1970 of "Sat, 09 Nov 2024 09:52:13 UTC"; by hand, as email.utils costs 10 ms to import."""
    match = re.match(
        r"[A-Z][a-z]{2}, +(\d+) ([A-Z][a-z]{2}) (\d{4}) +(\d+):(\d+):(\d+) (UTC|GMT|Z|\+0000)$", text or "", re.ASCII
    )
    if not match or match.group(2) not in MONTHS:
        return None
    day, month, year, hour, minute, second = match.groups()[:6]
    try:
        when = datetime(
            int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=timezone.utc
        )
    except ValueError:
        return None
    return when.timestamp()


def is_security(one: Source, release: Dict[str, str]) -> bool:
    if release.get("Label", "").endswith("-Security") or release.get("Origin", "").startswith("UbuntuESM"):
        return True
    return bool(SECURITY_SUITE.search(one["suite"]) or SECURITY_URI.search(one["uri"]))


def apt_sources(ctx: Context) -> List[Source]:
    found = parse_one_line(ctx.read_or(f"{APT}/sources.list", "") or "", "sources.list")
    for name in ctx.names_or_none(f"{APT}/sources.list.d"):
        if not name.endswith((".list", ".sources")):
            continue
        try:
            text = ctx.read(f"{APT}/sources.list.d/{name}")
        except OSError as error:
            ctx.unread_error(f"package_sources.{name}", error)  # some hold passwords and are root's alone
            continue
        found += (parse_one_line if name.endswith(".list") else parse_deb822)(text, f"sources.list.d/{name}")
    return found


def date_lists(ctx: Context, found: List[Source]) -> None:
    """Give each source the dates of its list, and say whether it brings security updates."""
    names = set(ctx.names_or_none(LISTS))
    for one in found:
        release: Dict[str, str] = {}
        stem = list_file(one["uri"], one["suite"])
        for name in (f"{stem}_InRelease", f"{stem}_Release"):
            if name in names:
                release = parse_release(ctx.head(f"{LISTS}/{name}", 16 << 10))
                one["fetched_at"] = ctx.ctime(f"{LISTS}/{name}")
                break
        one["released_at"] = release_time(release.get("Date"))
        one["valid_until"] = release_time(release.get("Valid-Until"))
        one["security"] = is_security(one, release)
        origin, codename = release.get("Origin"), release.get("Codename")
        one["origin"] = f"{origin}/{codename}" if origin and codename else origin


def checked_at(ctx: Context, found: List[Source]) -> Optional[float]:
    """The last sign of an `apt update`: apt touches partial/ each time, and list files only when they change."""
    if not any(one.get("fetched_at") for one in found):
        return None
    signs = [one["fetched_at"] for one in found if one.get("fetched_at")]
    signs += [
        ctx.mtime(path) or 0.0 for path in (LISTS, f"{LISTS}/partial", "/var/lib/apt/periodic/update-success-stamp")
    ]
    newest: float = max(signs)
    return newest


def security_verdict(found: List[Source]) -> Tuple[Optional[bool], str]:
    """Whether security updates can reach this host at all, and why we say so."""
    enabled = [one for one in found if one["enabled"] and one["kind"] != "deb-src"]
    bringing = [one for one in enabled if one["security"]]
    if not enabled:
        return False, "no package source is enabled"
    if not bringing:
        return False, "none of the enabled sources is a security archive"
    if not any(one.get("fetched_at") for one in bringing):
        return True, f"{bringing[0]['suite']} is configured, but its lists were never downloaded"
    return True, f"{bringing[0]['suite']} is configured and its lists are there"


def apt(ctx: Context) -> Dict[str, Any]:
    found = apt_sources(ctx)
    date_lists(ctx, found)
    checked = checked_at(ctx, found)
    present, why = security_verdict(found)
    expired = [one["suite"] for one in found if one["enabled"] and one["valid_until"] and one["valid_until"] < ctx.now]
    caveats = []
    if not present or not any(one["security"] and one["enabled"] and one.get("fetched_at") for one in found):
        caveats.append(why)
    if checked is None:
        caveats.append("no lists downloaded yet")
    elif ctx.now - checked > STALE_DAYS * 86400:
        caveats.append(f"lists not renewed for {int((ctx.now - checked) / 86400)} days")
    if expired:
        caveats.append("lists past their own valid-until date: " + ", ".join(sorted(set(expired))[:5]))
    for one in found:
        for key in ("fetched_at", "released_at", "valid_until"):
            one[key] = utc(one[key]) if one.get(key) else None
    return {
        "family": "dpkg",
        "columns": COLUMNS,
        "rows": [[one[column] for column in COLUMNS] for one in found],
        "security_source": present,
        "security_source_why": why,
        "lists_checked_at": utc(checked) if checked else None,
        "caveats": caveats,
    }


def parse_repo(text: str, file: str) -> List[Source]:
    """Sections of a yum .repo file."""
    import configparser  # only where there are such files

    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except (configparser.Error, AttributeError):  # the second is its own mistake: a key without a value that goes on
        return []
    found = []
    for name in parser.sections():
        fields = {key: value or "" for key, value in parser.items(name)}
        uri = (fields.get("baseurl") or fields.get("mirrorlist") or fields.get("metalink") or "").split()
        one = source(
            "rpm", uri[0] if uri else "", name, [], {}, fields.get("enabled", "1").lower() in ("1", "yes", "true"), file
        )
        one["signed_by"] = fields.get("gpgkey") or None
        one["trusted"] = fields.get("gpgcheck", "").lower() in ("0", "no", "false")
        found.append(one)
    return found


def dnf(ctx: Context) -> Dict[str, Any]:
    found = []
    for name in ctx.names_or_none("/etc/yum.repos.d"):
        if name.endswith(".repo"):
            found += parse_repo(ctx.read_or(f"/etc/yum.repos.d/{name}", "") or "", f"yum.repos.d/{name}")
    caches = ctx.names_or_none("/var/cache/dnf")
    for one in found:
        times = [ctx.mtime(f"/var/cache/dnf/{cache}/repodata/repomd.xml") for cache in caches
                 if cache.rpartition("-")[0] == one["suite"]]  # fmt: skip
        one["fetched_at"] = max((time for time in times if time), default=None)
        one.update(released_at=None, valid_until=None, security=None, origin=None)
    fetched = [one["fetched_at"] for one in found if one["enabled"] and one["fetched_at"]]
    caveats = ["repositories of this family mark security updates inside their own data: see updates"]
    if not fetched:
        caveats.append("no lists downloaded yet")
    elif ctx.now - min(fetched) > STALE_DAYS * 86400:
        caveats.append(f"lists not renewed for {int((ctx.now - min(fetched)) / 86400)} days")
    for one in found:
        one["fetched_at"] = utc(one["fetched_at"]) if one["fetched_at"] else None
    ctx.unread("package_sources.security_source", "not a separate source in the rpm family")
    return {
        "family": "rpm",
        "columns": COLUMNS,
        "rows": [[one[column] for column in COLUMNS] for one in found],
        "security_source": None,
        "security_source_why": "the rpm family has no separate security source",
        "lists_checked_at": utc(min(fetched)) if fetched else None,
        "caveats": caveats,
    }


def package_sources(ctx: Context) -> Optional[Dict[str, Any]]:
    if ctx.exists(APT):
        return apt(ctx)
    if ctx.exists("/etc/yum.repos.d"):
        return dnf(ctx)
    ctx.unread("package_sources", "neither /etc/apt nor /etc/yum.repos.d is there")
    return None


def collect(ctx: Context) -> Dict[str, Any]:
    return {"package_sources": ctx.once("package_sources", package_sources)}
