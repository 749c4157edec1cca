"""The next 12 windows of 10,000 rules, with 10 freezes each; and one batch of the gate."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from bench.result import Options, Section, Table, Target
from civicops.calendar.answers import Calendar, chances
from civicops.calendar.frozen import Freezes, Frozen
from civicops.calendar.recurrence import Recurrence
from civicops.calendar.spans import Pair, joined, without
from civicops.town.days import rule_of
from civicops.town.model import Freeze, Town, Window

TITLE = "Windows and freezes"
RULES = 10_000
SAMPLE = 300
NEXT = 12
FREEZES = 10
WITHIN = 2.0
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
Some = tuple[Window, list[Freeze], ZoneInfo]
_FAR = timedelta(days=366 * 100)
_ZONES = [ZoneInfo(name) for name in ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu")]
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def run(options: Options) -> Section:
    """Time our own generator over all rules, and python-dateutil over a sample of the same ones."""
    once, by_rule = ([_some(number, kind) for number in range(RULES)] for kind in (False, True))
    seconds, ours = _timed(_next, once)
    seconds_by_rule, ours_by_rule = _timed(_next, by_rule)
    by_dateutil, theirs = _timed(_next_by_dateutil, once[:SAMPLE])
    by_dateutil_by_rule, theirs_by_rule = _timed(_next_by_dateutil, by_rule[:SAMPLE])
    if theirs != ours[:SAMPLE] or theirs_by_rule != ours_by_rule[:SAMPLE]:
        raise RuntimeError("python-dateutil gives other windows")
    by_dateutil, by_dateutil_by_rule = (each * RULES / SAMPLE for each in (by_dateutil, by_dateutil_by_rule))
    batch = _batch()
    rows = [
        ["10 freezes that come once each", *_compared(seconds, by_dateutil)],
        ["5 that come once, 5 by a rule of their own", *_compared(seconds_by_rule, by_dateutil_by_rule)],
    ]
    return Section(
        [
            "Rules by DAILY, WEEKLY, MONTHLY and YEARLY with INTERVAL, BYDAY, BYMONTHDAY, BYSETPOS, in four zones; "
            "reading the rule is counted. Freezes are padded; each rule has its own.",
            f"python-dateutil is measured on {SAMPLE} of the rules, and gives the same windows for them, freezes cut.",
            f"One batch of 500 hosts of the worked example, asked one by one: {batch * 1000:.0f} ms CPU.",
        ],
        [
            Table(
                f"The next {NEXT} windows of {RULES:,} rules, in seconds of CPU:",
                ("freezes", "ours", "dateutil", "ratio"),
                rows,
            )
        ],
        [Target(f"next {NEXT} windows of {RULES:,} rules, CPU", seconds, WITHIN, "s")],
    )


def _compared(ours: float, theirs: float) -> list[str]:
    return [f"{ours:.2f}", f"{theirs:.1f}", f"{theirs / ours:.1f}"]


def _timed(
    find: Callable[[Window, list[Freeze], ZoneInfo], list[Pair]], rules: list[Some]
) -> tuple[float, list[list[Pair]]]:
    """The processor time of a way to find the next windows, and the windows; nothing is known from before."""
    rule_of.__globals__["_rule_of"].cache_clear()
    gc.collect()
    gc.freeze()  # the rules of the bench itself are not to be gone through again and again
    start = time.process_time()
    found = [find(window, freezes, zone) for window, freezes, zone in rules]
    seconds = time.process_time() - start
    gc.unfreeze()
    return seconds, found


def _some(number: int, by_rule: bool) -> Some:
    chance = random.Random(number)
    day, month_day = chance.choice(_DAYS), chance.randrange(1, 29)
    rule = chance.choice(
        [
            "FREQ=DAILY",
            f"FREQ=DAILY;INTERVAL={chance.randrange(2, 9)}",
            f"FREQ=WEEKLY;BYDAY={day}",
            f"FREQ=WEEKLY;INTERVAL=2;BYDAY={day}",
            f"FREQ=MONTHLY;BYDAY={chance.choice((1, 2, 3, 4, -1))}{day}",
            f"FREQ=MONTHLY;BYMONTHDAY={month_day},-1",
            f"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS={chance.choice((1, 2, -1))}",
            f"FREQ=MONTHLY;INTERVAL=3;BYDAY=2{day}",
            f"FREQ=YEARLY;BYMONTH={chance.randrange(1, 13)};BYDAY=1{day}",
        ]
    )
    since = date(2026, 1, 1) + timedelta(days=chance.randrange(300))
    window = Window.model_validate(
        {
            "id": "w", "jobs": ("patch",), "rrule": rule, "since": since.isoformat(),
            "start": f"{chance.randrange(24):02}:30", "duration": f"{chance.randrange(4, 9)}h",
        }
    )  # fmt: skip
    freezes = []
    for one in range(FREEZES):
        form: dict[str, Any]
        if one % 2 or not by_rule:
            first = date(2026, 11, 1) + timedelta(days=chance.randrange(600))
            form = {"from": first.isoformat(), "to": (first + timedelta(days=chance.randrange(5))).isoformat()}
        else:
            form = {
                "rrule": f"FREQ=MONTHLY;BYDAY={1 + one % 4}{chance.choice(_DAYS)}",
                "start": "08:00",
                "duration": "1h",
            }
        freezes.append(Freeze.model_validate({"id": f"f{one}", "kind": "event", "pad": "1h", **form}))
    return window, freezes, chance.choice(_ZONES)


def _next(window: Window, freezes: Sequence[Freeze], zone: ZoneInfo) -> list[Pair]:
    recurrence = Recurrence(rule_of(window.rrule, window.since), window.start, window.duration, zone)
    frozen = Freezes([Frozen(freeze, zone) for freeze in freezes])
    return list(islice(chances([recurrence], frozen, NOW, NOW + _FAR), NEXT))


def _next_by_dateutil(window: Window, freezes: Sequence[Freeze], zone: ZoneInfo) -> list[Pair]:
    """The same with dateutil's rules over local times without zone, each put into UTC."""
    assert window.since is not None
    first = datetime.combine(window.since, window.start)
    cuts = []
    for freeze in freezes:
        if freeze.from_ is not None and freeze.to is not None:
            starts = [(_utc(freeze.from_, zone), _utc(freeze.to, zone))]
        else:
            assert freeze.rrule is not None and freeze.start is not None and freeze.duration is not None
            begin = datetime.combine(date(2026, 10, 1), freeze.start)
            rule = rrulestr(freeze.rrule, dtstart=begin)
            starts = []
            for local in rule.xafter(begin, count=12 * 14, inc=True):
                starts.append((_utc(local, zone), _utc(local, zone) + freeze.duration))
        cuts += [(start - freeze.pad, end + freeze.pad) for start, end in starts]
    cuts.sort()

    def spans() -> Any:
        for local in rrulestr(window.rrule, dtstart=first):
            start = _utc(local, zone)
            if start + window.duration > NOW:
                yield (start, start + window.duration)

    found = (left for span in joined(spans()) for left in without(span, cuts) if left[1] > NOW)
    return list(islice(found, NEXT))


def _utc(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)


def _batch() -> float:
    """Processor time of one batch of 500 hosts in 8 departments."""
    town = _town()
    hosts = [f"pc{number:03}" for number in range(500)]
    departments = [department.id for department in town.departments]
    groups: dict[str, list[str]] = {"all": hosts, "ungrouped": [], "observe_only": hosts[:2]}
    for number, host in enumerate(hosts):
        groups.setdefault(f"dept_{departments[number % len(departments)]}", []).append(host)
    calendar = Calendar(town)
    start = time.process_time()
    for host in hosts:
        calendar.may("patch", host, NOW, groups)
    return time.process_time() - start


def _town() -> Town:
    from tests.hosts.controller import ROOT

    from civicops.town import load_town

    return load_town(ROOT / "inventories" / "fairview")
