"""Who is told: the town file's alerts, and its contacts with an e-mail address; one recipient per address."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, tzinfo

from civicops.alerts.times import Always, Office, Outside, Times
from civicops.town.model import Town


@dataclass(frozen=True)
class Recipient:
    """One address, and what it is told of at which times."""

    address: str
    wishes: tuple[tuple[str, Times], ...]
    """Kinds of notices with their times, one for each entry of the town file; any one of them is enough."""

    @property
    def name(self) -> str:
        """Its directory's name in the outbox: readable, and different for each address."""
        folded = self.address.casefold() if "://" not in self.address else self.address
        readable = re.sub(r"[^a-z0-9.]+", "_", folded.removeprefix("https://").casefold())[:40].strip("._")
        return f"{readable}-{hashlib.sha256(folded.encode()).hexdigest()[:12]}"

    def wants(self, kind: str) -> bool:
        """Whether it is told of such notices at all."""
        return any(kind == wished for wished, _ in self.wishes)

    def may_hear(self, kind: str, now: datetime, zone: tzinfo) -> bool:
        """Whether it may be told of such a notice at this moment."""
        return any(kind == wished and times.allow(now, zone) for wished, times in self.wishes)


def recipients(town: Town) -> list[Recipient]:
    """The town's recipients. An address that stands there more than once (as alert and as contact) is one."""
    wishes: defaultdict[str, list[tuple[str, Times]]] = defaultdict(list)
    spelled: dict[str, str] = {}
    for address, kind, times in _entries(town):
        same = address if "://" in address else address.casefold()
        spelled.setdefault(same, address)
        wishes[same].append((kind, times))
    return [Recipient(spelled[same], tuple(wished)) for same, wished in wishes.items()]


def _entries(town: Town) -> list[tuple[str, str, Times]]:
    found: list[tuple[str, str, Times]] = []
    for alert in town.alerts:
        times: Times = Outside(alert.quiet_hours) if alert.quiet_hours else Always()
        found += [(alert.to, kind, times) for kind in alert.kind]
    for contact in town.contacts:
        if contact.email is not None:
            times = Always() if contact.after_hours else Office()
            found += [(contact.email, kind, times) for kind in contact.notify_for]
    return found
