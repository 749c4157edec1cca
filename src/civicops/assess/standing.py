"""How one host stands against its profile, by one document; the score, and the drift between two of them.

Nothing here calls a control met that was not seen to be so: what could not be looked at, can't be had or is waived is
never met, and where nothing was looked at there is no score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from civicops.assess.catalogue import FRAMEWORKS, Catalogue, Control

State = Literal["compliant", "changed", "failed", "not_applicable", "not_enforceable", "waived", "error"]
STATES: tuple[State, ...] = get_args(State)
OWN = "own"
"""In the place of a framework: all controls of the host's profile."""


@dataclass(frozen=True)
class Verdict:
    """What a document says of one control, and what the catalogue says of it."""

    control: Control
    state: State
    changed: bool
    was: str
    wanted: str
    reason: str
    met: bool
    """Seen to be as wanted when the document was made."""
    would_change: bool
    """Whether an enforcement would mend it, at least in part; only an audit says so."""

    @property
    def counts(self) -> bool:
        """Whether it is in a score's denominator: everything but what is not for this host."""
        return self.state != "not_applicable"

    @property
    def looked_at(self) -> bool:
        """Whether the host could be asked about it."""
        return self.state != "error"


@dataclass(frozen=True)
class Score:
    """Of `total` controls that are for the host, `met` were seen to be as wanted."""

    met: int
    total: int
    waived: int
    unknown: int

    @property
    def percent(self) -> int | None:
        """Rounded down, so that 100 means all of them; None where nothing could be looked at."""
        if self.total == 0 or self.unknown == self.total:
            return None
        return 100 * self.met // self.total

    def __add__(self, other: Score) -> Score:
        return Score(
            self.met + other.met, self.total + other.total, self.waived + other.waived, self.unknown + other.unknown
        )


NOTHING = Score(0, 0, 0, 0)


def verdicts(body: dict[str, Any], catalogue: Catalogue, *, check: bool) -> list[Verdict]:
    """What a document's body says, control by control. `check`: it was made in check mode, so nothing was mended."""
    found = []
    for row in (body.get("results") or {}).get("rows") or ():
        name, state, changed, was, wanted, reason = row
        met = state == "compliant" or (state == "changed" and not check)
        would_change = check and changed and not met
        found.append(Verdict(catalogue.get(name), state, changed, was, wanted, reason, met, would_change))
    return found


def score(told: Iterable[Verdict]) -> Score:
    """How many of these controls are met."""
    counting = [one for one in told if one.counts]
    states = Counter(one.state for one in counting)
    return Score(sum(one.met for one in counting), len(counting), states["waived"], states["error"])


def scores(told: Sequence[Verdict]) -> dict[str, Score]:
    """The score of the profile (`OWN`) and of each framework that has a control in it."""
    found = {OWN: score(told)}
    for framework in FRAMEWORKS:
        of_it = [one for one in told if framework in one.control.frameworks]
        if of_it:
            found[framework] = score(of_it)
    return found


@dataclass(frozen=True)
class Drift:
    """What is different between two documents of a host, by the controls' ids.

    `lost`: met before and not now. `unseen`: met before, and now not looked at. `gained`: met now and not before.
    `added` and `removed`: only one of the documents has them. `excused`: met before, and now waived.
    """

    since: str
    of_run: str
    lost: tuple[str, ...]
    unseen: tuple[str, ...]
    excused: tuple[str, ...]
    gained: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    across: tuple[str, ...] = ()
    """In what the documents are not alike (profile, role, catalogue, root): such a difference is no drift alone."""

    @property
    def none(self) -> bool:
        """Whether nothing at all is different."""
        return not (self.lost or self.unseen or self.excused or self.gained or self.added or self.removed)


def drift(before: Sequence[Verdict], now: Sequence[Verdict], **more: Any) -> Drift:
    """Compare two documents of a host. A control that is not for the host any more counts as removed."""
    old = {one.control.id: one for one in before if one.counts}
    new = {one.control.id: one for one in now if one.counts}
    both = sorted(old.keys() & new.keys())
    left = [name for name in both if old[name].met and not new[name].met]
    return Drift(
        lost=tuple(name for name in left if new[name].state not in ("error", "waived")),
        unseen=tuple(name for name in left if new[name].state == "error"),
        excused=tuple(name for name in left if new[name].state == "waived"),
        gained=tuple(name for name in both if new[name].met and not old[name].met),
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        **more,
    )


_ALIKE = (("profile", "profile"), ("role", "role"), ("catalogue", "version of the catalogue"), ("seen_as_root", "root"))


def across(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, ...]:
    """In what two documents are not alike, in words for people."""
    told = []
    for key, label in _ALIKE:
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        if key == "catalogue":
            told.append("another version of the catalogue")
        elif key == "seen_as_root":
            told.append("looked at as root now, not before" if new else "looked at without root now, as root before")
        else:
            told.append(f"{label} {old or 'not known'} before, {new or 'not known'} now")
    return tuple(told)
