"""The coming windows and freezes as a calendar file for other programs."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version

from icalendar import Calendar as IcsCalendar
from icalendar import Event

from .coming import Coming
from .spans import Span


def as_ics(coming: Coming) -> bytes:
    """Each window and freeze as an event in UTC. Exported again, an event keeps its UID and replaces the former one."""
    town = coming.calendar.town
    calendar = IcsCalendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", f"-//civicops {version('civicops')}//{town.id}//EN")
    calendar.add("x-wr-calname", f"{town.name}: maintenance")
    calendar.add("x-wr-timezone", town.timezone)
    for one in coming.windows:
        # A window begins at most once a day, so a new time of day changes the event and adds none.
        name = f"window-{one.window.id}-{coming.local(one.span.start):%Y%m%d}"
        frozen = [f"Frozen by {f.freeze} ({f.kind}) for {f.hosts}" for f in one.frozen]
        text = "\n".join([f"Hosts: {one.window.hosts}", *frozen])
        title = f"Window {one.window.id}: {', '.join(one.window.jobs)}"
        calendar.add_component(_event(f"{name}@{town.id}.civicops", one.span, title, text, coming.after))
    for freeze in coming.freezes:
        name = f"freeze-{freeze.freeze}-{freeze.span.start:%Y%m%dT%H%M%SZ}-{freeze.span.end:%Y%m%dT%H%M%SZ}"
        title = f"Frozen: {freeze.freeze} ({freeze.kind})" + (f", {freeze.title}" if freeze.title else "")
        uid = f"{name}@{town.id}.civicops"
        calendar.add_component(_event(uid, freeze.span, title, f"Hosts: {freeze.hosts}", coming.after))
    return bytes(calendar.to_ical())


def _event(uid: str, span: Span, title: str, text: str, stamp: datetime) -> Event:
    event = Event()
    event.add("uid", uid)
    event.add("dtstamp", stamp.replace(microsecond=0))
    event.add("dtstart", span.start)
    event.add("dtend", span.end)
    event.add("summary", title)
    event.add("description", text)
    event.add("transp", "TRANSPARENT")
    return event
