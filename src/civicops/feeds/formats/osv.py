"""OSV: advisories of Debian, Ubuntu, AlmaLinux and Rocky Linux; one record a line, or a file, or a file in a zip."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from civicops.feeds.error import FeedError
from civicops.feeds.format import Advice, Fix, Format, Told
from civicops.feeds.source import MB, Source
from civicops.feeds.values import cve_number, day, is_cve, listed, mapped, package, shown, text, version

_ECOSYSTEM = re.compile(
    r"(?:(Debian|AlmaLinux|Rocky Linux):([0-9]+(?:\.[0-9]+)?)|(Ubuntu(?::Pro)?):([0-9]{2}\.[0-9]{2})(?::LTS)?)",
    re.ASCII,
)
_IN_HEAD = re.compile(rb'"ecosystem"\s*:\s*"(Debian|AlmaLinux|Rocky Linux|Ubuntu)[:"]')
_IDS = {
    "Debian": "debian",
    "AlmaLinux": "almalinux",
    "Rocky Linux": "rocky",
    "Ubuntu": "ubuntu",
    "Ubuntu:Pro": "ubuntu-pro",
}
_ID = re.compile(r"[A-Za-z][A-Za-z0-9:._-]{2,99}", re.ASCII)
_CVE_IN_ID = re.compile(r"(?:UBUNTU|DEBIAN)-(CVE-[0-9]+-[0-9]+)")
# What Debian's lists write where a version belongs.
_IN_PLACE_OF_A_VERSION = {
    "<unfixed>": "open",
    "<end-of-life>": "end-of-life",
    "<not-affected>": "not-affected",
    "<undetermined>": "undetermined",
}


class Osv(Format):
    feeds = {
        "osv-debian": "not stated with the data (security-tracker.debian.org)",
        "osv-ubuntu": "CC-BY-SA-4.0",
        "osv-almalinux": "MIT",
        "osv-rocky": "BSD-3-Clause",
    }
    limit = 8192 * MB

    def is_part(self, name: str) -> bool:
        return name.endswith(".json")

    def recognise(self, head: bytes, name: str) -> str | None:
        match = _IN_HEAD.search(head)
        return f"osv-{_IDS[match[1].decode()]}" if match and b'"affected"' in head and b'"id"' in head else None

    def read(self, feed: str, sources: Sequence[Source], told: Told) -> Iterator[Advice]:
        distribution = feed.removeprefix("osv-")
        above: dict[str, tuple[str, ...]] = {}
        for source in sources:
            for one in source.records(self.limit):
                for record in one if isinstance(one, list) else [one]:
                    advice = _advice(mapped(record, "a record"), distribution, above, told)
                    if advice is not None:
                        yield advice
        _refuse_cycles(above)


def _advice(
    record: dict[str, object], distribution: str, above: dict[str, tuple[str, ...]], told: Told
) -> Advice | None:
    name = text(record.get("id"), "id", 100)
    if not _ID.fullmatch(name):
        raise FeedError(f"id: {shown(name)} is no advisory's id")
    if record.get("withdrawn"):
        told.leave_out("withdrawn advisories")
        return None
    named = {
        key: [text(one, f"{name}: {key}") for one in listed(record.get(key) or [], f"{name}: {key}")]
        for key in ("upstream", "aliases", "related")
    }
    over = tuple(one for one in named["upstream"] if not is_cve(one))
    if over:
        above[name] = (*above.get(name, ()), *over)
    for key in ("modified", "published"):
        if key in record:
            told.newest_record(day(record[key], f"{name}: {key}"))
            break
    cves = {cve_number(one) for ones in named.values() for one in ones if is_cve(one)}
    if not cves and (inside := _CVE_IN_ID.fullmatch(name)) and is_cve(inside[1]):
        cves.add(cve_number(inside[1]))
    fixes: set[Fix] = set()
    for entry in listed(record.get("affected"), f"{name}: affected"):
        fixes.update(_fixes(mapped(entry, f"{name}: an entry of affected"), name, distribution))
    if not fixes:
        told.leave_out(f"advisories that concern no release of {distribution}")
        return None
    return Advice(name, tuple(sorted(cves)), tuple(sorted(fixes, key=str)))


def _fixes(entry: dict[str, object], name: str, distribution: str) -> Iterator[Fix]:
    about = entry.get("package")
    if about is None:  # a repository of sources, without a package
        return
    about = mapped(about, f"{name}: package")
    match = _ECOSYSTEM.fullmatch(text(about.get("ecosystem"), f"{name}: ecosystem"))
    if match is None:
        return
    concerned, release = _IDS[match[1] or match[3]], match[2] or match[4]
    if concerned.removesuffix("-pro") != distribution:
        return
    of = package(about.get("name"), f"{name}: name of a package")
    where = f"{name}: {of}"
    for one in listed(entry.get("ranges") or [], f"{where}: ranges"):
        span = mapped(one, f"{where}: a range")
        if span.get("type") != "ECOSYSTEM":
            continue
        introduced: str | None = None
        open_ended = False
        for event in listed(span.get("events"), f"{where}: events"):
            for key, value in mapped(event, f"{where}: an event").items():
                if key == "introduced":
                    introduced = version(value, f"{where}: introduced")
                    introduced, open_ended = None if introduced == "0" else introduced, True
                elif key == "fixed":
                    state = _IN_PLACE_OF_A_VERSION.get(str(value))
                    fixed = None if state else version(value, f"{where}: fixed")
                    yield Fix(concerned, release, of, introduced, fixed, state or "fixed")
                    introduced, open_ended = None, False
        if open_ended:
            yield Fix(concerned, release, of, introduced, None, "open")


def _refuse_cycles(above: dict[str, tuple[str, ...]]) -> None:
    """`upstream` must lead somewhere: an advisory can't stem from itself, however far around."""
    done: set[str] = set()
    for start in above:
        path: dict[str, Iterator[str]] = {start: iter(above[start])} if start not in done else {}
        while path:
            at = next(reversed(path))
            for following in path[at]:
                if following in path:
                    raise FeedError(f"{following[:100]}: its `upstream` leads back to itself")
                if following in above and following not in done:
                    path[following] = iter(above[following])
                    break
            else:
                done.add(at)
                del path[at]


FORMAT = Osv()
