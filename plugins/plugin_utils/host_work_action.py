# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shared base of the twins of modules that disturb: their work belongs to the host.

Such a twin demands the ticket before anything is sent, has the module start the work or adopt it, waits on the
controller without a connection, and asks now and then what became of it. The host is hostile: of what it answers only
the few values of `Answer` are taken, each checked, and it can't hold the controller longer than the ticket's end and
`GRACE`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.civicops.town.plugins.plugin_utils import known, package, ticket
from ansible_collections.civicops.town.plugins.plugin_utils.twin import DocumentAction

GRACE = 120.0
"""How long after the ticket's end a host is asked what became of its work, in seconds; and how long, beside what it
needs for all of its work, one is asked that can't be reached: a dead host does not hold its batch all night."""
CALL_LIMIT = 120.0
"""How long one question may take, its connection included."""
_PAUSES = (2.0, 4.0, 8.0, 16.0, 30.0)
_WATCHED = 50
"""How long one question waits on the host for the end of the work, in seconds."""
_LOCKED = "work.py"
"""What the work holds locked as long as it runs, beside its result: C(_host_work.work.PROGRAM)."""
_LOCK_WAIT = 10
"""How long one look waits for that lock, in seconds."""
_WATCHES = 6
"""How many times a host may say that the work goes on before the module is asked how it stands."""
_ANSWER_LIMIT = 4 << 20
_PATH = re.compile(r"/[A-Za-z0-9._/-]{1,500}")
_LONGEST = 10_000_000.0
_FAILED = ("failed", "interrupted", "running", "unknown")


@dataclass(frozen=True)
class Answer:
    """A host's word on its work, cleaned."""

    state: str
    adopted: bool
    began: bool | None
    rebooted: bool
    status: int | None
    late: bool
    seconds: float | None
    started_at: str | None
    ended_at: str | None
    reason: str
    host_time: str | None
    watch: str | None = None  # a file that is there once the work has ended
    details: dict[str, Any] | None = None  # what the work has found out: still a host's word, checked by its schema

    @classmethod
    def read(cls, text: Any) -> Answer | None:
        """The answer in a module's text; None where it is none."""
        try:
            told = json.loads(text) if isinstance(text, str) and len(text) < _ANSWER_LIMIT else None
        except (ValueError, RecursionError):
            return None
        if not isinstance(told, dict) or str(told.get("state")) not in _OUTCOMES:
            return None
        status = None if isinstance(told.get("status"), bool) else told.get("status")
        watch = told.get("watch")
        return cls(
            state=str(told["state"]),
            adopted=told.get("adopted") is True,
            began=told["began"] if isinstance(told.get("began"), bool) else None,
            rebooted=told.get("rebooted") is True,
            status=status if isinstance(status, int) and abs(status) < 1000 else None,
            late=told.get("late") is True,
            seconds=_number(told.get("seconds")),
            started_at=_text(told.get("started_at"), 40),
            ended_at=_text(told.get("ended_at"), 40),
            reason=_text(told.get("reason"), 500) or "",
            host_time=_text(told.get("host_time"), 40),
            watch=watch if isinstance(watch, str) and _PATH.fullmatch(watch) else None,
            details=told["details"] if isinstance(told.get("details"), dict) else None,
        )


def _finished(answer: Answer) -> tuple[str, str]:
    if answer.status is None:
        return "interrupted", "the host's result has no exit status"
    if answer.status != 0:
        how = f"signal {-answer.status}" if answer.status < 0 else f"status {answer.status}"
        return "failed", ": ".join(part for part in (f"the work ended with {how}", answer.reason) if part)
    return ("overrun", "the work was done after the ticket's end") if answer.late else ("done", answer.reason)


def _settled(answer: Answer) -> tuple[str, str]:
    """Nothing had to be begun: the module itself has found out how it stands."""
    outcome = (answer.details or {}).get("outcome")
    return (str(outcome), answer.reason) if outcome in _WITHOUT_WORK else ("failed", "the host's answer has no outcome")


_WITHOUT_WORK = ("done", "blocked", "planned")

# What a host's state means: the outcome, and the reason in words.
_OUTCOMES: dict[str, Callable[[Answer], tuple[str, str]]] = {
    "settled": _settled,
    "absent": lambda answer: ("refused", answer.reason or "nothing was started"),
    "refused": lambda answer: ("refused", answer.reason),
    "planned": lambda answer: ("planned", answer.reason),
    "running": lambda answer: ("running", "the work still runs on the host"),
    "finished": _finished,
    "interrupted": lambda answer: ("interrupted", answer.reason),
}


@dataclass
class _Heard:
    """What has been heard of one host's work."""

    first: Answer
    last: Answer
    lost: str = ""  # why the last question got no answer
    began_before: bool = True  # the first question got an answer, so there was something to lose

    @classmethod
    def nothing(cls, reason: str) -> _Heard:
        """Of a host that was worked on before, and can't be reached now."""
        unheard = Answer("running", True, None, False, None, False, None, None, None, "", None)
        return cls(unheard, unheard, reason, began_before=False)

    def body(self, finished: Callable[[Answer], tuple[str, str]] = _finished) -> dict[str, Any]:
        """The document's body, but for what only this kind of work tells."""
        told_by = finished if self.last.state == "finished" else _OUTCOMES[self.last.state]
        outcome, reason = told_by(self.last)
        if self.lost:
            since = f" ({self.last.reason})" if self.last.reason else ""
            outcome, reason = "unknown", f"the host can't be asked any more{since}: {self.lost}"
        elif self.last.state == "absent" and self.first.state != "absent" and self.began_before:
            outcome, reason = "interrupted", "the host has no record of the work any more"
        kept = ("began", "rebooted", "started_at", "ended_at", "seconds", "host_time")
        values = {name: getattr(self.last, name) for name in kept}
        return {"outcome": outcome, "adopted": self.first.adopted, "reason": reason[:500], **values}

    def started(self) -> bool:
        return self.first.state == "running" and not self.first.adopted and self.last.began is not False


class HostWorkAction(DocumentAction):
    """Base class; a twin sets `kind` and `version`, and may give `expected`."""

    failed: tuple[str, ...] = _FAILED
    """The outcomes for which the task fails."""

    def body(self, heard: _Heard) -> dict[str, Any]:
        """The document's body, of what was heard."""
        return heard.body()

    def changed(self, heard: _Heard, body: dict[str, Any]) -> bool:
        """Whether this call has changed the host."""
        return heard.started()

    def more(self, body: dict[str, Any]) -> dict[str, Any]:
        """More for the summary; every value checked."""
        return {}

    def arguments(self) -> dict[str, Any]:
        """More options for the module."""
        return {}

    def expected(self) -> float:
        """How long the work should take, in seconds: when it is worth asking first. Arguments are not checked yet.

        Nothing where the host itself is waited on.
        """
        return 0.0

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super(DocumentAction, self).run(tmp, task_vars)
        task_vars = task_vars or {}
        host = known.host(task_vars)
        record = boolean(self._task.args.get("record", True), strict=True)
        self._refuse_what_breaks_the_origin(host)
        origin = self._demanded_origin()
        opening = ticket.opened(
            self._task.args.get("gate"),
            town=origin.town,
            run=origin.run,
            job=origin.job,
            host=host,
            check=bool(self._task.check_mode),
        )
        self._parent = os.getppid()
        expected = self.expected()

        try:
            answer = self._call(opening, task_vars)
        except AnsibleConnectionFailure as error:
            if not opening.adopts:
                raise
            heard = _Heard.nothing(package.text.printable(error.message, 300))
        else:
            if isinstance(answer, str):
                return {"failed": True, "changed": False, "msg": answer}
            heard = _Heard(answer, answer)
        self._follow(heard, opening, expected, task_vars)
        body = self.body(heard)
        result = {"changed": self.changed(heard, body), "outcome": body["outcome"]}
        if body["outcome"] in self.failed:
            result |= {"failed": True, "msg": self._told(body, origin)}
        if not record:
            return result | {"document": body}
        document = self._write(origin, host, body, key="work")
        shown = {name: body[name] for name in ("adopted", "began", "seconds", "reason")}
        return result | {"document_id": document, "summary": shown | self.more(body)}

    @staticmethod
    def _told(body: dict[str, Any], origin: Any) -> str:
        told = f"{body['outcome']}: {body['reason']}"
        if body["outcome"] in ("running", "unknown"):
            told += f"; civicops runs {origin.town} resume {origin.run} adopts it"
        return told

    def _demanded_origin(self) -> Any:
        if (remedy := package.missing()) is not None:
            raise AnsibleActionFail(f"nothing is done: {remedy}")
        return self._origin()

    def _follow(self, heard: _Heard, opening: ticket.Ticket, expected: float, task_vars: dict[str, Any]) -> None:
        """Ask until the work has ended, or the ticket has and the grace with it."""
        end = opening.deadline + GRACE
        pauses = iter(_PAUSES)
        pause = _PAUSES[0] if heard.lost else max(_PAUSES[0], expected - (heard.first.seconds or 0.0))
        patience = opening.needed + GRACE
        heard_at = ticket.boottime()
        while heard.last.state == "running" and ticket.boottime() < end:
            if heard.lost and ticket.boottime() - heard_at > patience:
                return
            if heard.last.watch is not None and not heard.lost:
                self._watch(heard.last.watch, end)
            else:
                self._pause(min(pause, end - ticket.boottime()))
                pause = next(pauses, _PAUSES[-1])
            try:
                answer = self._call(opening, task_vars, may_start=False)
            except AnsibleError as error:
                answer = package.text.printable(error.message, 300)
            if isinstance(answer, Answer):
                heard.last, heard.lost, heard_at = answer, "", ticket.boottime()
            else:
                heard.lost = answer
                # What is left of a connection to a host that was started anew would keep the next one waiting.
                with contextlib.suppress(AnsibleError, OSError, AttributeError):
                    self._connection.reset()

    def _call(self, opening: ticket.Ticket, task_vars: dict[str, Any], may_start: bool = True) -> Answer | str:
        """One step of the module; what went wrong, where that is its answer. Never sends the seal."""
        left = opening.remaining
        host_part = {
            "run": opening.run,
            "job": opening.job,
            "seconds": round(left, 3),
            "needed": opening.needed,
            "may_start": may_start and opening.may_start and left >= opening.needed,
        }
        with _limited(CALL_LIMIT):
            told = self._ask(task_vars, dict(self._task.args) | self.arguments() | {"gate": host_part})
        if told.get("failed"):
            return self._why_failed(told)
        return Answer.read(told.get("document")) or "the host's answer is none: is its Python what it should be?"

    def _watch(self, path: str, end: float) -> None:
        """Wait on the host for the work's end: a shell costs both sides less than asking the module again.

        The work holds a lock as long as it runs, so that nobody need look for its result every second. Before it has
        begun, or where there is no such lock, a second is waited between two looks.
        """
        # As the path's characters are few and harmless, it needs no quoting.
        lock = f"{path.rpartition('/')[0]}/{_LOCKED}"
        for dummy in range(_WATCHES):
            rounds = max(1, int(min(_WATCHED, end - ticket.boottime())))
            look = min(_LOCK_WAIT, rounds)
            wait = (
                f"flock -s -w {look} {lock} true 2>/dev/null; case $? in "
                f"1) n=$((n+{look}));; *) [ -e {path} ] || sleep 1; n=$((n+1));; esac"
            )
            script = f"n=0; while [ ! -e {path} ] && [ $n -lt {rounds} ]; do {wait}; done; [ -e {path} ] || echo waits"
            began = ticket.boottime()
            said = ""
            with contextlib.suppress(AnsibleError), _limited(rounds + 30):
                said = str(self._low_level_execute_command(script, sudoable=True).get("stdout", ""))
            if ticket.boottime() - began < 1.0:
                self._pause(1.0)  # the host says that it waited, and did not
            if os.getppid() != self._parent:
                raise AnsibleActionFail("the playbook is gone; the host's work goes on without it")
            if said.strip() != "waits" or ticket.boottime() >= end:
                return  # it has ended, or something is wrong: the module tells

    def _pause(self, seconds: float) -> None:
        """Sleep, without outliving the playbook: a worker whose parent was killed has nobody to answer to."""
        end = ticket.boottime() + seconds
        while (left := end - ticket.boottime()) > 0:
            if os.getppid() != self._parent:
                raise AnsibleActionFail("the playbook is gone; the host's work goes on without it")
            time.sleep(min(left, 0.5))


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """A host that never ends its answer is one that can't be reached. A task's own `timeout` is left to do the same."""
    if signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
        yield
        return

    def too_long(dummy: int, frame: Any) -> None:
        raise AnsibleConnectionFailure(f"no end of the answer after {seconds:.0f} s")

    signal.signal(signal.SIGALRM, too_long)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return round(float(value), 3) if 0 <= value <= _LONGEST else None


def _text(value: Any, limit: int) -> str | None:
    return package.text.printable(value, limit) if isinstance(value, str) else None
