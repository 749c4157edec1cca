"""One matter as one recipient has been told of it: what it knows, and what it is still to be told.

Pure: every change gives a new `Matter`, and the outbox keeps it. A try that failed may have arrived all the same (the
answer was lost), so a matter that was tried counts as perhaps told.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime

from civicops.alerts.notice import KEY_LIMIT, Notice, lines, one_line
from civicops.text import printable

REMIND_AFTER = timedelta(hours=24)
KEPT = timedelta(days=7)
"""How long something that can't be delivered is tried."""
FORGOTTEN_AFTER = timedelta(days=90)
"""After this time a matter that was told, and never raised again or resolved, is forgotten."""
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)

_REPORT = "report"
Telling = Literal["nothing", "problem", "reminder", "resolved"]


@dataclass(frozen=True)
class Matter:
    """A matter (kind and key) of one recipient. All times are aware."""

    kind: str
    key: str
    """As it is shown: one line."""
    subject: str
    text: str
    opened_at: AwareDatetime
    telling: Telling
    """What waits to be told."""
    since: AwareDatetime
    """When that began to wait."""
    told_at: AwareDatetime | None = None
    """When the recipient was told for sure that it is open; None while it was not."""
    attempts: int = 0
    """Tries that had begun since something was delivered for sure."""
    next_try_at: AwareDatetime | None = None
    closing_subject: str = ""
    closing_text: str = ""

    @property
    def waits(self) -> bool:
        """Whether there is something to tell."""
        return self.telling != "nothing"

    def due(self, now: datetime) -> bool:
        """Whether it is to be tried now. A next try further away than any pause comes from a clock that was wrong."""
        pause = self.next_try_at - now if self.next_try_at else timedelta(0)
        return self.waits and not timedelta(0) < pause <= LONGEST_PAUSE

    def raised(self, notice: Notice, now: datetime) -> Matter:
        """It was raised again. What already waits gets the newest words; what was told is told again after a day."""
        if self.telling in ("problem", "reminder"):
            return self._worded(notice)
        if self.telling == "resolved" and not self.attempts:
            return replace(self, telling="nothing", closing_subject="", closing_text="").raised(notice, now)
        if self.telling == "resolved":
            return replace(self._worded(notice), telling="problem", since=now, opened_at=now)
        if self.kind == _REPORT:
            # Nobody is reminded of a report; one that says something else now, as its run went on, is told anew.
            anew = self._worded(notice)
            same = (anew.subject, anew.text) == (self.subject, self.text)
            return self if same else replace(anew, telling="problem", since=now, opened_at=now)
        if self.told_at is not None and now - self.told_at < REMIND_AFTER:
            return self
        return replace(self._worded(notice), telling="reminder", since=now)

    def closed(self, notice: Notice, now: datetime) -> Matter | None:
        """It is over. None: the recipient has not heard of it, and need not."""
        if self.told_at is None and not self.attempts:
            return None
        words = replace(self, closing_subject=one_line(notice.subject), closing_text=lines(notice.text))
        return words if self.telling == "resolved" else replace(words, telling="resolved", since=now)

    def tried(self, now: datetime) -> Matter:
        """A try begins. Written down before it is made, so that a crash in it is a try too."""
        pause = min(FIRST_PAUSE * 2 ** min(self.attempts, 10), LONGEST_PAUSE)
        return replace(self, attempts=self.attempts + 1, next_try_at=now + pause)

    def told(self, sent: Matter, now: datetime) -> Matter | None:
        """What is left after `sent` was delivered; this one may have been raised or closed in the meantime.

        None: the matter is over, and the recipient knows.
        """
        calm = replace(self, attempts=0, next_try_at=None)
        if sent.telling == "resolved":
            return None if self.telling == "resolved" else replace(calm, told_at=None)
        if self.telling == "resolved":
            return replace(calm, told_at=now)
        return replace(calm, telling="nothing", told_at=now)

    def too_old(self, now: datetime) -> bool:
        """Whether what waits has waited too long to be tried again."""
        return self.waits and now - self.since > KEPT

    def given_up(self) -> Matter | None:
        """What is left when it is not tried any more: a matter that was told stays so, so that it may be reminded."""
        if self.telling != "reminder":
            return None
        return replace(self, telling="nothing", attempts=0, next_try_at=None)

    def forgotten(self, now: datetime) -> bool:
        """Whether it was told so long ago that nobody will resolve it."""
        return not self.waits and (self.told_at is None or now - self.told_at > FORGOTTEN_AFTER)

    def _worded(self, notice: Notice) -> Matter:
        return replace(
            self, subject=one_line(notice.subject), text=lines(notice.text), closing_subject="", closing_text=""
        )


def opened(notice: Notice, now: datetime) -> Matter:
    """A matter that was raised for the first time."""
    return Matter(
        kind=notice.kind,
        key=printable(notice.key, KEY_LIMIT),
        subject=one_line(notice.subject),
        text=lines(notice.text),
        opened_at=now,
        telling="problem",
        since=now,
    )


def identity(notice: Notice) -> str:
    """What tells matters apart, whatever characters their keys have: the name of its file."""
    return hashlib.sha256(f"{notice.kind}\0{notice.key}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
