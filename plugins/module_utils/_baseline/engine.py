# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A whole catalogue on one host: look at everything, mend in order, look at everything again.

"Changed" is what was not compliant before and is so after: so a control that another one has mended counts, and one
whose setting did not take does not.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Dict, List, Mapping, Optional, Protocol, Sequence, Set, Tuple, Type

from .._host_info.context import CommandError
from .._host_info.identity import virtualization
from .files import Found, HostError
from .host import Host
from .model import (
    ACCESS,
    CHANGED,
    ERROR,
    FAILED,
    NOT_ENFORCEABLE,
    PACKAGES,
    WAIVED,
    Control,
    Entry,
    ParameterError,
    Params,
    Reading,
    Result,
    absent,
    manual,
)

CONDITIONS = ("mend", "needs_package", "unless_package", "machine_only")
"""Parameters that every type takes: whether it is mended at all, and on which hosts it applies."""
PASSES = 3
"""What a run has installed can bring controls that did not apply before; each pass mends those that do now."""
WORDS = 200  # characters of what was there
DOORS = (
    "/etc/pam.", "/etc/ssh/", "/etc/security/", "/etc/nsswitch", "/etc/nftables", "/etc/ufw", "/etc/firewalld",
    "/etc/hosts", "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/shells", "/etc/nologin", "/etc/environment",
    "/etc/network", "/etc/netplan", "/etc/systemd/network", "/etc/systemd/system/ssh", "/etc/default/ssh",
    "/etc/sudoers", "/usr/share/pam-configs", "/root", "ssh", "networking.", "systemd-networkd.", "NetworkManager.",
    "nftables.", "ufw.", "firewalld.", "systemd-logind.",
)  # fmt: skip
"""Files and units through which we come in: what changes them is proven by a new login."""


class Reload(Protocol):
    """How a service is made to read its settings."""

    def check(self, host: Host) -> None:
        """Whether what is on the disk would be taken. Raises HostError."""

    def apply(self, host: Host) -> None:
        """Have it read, and see that it still runs. Raises HostError, CommandError."""


class Guard(Protocol):
    """Takes the risky part of a run back unless somebody proves that he still gets in."""

    def arm(self) -> None:
        """Before the first risky change. Raises HostError, OSError: then none is made."""

    def wait(self) -> None:
        """From now on the proof is waited for."""


@dataclass
class _Item:
    """One control in one run."""

    entry: Entry
    control: Optional[Control] = None
    mends: bool = True
    needs: List[str] = field(default_factory=list)  # it applies where one of these packages is installed
    unless: List[str] = field(default_factory=list)  # and none of these
    machine_only: bool = False  # and no container
    first: Optional[Reading] = None
    problem: str = ""  # of looking
    failure: str = ""  # of mending
    files: Dict[str, Optional[Found]] = field(default_factory=dict)  # as they were before it was mended

    @property
    def stage(self) -> int:
        """When its turn is: last where it could lock us out, whatever its type says."""
        control = self.control
        paths = [getattr(control, "path", ""), *getattr(control, "paths", ()), *getattr(control, "units", ())]
        if any(isinstance(path, str) and path.startswith(DOORS) for path in paths):
            return ACCESS
        return control.stage if control is not None else 0


@dataclass
class Run:
    """What came of it."""

    results: List[Result] = field(default_factory=list)
    access: List[str] = field(default_factory=list)  # ids of what was mended and could lock us out
    notes: List[str] = field(default_factory=list)


class Engine:
    """Runs entries on a host. C(types) and C(reloads) are found by name."""

    def __init__(self, host: Host, types: Mapping[str, Type[Control]], reloads: Mapping[str, Reload]) -> None:
        self._host = host
        self._types = types
        self._reloads = reloads
        self._run = Run()

    def run(self, entries: Sequence[Entry], guard: Optional[Guard] = None) -> Run:
        """Audit, and where the host is no picture (check mode), mend and audit again."""
        items = [self._made(entry) for entry in entries]
        self._look(items)
        last: Dict[str, Reading] = {}
        tried: Set[str] = set()
        for dummy in range(PASSES):
            wanted = [item for item in items if self._mends(item, last) and item.entry.id not in tried]
            if not wanted:
                break
            tried.update(item.entry.id for item in wanted)
            self._mend(wanted, guard)
            if self._host.dry:
                break
            self._host.forget()
            last = self._again(items)
        self._run.results = [self._result(item, last.get(item.entry.id)) for item in items]
        changed = {result.id for result in self._run.results if result.changed}
        at_risk = [item.entry.id for item in items if item.stage == ACCESS]
        self._run.access = [name for name in at_risk if name in changed]
        return self._run

    def _mend(self, wanted: List[_Item], guard: Optional[Guard]) -> None:
        for stage in sorted({item.stage for item in wanted}):
            mine = [item for item in wanted if item.stage == stage]
            if stage == ACCESS and guard is not None:
                self._risky(mine, guard)
            else:
                self._stage(mine)

    # -- looking -------------------------------------------------------------------

    def _made(self, entry: Entry) -> _Item:
        kind = self._types.get(entry.type)
        if kind is None:
            return _Item(entry, problem=f"there is no type {entry.type[:60]}")
        mine = {name: value for name, value in entry.params.items() if name not in CONDITIONS}
        conditions = Params({name: value for name, value in entry.params.items() if name in CONDITIONS})
        try:
            return _Item(
                entry,
                kind(Params(mine)),
                mends=conditions.flag("mend", True),
                needs=conditions.texts("needs_package", []),
                unless=conditions.texts("unless_package", []),
                machine_only=conditions.flag("machine_only"),
            )
        except ParameterError as error:
            return _Item(entry, problem=f"params: {error}"[:300])

    def _look(self, items: List[_Item]) -> None:
        names = [name for item in items for name in getattr(item.control, "units", ())]
        try:
            self._host.units(names)
        except (CommandError, OSError) as error:
            self._run.notes.append(f"systemd could not be asked: {error}"[:300])
        self._host.installable.update(name for item in items for name in getattr(item.control, "installs", ()))
        for item in items:
            if item.control is not None and item.control.stage == PACKAGES:
                self._note_coming(item)
        for item in items:
            if item.control is not None:
                item.first, item.problem = self._read(item)

    def _note_coming(self, item: _Item) -> None:
        """What a run installs decides which other controls apply: known before the first of them is looked at."""
        reading, dummy = self._read(item)
        coming = getattr(item.control, "coming", None)
        if coming is not None and reading is not None and reading.mends and not item.entry.waived:
            with suppress(HostError, CommandError):  # the control itself tells, when its turn comes
                self._host.coming.update(coming(self._host))

    def _again(self, items: List[_Item]) -> Dict[str, Reading]:
        found = {}
        for item in items:
            if item.control is not None:
                reading, problem = self._read(item)
                if reading is not None:
                    found[item.entry.id] = reading
                else:
                    item.failure = item.failure or problem
        return found

    def _read(self, item: _Item) -> Tuple[Optional[Reading], str]:
        try:
            return self._reading(item), ""
        except (HostError, CommandError) as error:
            return None, str(error)[:300]
        except OSError as error:
            return None, f"{error.filename or ''}: {error.strerror}".strip(": ")[:300]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError, ArithmeticError) as error:
            # A host's files can hold anything; one control that stumbles over them does not stop the others.
            return None, f"what is there can't be read: {type(error).__name__} {error}"[:300]

    def _reading(self, item: _Item) -> Reading:
        there = self._host.packages() | self._host.coming if item.needs or item.unless else set()
        if item.needs and not there.intersection(item.needs):
            return absent(f"{' or '.join(item.needs)} is not installed")
        if there.intersection(item.unless):
            return absent(f"{' or '.join(sorted(there.intersection(item.unless)))} is installed")
        if item.machine_only and self._host.ctx.once("virtualization", virtualization)["kind"] == "container":
            return absent("this is the machine's below, and not a container's")
        if item.control is None:
            raise HostError("there is no control")
        found = item.control.current(self._host)
        return found if item.mends or not found.mends else manual(found.was, "people mend this, when the time is right")

    @staticmethod
    def _mends(item: _Item, last: Mapping[str, Reading]) -> bool:
        """Whether it is to be mended now, by the last look at it."""
        reading = last.get(item.entry.id, item.first)
        return reading is not None and reading.mends and not item.entry.waived

    # -- mending -------------------------------------------------------------------

    def _risky(self, items: List[_Item], guard: Guard) -> None:
        try:
            guard.arm()
        except (HostError, CommandError, OSError) as error:
            for item in items:
                item.failure = f"not tried, as the way back could not be made sure of: {error}"[:300]
            return
        self._host.risky = True
        try:
            self._stage(items)
        finally:
            self._host.risky = False
            guard.wait()

    def _stage(self, items: List[_Item]) -> None:
        host = self._host
        wants: Dict[str, List[_Item]] = {}
        for item in items:
            host.begin()
            try:
                reading = self._reading(item)
                if reading.mends and item.control is not None:
                    item.control.apply(host)
                    for name in sorted(host.asked):
                        self._reloads[name].check(host)
            except (HostError, CommandError, OSError, ValueError, KeyError, IndexError, TypeError) as error:
                item.failure = (str(error) or type(error).__name__)[:300]
                self._back(item)
                continue
            item.files = host.mine()
            for name in host.asked:
                wants.setdefault(name, []).append(item)
        if not host.dry:
            for name in sorted(wants):
                self._reload(name, wants[name])

    def _back(self, item: _Item) -> None:
        try:
            self._host.put(self._host.mine())
        except (HostError, OSError) as error:
            item.failure = f"{item.failure}; and its files could not be put back: {error}"[:400]

    def _reload(self, name: str, items: List[_Item]) -> None:
        """Have a service read what the stage has written; what it does not like goes back."""
        host = self._host
        host.journal({"op": "reload", "name": name})
        try:
            self._reloads[name].apply(host)
        except (HostError, CommandError, OSError) as error:
            for item in items:
                item.failure = f"taken back, as {name} did not take it: {error}"[:300]
            try:
                for item in reversed(items):
                    host.put(item.files)
                self._reloads[name].apply(host)
            except (HostError, CommandError, OSError) as again:
                self._run.notes.append(f"{name} could not be brought back: {again}"[:300])

    # -- telling -------------------------------------------------------------------

    def _result(self, item: _Item, last: Optional[Reading]) -> Result:
        result = Result(item.entry.id, ERROR, wanted=str(getattr(item.control, "wanted", ""))[:WORDS])
        if item.first is None:
            result.reason = item.problem
            return result
        now = item.first
        result.was = now.was[:WORDS]
        result.state, result.reason = now.state, (now.absent or now.manual or now.stuck)[:300]
        if item.entry.waived:
            result.state = WAIVED
            return result
        mended = self._mends(item, {})
        if self._host.dry:
            if mended and item.failure:
                result.state, result.reason = FAILED, item.failure
            elif mended:
                result.state, result.changed = (NOT_ENFORCEABLE if now.stuck else CHANGED), True
            return result
        if last is None:
            if mended:
                result.state, result.reason = FAILED, item.failure or "it could not be looked at again"
            return result
        if last.ok and not now.ok:
            result.state, result.changed, result.reason = CHANGED, True, ""
        elif mended and last.stuck and not item.failure:
            # Where not even a part of it could be done, nothing has changed.
            result.state, result.changed, result.reason = NOT_ENFORCEABLE, last.was != now.was, last.stuck[:300]
        elif mended:
            result.state = FAILED
            result.reason = item.failure or f"it was set, and is not so: {last.was}"[:300]
        elif now.ok and not last.ok:
            result.state, result.reason = FAILED, f"it was compliant, and is not after this run: {last.was}"[:300]
        return result
