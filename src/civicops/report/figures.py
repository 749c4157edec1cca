"""The figures of one host: each with its value, what it means, and how it was got.

A figure is one small function in `FIGURES`. Its state is never better than what is known: what could not be read is
`unknown`, with the reason, and never counts as fine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from civicops.assess.facts import Facts
from civicops.assess.lifecycle import end_of_system
from civicops.assess.measures import Fullness, age_of_machine, filled, fullness, has_power, with_room, without_password
from civicops.assess.measures import security_source as security_source_of
from civicops.feeds.store import Index
from civicops.text import size

State = Literal["bad", "unknown", "soon", "good", "plain"]

# Worst first: what is not known is worse than what merely comes near.
WORST_FIRST: tuple[State, ...] = ("bad", "unknown", "soon", "good", "plain")

_NAMES_SHOWN = 12
_FULLNESS: dict[Fullness, State] = {"full": "bad", "near": "soon", "room": "good"}


@dataclass(frozen=True)
class Figure:
    """One figure of one host. `how` tells where it comes from; `details` are further lines."""

    key: str
    label: str
    value: str
    state: State
    how: str
    details: tuple[str, ...] = ()


FigureOf = Callable[[Facts, date, Index], Figure]


def operating_system(facts: Facts, today: date, index: Index) -> Figure:
    name = facts.get("identity", "os", "pretty") or facts.get("identity", "os", "name")
    how = "/etc/os-release"
    if not name:
        return _unknown("os", "Operating system", facts, "identity.os", "identity", how=how)
    end = end_of_system(facts, index, today)
    if end is None:
        known = ("its end of support is neither in the feeds nor in our table",)
        return Figure("os", "Operating system", str(name), "unknown", how, known)
    how = f"{how}; end of support: {end.source}"
    until = f"until {end.until}" if end.until else "with no end announced"
    value = f"{name}, security updates {until}"
    ends = end.stage(today)
    if ends == "past":
        since = f" since {end.until}" if end.until else ""
        return Figure("os", "Operating system", f"{name}, without security updates{since}", "bad", how)
    if ends == "soon":
        return Figure("os", "Operating system", value, "soon", how)
    details: tuple[str, ...] = ()
    if end.regular_until and end.regular_until < today:
        details = (f"regular support ended {end.regular_until}; since then: {end.note}",)
    return Figure("os", "Operating system", value, "good", how, details)


def security_updates(facts: Facts, today: date, index: Index) -> Figure:
    count, caveats = facts.get("updates", "security_count"), facts.get("updates", "caveats") or []
    how = f"package lists of {_day(facts.get('updates', 'lists_checked_at'))}, compared on the host; nothing downloaded"
    notes = tuple(str(caveat) for caveat in caveats)
    if count is None:
        return _unknown("security", "Security updates", facts, "updates.security_count", "updates", how=how)
    if count:
        rows = facts.rows("updates") or []
        names = [str(row.get("name")) for row in rows if row.get("security")]
        return Figure("security", "Security updates", f"{count} waiting", "bad", how, (*notes, _names(names)))
    if notes:
        return Figure("security", "Security updates", "none seen, but see the note", "unknown", how, notes)
    return Figure("security", "Security updates", "none waiting", "good", how)


def all_updates(facts: Facts, today: date, index: Index) -> Figure:
    count = facts.get("updates", "count")
    how = f"package lists of {_day(facts.get('updates', 'lists_checked_at'))}"
    if count is None:
        return _unknown("updates", "All updates", facts, "updates", how=how)
    return Figure("updates", "All updates", f"{count} waiting" if count else "none waiting", "plain", how)


def security_source(facts: Facts, today: date, index: Index) -> Figure:
    how = "the host's package sources and its downloaded lists"
    told = security_source_of(facts)
    if told is None:
        return _unknown("source", "Security source", facts, "package_sources", how=how)
    present, why = told
    if present is False:
        return Figure("source", "Security source", "missing", "bad", how, (why,))
    if present is None:
        return Figure("source", "Security source", why, "plain", how)
    return Figure("source", "Security source", "present", "good", how, (why,))


def reboot(facts: Facts, today: date, index: Index) -> Figure:
    wanted, stale = facts.get("reboot", "wanted"), facts.get("reboot", "stale_processes")
    how = "the host's own mark, its kernels, and programs that still run replaced files"
    units = sorted({str(one.get("unit") or one.get("process")) for one in stale or ()})
    details = (f"to be restarted: {_names(units)}",) if units else ()
    if wanted:
        reasons = tuple(str(reason) for reason in facts.get("reboot", "reasons") or ())
        return Figure("reboot", "Reboot", "wanted", "bad", how, (*reasons, *details))
    if wanted is None:
        return _unknown("reboot", "Reboot", facts, "reboot", "identity.kernel", how=how)
    if units:
        return Figure("reboot", "Reboot", f"not wanted; {len(units)} services run old files", "soon", how, details)
    return Figure("reboot", "Reboot", "not wanted", "good", how)


def disk_room(facts: Facts, today: date, index: Index) -> Figure:
    how = "statvfs on each local file system; room that root keeps is not free"
    usable = with_room(facts)
    if not usable:
        return _unknown("disk", "Disk room", facts, "filesystems", how=how)
    fullest = max(usable, key=filled)
    state = _FULLNESS[fullness(filled(fullest))]
    value = f"{fullest['mount']} has {size(fullest['free_bytes'])} of {size(fullest['bytes'])} free"
    others = [
        f"{one['mount']}: {size(one['free_bytes'])} of {size(one['bytes'])} free"
        for one in usable
        if one is not fullest
    ]
    return Figure("disk", "Disk room", value, state, how, tuple(others[:_NAMES_SHOWN]))


def hardware(facts: Facts, today: date, index: Index) -> Figure:
    how = "the firmware's tables, /proc and /sys"
    kind, by = (facts.get("identity", "virtualization", key) for key in ("kind", "by"))
    memory, cpu = facts.get("hardware", "memory_bytes"), facts.get("hardware", "cpu", "model")
    parts = [str(part) for part in (facts.get("hardware", key) for key in ("vendor", "model")) if part]
    if kind in ("vm", "container"):
        parts = [f"{'virtual machine' if kind == 'vm' else 'container'} ({by})"]
    parts += [str(cpu)] if cpu else []
    parts += [f"{size(memory)} memory"] if memory else []
    if not parts:
        return _unknown("hardware", "Hardware", facts, "hardware", how=how)
    serial = facts.get("hardware", "serial")
    return Figure("hardware", "Hardware", ", ".join(parts), "plain", how, (f"serial {serial}",) if serial else ())


def age(facts: Facts, today: date, index: Index) -> Figure:
    since, basis = (facts.get("hardware", "age", key) for key in ("since", "basis"))
    days = age_of_machine(facts, today)
    if days is None:
        return Figure("age", "Age", f"not known: {basis or 'no date to go by'}", "plain", "estimate")
    return Figure("age", "Age", f"about {days / 365.25:.0f} years, since {since}", "plain", f"estimate: {basis}")


def accounts(facts: Facts, today: date, index: Index) -> Figure:
    users, how = facts.get("users"), "/etc/passwd, group and shadow; logins from the host's own records"
    if users is None:
        return _unknown("accounts", "Accounts", facts, "users", how=how)
    powerful = [str(user["name"]) for user in users if has_power(user)]
    empty = [str(user["name"]) for user in users if without_password(user)]
    value = f"{len(users)} can log in, {len(powerful)} of them with administrator's power"
    details = [f"administrators: {_names(powerful)}"]
    if empty:
        return Figure("accounts", "Accounts", value, "bad", how, (f"without any password: {_names(empty)}", *details))
    if (why := facts.why_unread("users.password")) is not None:
        details.append(f"passwords' state not known: {why}")
    return Figure("accounts", "Accounts", value, "plain", how, tuple(details))


def open_ports(facts: Facts, today: date, index: Index) -> Figure:
    rows, how = facts.rows("sockets"), "/proc/net; the program's name needs root"
    if rows is None:
        return _unknown("ports", "Open to the network", facts, "sockets", how=how)
    outside = [row for row in rows if row.get("scope") != "loopback"]
    named = sorted({f"{row.get('proto')}/{row.get('port')} {row.get('process') or '?'}" for row in outside})
    value = f"{len(named)} ports" if named else "nothing listens"
    return Figure("ports", "Open to the network", value, "plain", how, (_names(named, 40),) if named else ())


def failed_units(facts: Facts, today: date, index: Index) -> Figure:
    failed, how = facts.get("failed_units"), "systemd"
    if failed is None:
        return _unknown("failed", "Failed services", facts, "services", "failed_units", how=how)
    if failed:
        return Figure(
            "failed", "Failed services", str(len(failed)), "bad", how, (_names([str(one) for one in failed]),)
        )
    return Figure("failed", "Failed services", "none", "good", how)


# In the order in which they are shown.
FIGURES: tuple[FigureOf, ...] = (
    operating_system,
    security_updates,
    all_updates,
    security_source,
    reboot,
    disk_room,
    failed_units,
    accounts,
    open_ports,
    hardware,
    age,
)


def figures_of(facts: Facts, today: date, index: Index) -> list[Figure]:
    """Every figure of one host. `index`: the feeds, by which support of operating systems ends."""
    return [figure(facts, today, index) for figure in FIGURES]


def worst(states: list[State]) -> State:
    """The worst of some states."""
    return min(states, key=WORST_FIRST.index, default="unknown")


def _unknown(key: str, label: str, facts: Facts, *items: str, how: str) -> Figure:
    reason = facts.why_unread(*items) or "the host did not tell"
    return Figure(key, label, "not known", "unknown", how, (reason,))


def _names(names: list[str], most: int = _NAMES_SHOWN) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _day(moment: Any) -> str:
    return str(moment)[:10] if moment else "unknown date"
