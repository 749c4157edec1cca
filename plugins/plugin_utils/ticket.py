# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tickets: what the gate gives to a host that it lets through, and what a module that disturbs demands.

A ticket is sealed with a key that only this run's processes have, so one that was written by hand, kept from another
run, or given as an extra variable opens nothing. Its deadline is on CLOCK_BOOTTIME of the controller: a wall clock
that is set while the run goes on does not move it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from typing import Any

from ansible.errors import AnsibleActionFail

_CLOCK = "CIVICOPS_ACTIVE_CLOCK"
# Kept in memory, which Ansible's workers inherit, and out of the environment: that goes to ssh and to every program
# that a lookup starts, one of which could seal a ticket.
_key = b""
_HOW = "the gate gives it: register its answer, and pass the host's ticket to the module's option gate"


@dataclass(frozen=True)
class Ticket:
    """One host's opening. Times are seconds; `until` is for people, `deadline` counts.

    `adopts`: the host was open to this run before it was resumed, so something may be going on there.
    """

    town: str
    run: str
    job: str
    host: str
    until: str
    deadline: float
    needed: float
    may_start: bool
    adopts: bool
    check: bool

    @property
    def remaining(self) -> float:
        """Seconds until the opening ends; never below 0."""
        return max(0.0, self.deadline - boottime())


def boottime() -> float:
    """Seconds since this machine was started, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def start_clock() -> None:
    """Remember how the wall clock and CLOCK_BOOTTIME stand to each other; called once, when the playbook begins."""
    os.environ[_CLOCK] = repr(time.time() - boottime())


def clock_jump() -> float:
    """By how many seconds the wall clock was set since the playbook began; infinite where nobody remembers."""
    try:
        return time.time() - boottime() - float(os.environ[_CLOCK])
    except (KeyError, ValueError):
        return float("inf")


def new_seal() -> None:
    """Give this process and its future children the run's key; called once, when the playbook begins."""
    global _key
    _key = secrets.token_bytes(32)


def seal(ticket: Ticket) -> dict[str, Any]:
    """The ticket as a variable that can be handed to a module.

    :raises AnsibleActionFail: this process has no key, as the callback civicops.town.run is not enabled.
    """
    values = asdict(ticket)
    return values | {"seal": _sealed(values)}


def opened(value: Any, *, town: str, run: str, job: str, host: str, check: bool) -> Ticket:
    """The ticket in a module's option `gate`, if it is this run's and this host's.

    :raises AnsibleActionFail: it is missing, not a ticket, not this host's, or its seal is broken.
    """
    if not isinstance(value, dict) or "seal" not in value:
        raise AnsibleActionFail(f"there is no ticket in the option gate, so nothing is done: {_HOW}")
    values = {name: value[name] for name in value if name != "seal"}
    try:
        # Extra variables and templates hand on texts and numbers of Ansible's own types.
        plain = json.loads(json.dumps(values, default=str))
    except (TypeError, ValueError, RecursionError):
        raise AnsibleActionFail("the ticket in the option gate is none, so nothing is done") from None
    if not hmac.compare_digest(str(value["seal"]).encode(errors="replace"), _sealed(plain).encode()):
        raise AnsibleActionFail(f"the ticket in the option gate is not one of this run, so nothing is done: {_HOW}")
    try:
        ticket = Ticket(**plain)
    except TypeError:
        raise AnsibleActionFail("the ticket in the option gate is of another version, so nothing is done") from None
    meant = (ticket.town, ticket.run, ticket.job, ticket.host, ticket.check)
    if meant != (town, run, job, host, check):
        raise AnsibleActionFail("the ticket in the option gate is for another host or run, so nothing is done")
    return ticket


def _sealed(values: dict[str, Any]) -> str:
    if not _key:
        raise AnsibleActionFail(
            "the callback civicops.town.run is not enabled, so no ticket can be given or checked: set "
            "callbacks_enabled = civicops.town.run in ansible.cfg"
        )
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hmac.new(_key, text.encode(), hashlib.sha256).hexdigest()
