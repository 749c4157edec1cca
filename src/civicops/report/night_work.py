"""What a host's own `patch` document says, as a report reads it: what is not there is empty or None, never fine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """One package. None before: it was added; None after: it was removed."""

    name: str
    arch: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Probe:
    """One look at whether something is well, before the work and after it: green, red or not_run."""

    name: str
    kind: str
    system: str | None
    before: str
    after: str
    text: str


@dataclass(frozen=True)
class Rollback:
    """What taking the work back came to; None where it is not known."""

    possible: bool | None
    missing: tuple[str, ...]
    done: bool
    seconds: float | None
    packages_identical: bool | None
    marks_identical: bool | None
    files_identical: bool | None
    differences: tuple[str, ...]
    kernel: str | None

    @property
    def identical(self) -> bool:
        """Whether packages, marks and files are known to be as before. What others changed since is no difference."""
        same = (self.packages_identical, self.marks_identical, self.files_identical)
        return self.done and all(one is True for one in same)


@dataclass(frozen=True)
class Reboot:
    """Whether a new start of the host was wanted, and made."""

    wanted: bool | None
    reasons: tuple[str, ...]
    done: bool
    why_not: str
    kernel_before: str | None
    kernel_after: str | None


@dataclass(frozen=True)
class Work:
    """One `patch` document. Lengths of time are seconds; moments are by the host's clock, and only shown."""

    outcome: str
    reason: str
    began: bool | None
    adopted: bool
    rebooted: bool
    started_at: str | None
    ended_at: str | None
    seconds: float | None
    manager: str | None
    of_run: str | None
    changes: tuple[Change, ...] | None
    phases: dict[str, float]
    reboot: Reboot | None
    restarts_done: tuple[str, ...]
    restarts_failed: tuple[str, ...]
    restarts_left: tuple[str, ...]
    probes: tuple[Probe, ...]
    units_new: tuple[str, ...]
    units_old: tuple[str, ...]
    away_at_most: float | None
    conffiles: tuple[str, ...]
    held: tuple[str, ...]
    blockers: tuple[tuple[str, str], ...]
    recovered: bool
    rollback: Rollback | None
    told: tuple[str, ...]

    @property
    def started_anew(self) -> bool:
        """Whether the host was started anew in this work, by us or by somebody else."""
        return self.rebooted or (self.reboot is not None and self.reboot.done)

    @property
    def touched(self) -> bool:
        """Whether anything was done that could be felt. What is not known counts as done."""
        felt = self.recovered or self.started_anew or bool(self.changes or self.restarts_done or self.restarts_failed)
        if self.outcome == "blocked":  # also where it was interrupted before, and could not be put right
            return felt
        if self.began is False or self.outcome in ("planned", "refused"):
            return False
        return felt or not (self.outcome == "done" and self.changes == ())

    @property
    def had_nothing_to_do(self) -> bool:
        """Whether it is done, and nothing had to be done."""
        return self.outcome == "done" and not self.touched

    @property
    def red_after(self) -> tuple[Probe, ...]:
        """The probes that were not green after the work: red, or not asked although they were asked before."""
        return tuple(
            one for one in self.probes if one.after == "red" or (one.after, one.before) == ("not_run", "green")
        )

    @property
    def checks(self) -> tuple[Probe, ...]:
        """The probes that the town has named; what systemd itself says is none of them."""
        return tuple(one for one in self.probes if one.kind != "failed_units")


def work_of(body: dict[str, Any]) -> Work:
    """Read the body of a `patch` document, which its schema has let in."""
    restarts, units = body.get("restarts") or {}, body.get("failed_units") or {}
    before = set(units.get("before") or ())
    after = tuple(units.get("after") or ())
    changes = body.get("changes")
    return Work(
        outcome=body["outcome"],
        reason=body["reason"],
        began=body["began"],
        adopted=body["adopted"],
        rebooted=body["rebooted"],
        started_at=body["started_at"],
        ended_at=body["ended_at"],
        seconds=body["seconds"],
        manager=body.get("manager"),
        of_run=body.get("of_run"),
        changes=None if changes is None else tuple(Change(*row) for row in changes["rows"]),
        phases=_in_order(body.get("phases") or {}),
        reboot=_reboot(body.get("reboot")),
        restarts_done=tuple(restarts.get("done") or ()),
        restarts_failed=tuple(restarts.get("failed") or ()),
        restarts_left=tuple(restarts.get("left") or ()),
        probes=tuple(Probe(**{name: one[name] for name in _PROBE}) for one in body.get("probes") or ()),
        units_new=tuple(unit for unit in after if unit not in before),
        units_old=tuple(unit for unit in after if unit in before),
        away_at_most=body.get("away_at_most"),
        conffiles=tuple(body.get("conffiles") or ()),
        held=tuple(body.get("held") or ()),
        blockers=tuple((one["code"], one["text"]) for one in body.get("blockers") or ()),
        recovered=bool(body.get("recovered")),
        rollback=_rollback(body.get("rollback")),
        told=tuple(body.get("told") or ()),
    )


# In the order in which a night goes through them.
_PHASES = (
    "plan stage wait_lock repair recover probes_before backup snapshot install restart reboot probes_after rollback"
)


def _in_order(phases: dict[str, float]) -> dict[str, float]:
    known = [one for one in _PHASES.split() if one in phases]
    return {one: phases[one] for one in [*known, *sorted(set(phases) - set(known))]}


_PROBE = ("name", "kind", "system", "before", "after", "text")


def _reboot(told: dict[str, Any] | None) -> Reboot | None:
    if told is None:
        return None
    return Reboot(
        told["wanted"],
        tuple(told["reasons"]),
        told["done"],
        told["why_not"],
        told["kernel_before"],
        told["kernel_after"],
    )


def _rollback(told: dict[str, Any] | None) -> Rollback | None:
    if told is None:
        return None
    return Rollback(
        told["possible"],
        tuple(told["missing"]),
        told["done"],
        told["seconds"],
        told["packages_identical"],
        told["marks_identical"],
        told["files_identical"],
        tuple(told["differences"]),
        told["kernel"],
    )
