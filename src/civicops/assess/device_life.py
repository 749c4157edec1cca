"""Whether a network device's software is still supported, by endoflife.date and what the device says of itself.

Nobody keeps such a list of hardware, and few vendors' software is in this one: what is not told is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from civicops.assess.catalogue import Severity
from civicops.assess.devices import Device
from civicops.assess.finding import State
from civicops.assess.lifecycle import END_SOON, FEED_STALE
from civicops.feeds.store import Feed, Index, Life, days_old
from civicops.network.platform import Platform, PlatformError, find
from civicops.text import printable

FEED = "endoflife"


@dataclass(frozen=True)
class Support:
    """How long a device's software is supported. `unknown` with why."""

    state: State
    text: str
    severity: Severity = "high"


class Lives:
    """The feed as it is at a day; each product's cycle is asked for once."""

    def __init__(self, index: Index, today: date) -> None:
        self._today = today
        self._feed: Feed | None = index.status().get(FEED)
        self._life = cache(index.life)

    def of(self, device: Device) -> Support:
        """How the software stands that a device runs."""
        version = device.facts.body["version"] if device.facts else None
        if not version:
            return Support("unknown", "which software it runs is not known")
        try:
            platform = find(str(device.config.body["platform"]))[0]
        except PlatformError:
            return Support("unknown", "its platform is none that is known here")
        told = self._told(platform, str(version))
        if told.state == "fine" and device.facts and device.facts.old:
            return Support("unknown", f"it ran {printable(version, 60)} on {device.facts.at:%Y-%m-%d}, {told.text}")
        return told

    def _told(self, platform: Platform, version: str) -> Support:
        software = f"{platform.title} {printable(version, 60)}"
        if platform.life is None:
            return Support("unknown", f"endoflife.date does not tell how long {platform.title} is supported")
        if self._feed is None:
            return Support("unknown", "the feed endoflife is not here: civicops feeds update endoflife")
        cycle = platform.life.cycle_of(version)
        life = self._life(platform.life.product, cycle) if cycle else None
        if life is None:
            return Support("unknown", f"endoflife.date of {self._feed.date} does not tell of {software}")
        return self._judged(software, life, self._feed)

    def _judged(self, software: str, life: Life, feed: Feed) -> Support:
        by = f"by endoflife.date of {feed.date}"
        if life.eol is None:
            return Support("unknown", f"how long {software} is supported is not known, {by}")
        if life.eol is True:
            return Support("found", f"{software} is not supported any more, {by}")
        if life.eol is not False and date.fromisoformat(life.eol) < self._today:
            return Support("found", f"{software} is not supported since {life.eol}, {by}")
        if life.eol is not False and date.fromisoformat(life.eol) - self._today < END_SOON:
            return Support("found", f"{software} is supported until {life.eol}, {by}", "medium")
        until = f"until {life.eol}" if life.eol else "and no end of it is told"
        if timedelta(days=days_old(feed, self._today)) > FEED_STALE:
            return Support(
                "unknown", f"{software} was supported {until}, {by}, which is too old: civicops feeds update"
            )
        return Support("fine", f"{software} is supported {until}, {by}")
