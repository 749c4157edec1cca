"""What is worth waiting for within a night: that a ring was watched long enough, or somebody's yes to the next one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from civicops.gate.decide import Verdict
from civicops.ledger.store import Entry, Ledger
from civicops.moments import stamp
from civicops.state import TownState, write_durably

ASK_AGAIN = 15.0
"""How often the ledger is asked whether somebody has said yes, in seconds."""


@dataclass(frozen=True)
class Wait:
    """Why a batch waits, and until when it makes sense. `rings` want somebody's yes; none where time alone counts."""

    until: datetime
    rings: frozenset[str]
    reason: str


def waiting(verdicts: Iterable[Verdict]) -> Wait | None:
    """What the hosts of a batch wait for; None where one is opened, which does not wait, or where waiting is no use."""
    told = list(verdicts)
    worth = [verdict for verdict in told if verdict.waits is not None]
    if not worth or any(verdict.opens for verdict in told):
        return None
    soaks = [verdict.waits for verdict in worth if verdict.code == "soak" and verdict.waits is not None]
    asks = [verdict for verdict in worth if verdict.code == "ring_approval"]
    # For a yes as long as any of the hosts could still begin; a ring that only soaks is not kept by one that asks.
    lasts = [verdict.waits for verdict in asks if verdict.waits is not None]
    untils = [*soaks, max(lasts)] if lasts else soaks
    rings = frozenset(verdict.ring for verdict in asks if verdict.ring is not None)
    return Wait(min(untils), rings, worth[0].reason)


def rings_of(ledger: Ledger, entries: Iterable[Entry]) -> set[str]:
    """The rings to which somebody has said yes, by the documents of a run."""
    approvals = [entry for entry in entries if entry.kind == "approval" and entry.status == "accepted"]
    return {body["ring"] for body in ledger.bodies(approvals).values() if body.get("ring")}


def approved_rings(town: str, state: TownState, run: str) -> set[str]:
    """The rings of a run to which somebody has said yes.

    :raises LedgerError: the ledger can't be read.
    """
    with Ledger(town, state=state) as ledger:
        return rings_of(ledger, (entry for entry in ledger.newest("approval", 100) if entry.run == run))


def mark(state: TownState, run: str, wait: Wait | None) -> None:
    """Let the run's own process know for whose yes it waits, so that people are asked; None: for nobody's any more.

    A run that is no run of `civicops` (plain `ansible-playbook`) has no directory, and nobody who would ask people.
    """
    directory = state.runs / run
    if wait is not None and wait.rings and directory.is_dir():
        told = {"rings": sorted(wait.rings), "until": stamp(wait.until)}
        write_durably(directory / _MARK, json.dumps(told).encode())
    elif wait is None:
        (directory / _MARK).unlink(missing_ok=True)


def marked(state: TownState, run: str) -> tuple[list[str], str] | None:
    """The rings for which the run waits now, and until when (UTC); None where it waits for nobody."""
    with suppress(FileNotFoundError, ValueError, KeyError):
        told = json.loads((state.runs / run / _MARK).read_bytes())
        return list(told["rings"]), str(told["until"])
    return None


_MARK = "waits.json"
