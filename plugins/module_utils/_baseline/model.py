# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What a control, its type and their answers are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Protocol, Tuple

from .host import Host
from .texts import shown

# The order in which a run mends: what others need first, what could lock us out last.
PACKAGES, FILES, KERNEL, ACCOUNTS, SERVICES, ACCESS = range(6)

COMPLIANT = "compliant"
CHANGED = "changed"
FAILED = "failed"
NOT_APPLICABLE = "not_applicable"
NOT_ENFORCEABLE = "not_enforceable"
ERROR = "error"
WAIVED = "waived"  # given by the controller; such a control is looked at, and never mended


class ParameterError(ValueError):
    """A control's parameters are not what its type takes; the message names the parameter."""


@dataclass(frozen=True)
class Reading:
    """What a control found.

    C(was) is what is there, in few words, without secrets. C(absent) says why the control does not apply to this host.
    C(manual) says why it is people who must mend it; C(stuck) what can't be had on this host (a container's read-only
    sysctl). C(todo) says whether mending would change anything: a control may be stuck with nothing left to do.
    """

    ok: bool
    was: str = ""
    absent: str = ""
    manual: str = ""
    stuck: str = ""
    todo: bool = True

    @property
    def state(self) -> str:
        """The state of a control that nobody mends."""
        if self.absent:
            return NOT_APPLICABLE
        if self.ok:
            return COMPLIANT
        if self.stuck:
            return NOT_ENFORCEABLE
        return FAILED

    @property
    def mends(self) -> bool:
        """Whether enforcement would change something."""
        return not self.ok and not self.absent and not self.manual and self.todo


def good(was: str = "") -> Reading:
    return Reading(ok=True, was=was, todo=False)


def bad(was: str = "") -> Reading:
    return Reading(ok=False, was=was)


def absent(why: str) -> Reading:
    """The control does not apply here."""
    return Reading(ok=False, absent=why, todo=False)


def manual(was: str, why: str) -> Reading:
    """Not compliant, and nothing that a program should mend."""
    return Reading(ok=False, was=was, manual=why, todo=False)


def stuck(was: str, why: str, *, todo: bool) -> Reading:
    """Not compliant, and it can't become so on this host; C(todo): a part of it can be done."""
    return Reading(ok=False, was=was, stuck=why, todo=todo)


class Control(Protocol):
    """One control on one host: an instance of a type, made from the control's parameters."""

    name: str  # of the type
    stage: int
    wanted: str  # in few words, for the report

    def __init__(self, params: Params) -> None:
        """Raises ParameterError."""

    def current(self, host: Host) -> Reading:
        """Look, and change nothing. Raises OSError, CommandError, HostError."""

    def apply(self, host: Host) -> None:
        """Mend, by means of the host alone. Called only where the reading mends. Raises the same."""


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue as the module gets it."""

    id: str
    type: str
    params: Dict[str, Any]
    waived: bool = False


@dataclass
class Result:
    """What is said of one control."""

    id: str
    state: str
    changed: bool = False
    was: str = ""
    wanted: str = ""
    reason: str = ""

    def values(self) -> List[Any]:
        """For the document: a host's own words may hold anything."""
        return [self.id, self.state, self.changed, *(shown(text, 400) for text in (self.was, self.wanted, self.reason))]


COLUMNS = ("id", "state", "changed", "was", "wanted", "reason")


@dataclass
class Params:
    """A control's parameters, checked: unknown, missing and ill-typed ones are told."""

    given: Dict[str, Any]
    seen: List[str] = field(default_factory=list)

    def text(self, name: str, default: Optional[str] = None, choices: Tuple[str, ...] = ()) -> str:
        value = self._take(name, default)
        if not isinstance(value, str) or not value or "\n" in value or "\0" in value:
            raise ParameterError(f"{name} is a line of text, not {value!r:.60}")
        if choices and value not in choices:
            raise ParameterError(f"{name} is one of {', '.join(choices)}, not {value!r:.60}")
        return value

    def maybe(self, name: str) -> Optional[str]:
        """A text that may be left out."""
        return self.text(name) if name in self.given else self._skip(name)

    def number(self, name: str, default: Optional[int] = None) -> int:
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ParameterError(f"{name} is a whole number, not {value!r:.60}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise ParameterError(f"{name} is true or false, not {value!r:.60}")
        return value

    def texts(self, name: str, default: Optional[List[str]] = None) -> List[str]:
        """A list of lines; one line stands for a list of one."""
        value = self._take(name, default)
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(one, str) and one and "\n" not in one for one in value):
            raise ParameterError(f"{name} is a list of lines of text, not {value!r:.60}")
        return list(value)

    def path(self, name: str, default: Optional[str] = None) -> str:
        value = self.text(name, default)
        if not value.startswith("/") or ".." in value.split("/"):
            raise ParameterError(f"{name} is an absolute path, not {value!r:.60}")
        return value

    def paths(self, name: str) -> List[str]:
        for value in (values := self.texts(name)):
            if not value.startswith("/") or ".." in value.split("/"):
                raise ParameterError(f"{name} is a list of absolute paths, not {value!r:.60}")
        return values

    def done(self) -> None:
        """Nothing else was given."""
        unknown = sorted(set(self.given) - set(self.seen))
        if unknown:
            raise ParameterError(f"unknown: {', '.join(unknown)}; known: {', '.join(self.seen)}")

    def _take(self, name: str, default: Any) -> Any:
        self.seen.append(name)
        if name not in self.given and default is None:
            raise ParameterError(f"{name} is missing")
        return self.given.get(name, default)

    def _skip(self, name: str) -> None:
        self.seen.append(name)
