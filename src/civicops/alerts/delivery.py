"""Keep notices, and send them: each recipient by itself, so that none waits for another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from civicops.alerts.channel import Channel, Undelivered
from civicops.alerts.mail import Mail
from civicops.alerts.matter import Matter, identity, opened
from civicops.alerts.message import compose
from civicops.alerts.notice import Notice
from civicops.alerts.outbox import Box, boxes, sweep
from civicops.alerts.recipients import Recipient, recipients
from civicops.alerts.webhook import Webhook
from civicops.state import StateError, TownState
from civicops.text import printable
from civicops.town.model import Town

CHANNELS: tuple[type[Webhook] | type[Mail], ...] = (Webhook, Mail)
AT_ONCE = 8
"""Recipients that are sent to at the same time."""
SINGLE = 50
"""Messages that one call sends singly, after their digest was refused."""


@dataclass(frozen=True)
class Delivered:
    """What one call did. All are counts of notices, one per recipient: a digest of ten for two people is twenty."""

    sent: int = 0
    waiting: int = 0
    """Kept for later: quiet hours, a recipient that can't be reached, or another process that is sending."""
    failed: int = 0
    """Given up: moved to `outbox/dead`."""
    problems: tuple[str, ...] = ()
    """One line for each try that failed and each notice that was given up; no secrets."""

    def __add__(self, other: Delivered) -> Delivered:
        return Delivered(
            self.sent + other.sent,
            self.waiting + other.waiting,
            self.failed + other.failed,
            self.problems + other.problems,
        )


def raise_notice(town: Town, state: TownState, notice: Notice, now: datetime) -> None:
    """Keep a notice for each recipient that the town names for its kind; nothing is sent here.

    Kept durably when this returns. If it is killed, some recipients may have it and others not; raised again, nobody
    has it twice.

    :param now: aware.
    :raises StateError: the town's state can't be used.
    :raises OSError: it can't be kept, as on a full disk.
    """
    for recipient in recipients(town):
        if recipient.wants(notice.kind):
            _keep(Box(state, recipient.name), notice, now)


def _keep(box: Box, notice: Notice, now: datetime) -> None:
    name = identity(notice)
    with box.changing():
        known = box.read(name)
        if notice.resolved:
            changed = known.closed(notice, now) if known else None
        else:
            changed = known.raised(notice, now) if known else opened(notice, now)
        if changed != known:
            box.write(name, changed)


def waiting(state: TownState) -> int:
    """Notices that are not sent yet, counted once per recipient."""
    return sum(_waiting(box) for box in boxes(state))


def deliver(town: Town, state: TownState, now: datetime) -> Delivered:
    """Send what is due, a digest per recipient where more than one notice is.

    A recipient that can't be reached is told in `problems` and tried again later: after a minute, two, four, up to an
    hour, for seven days. A crash between sending and taking note of it sends a message twice; none is lost.

    :param now: aware.
    :raises StateError: the town's state can't be used.
    """
    known = {recipient.name: recipient for recipient in recipients(town)}
    found = boxes(state)
    sweep(state, now)
    with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="alerts") as pool:
        done = pool.map(lambda box: _Dispatch(town, state, box, known.get(box.name), now).run(), found)
        return sum(done, start=Delivered())


class _Dispatch:
    """One recipient's turn. A recipient that the town file no longer names gets nothing more; its notices grow old."""

    def __init__(self, town: Town, state: TownState, box: Box, recipient: Recipient | None, now: datetime) -> None:
        self._town, self._state, self._box, self._recipient, self._now = town, state, box, recipient, now
        self._sent, self._failed = 0, 0
        self._problems: list[str] = []

    def run(self) -> Delivered:
        try:
            with self._box.sending() as mine:
                if mine:
                    self._clear()
                    if self._recipient is not None:
                        self._send_due(self._recipient)
        except (OSError, StateError) as error:
            self._tell(str(error))
        return Delivered(self._sent, _waiting(self._box), self._failed, tuple(self._problems))

    def _clear(self) -> None:
        """Give up what is too old, forget what is long over, and put damaged files away."""
        with self._box.changing():
            for name, matter in self._box.all().items():
                if matter is None:
                    self._give_up(name, "a damaged file")
                elif matter.too_old(self._now):
                    self._give_up(name, f"after seven days: {matter.subject}")
                    self._box.write(name, matter.given_up())
                elif matter.forgotten(self._now):
                    self._box.write(name, None)

    def _give_up(self, name: str, what: str) -> None:
        path = self._box.bury(name, self._state, self._now)
        self._failed += 1
        self._tell(f"given up, {what}; kept in {path}")

    def _send_due(self, recipient: Recipient) -> None:
        zone = self._town.zone
        with self._box.changing():
            waiting = {name: matter for name, matter in self._box.all().items() if matter is not None and matter.waits}
            ready = {n: m for n, m in waiting.items() if recipient.may_hear(m.kind, self._now, zone)}
            if not any(matter.due(self._now) for matter in ready.values()):
                return
            for name, matter in ready.items():
                self._box.write(name, matter.tried(self._now))
        channel = next(kind for kind in CHANNELS if kind.serves(recipient.address))(recipient.address, self._state)
        self._send(channel, ready)

    def _send(self, channel: Channel, matters: dict[str, Matter]) -> None:
        try:
            channel.send(compose(self._town, matters, self._now))
        except Undelivered as error:
            if error.refused and len(matters) > 1:
                # One of them displeases the server: the others must not stay behind for it.
                for name, matter in islice(matters.items(), SINGLE):
                    self._send(channel, {name: matter})
            else:
                count = "1 notice waits" if len(matters) == 1 else f"{len(matters)} notices wait"
                self._tell(f"{error}; {count}")
        else:
            self._sent += len(matters)
            self._note(matters)

    def _note(self, matters: dict[str, Matter]) -> None:
        with self._box.changing():
            for name, sent in matters.items():
                if (current := self._box.read(name)) is not None:
                    self._box.write(name, current.told(sent, self._now))

    def _tell(self, what: str) -> None:
        who = self._recipient.address if self._recipient else f"{self._box.name}, no longer in the town file"
        self._problems.append(f"{printable(who, 200)}: {printable(what, 500)}")


def _waiting(box: Box) -> int:
    return sum(matter is not None and matter.waits for matter in box.all().values())
