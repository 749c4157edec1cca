"""A town's waivers: findings and controls that somebody has accepted, for some hosts and some time.

`inventories/TOWN/waivers.yml` holds them. Standard library and YAML alone: Ansible's workers read it too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from . import nodes
from .problems import Problem, TownFileError, cant_read, echo, whole

NAME = "waivers.yml"
LONGEST = timedelta(days=366)
"""A waiver is accepted for a year at most; then somebody has to look again."""
_LIMIT = 1 << 20
_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_GROUP = "group:"


@dataclass(frozen=True, slots=True)
class Waiver:
    """One accepted control or finding.

    `hosts` is a pattern of inventory names (`police-*`), or `group:NAME`. It holds from `granted` until the end of
    `expires`, by days in UTC.
    """

    subject: str
    """The id of the control or finding; a trailing `*` stands for all that begin so."""
    kind: str
    """`control` or `finding`."""
    hosts: str
    reason: str
    approver: str
    granted: date
    expires: date
    line: int

    def covers(self, kind: str, subject: str, host: str, groups: Mapping[str, Collection[str]]) -> bool:
        """Whether it is about this control or finding on this host, whatever the day."""
        if kind != self.kind or not fnmatchcase(subject, self.subject):
            return False
        if self.hosts.startswith(_GROUP):
            return host in groups.get(self.hosts[len(_GROUP) :], ())
        return fnmatchcase(host, self.hosts)

    def holds(self, today: date) -> bool:
        return self.granted <= today <= self.expires


def load_waivers(directory: Path) -> tuple[Waiver, ...]:
    """The waivers beside a town's hosts.yml; none where the file is not there.

    :raises TownFileError: with every problem of the file.
    """
    path = directory / NAME
    try:
        with path.open("rb") as stream:
            raw = stream.read(_LIMIT + 1)
        text = raw.decode("utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise whole(path, cant_read(error), "waivers are UTF-8 text that you may read") from None
    if len(raw) > _LIMIT:
        raise whole(path, f"longer than {_LIMIT} bytes", "take out what has expired")
    try:
        root = nodes.parse(text)
    except nodes.YamlFault as fault:
        problem = Problem(str(path), fault.line, fault.column, "", fault.message, fault.remedy)
        raise TownFileError([problem]) from None
    return _Reader(str(path)).read(root)


class _Reader:
    """Reads the tree, and keeps every problem that it meets."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []

    def read(self, root: nodes.Node | None) -> tuple[Waiver, ...]:
        found: list[Waiver] = []
        rows = self._rows(root)
        for number, node in enumerate(rows):
            where = f"waivers[{number}]"
            if not isinstance(node, nodes.Mapping):
                self._wrong(node, where, "is no mapping", "give control or finding, hosts, reason, approver, expires")
            elif (waiver := self._waiver(node, where)) is not None:
                found.append(waiver)
        if self._problems:
            raise TownFileError(self._problems)
        return tuple(found)

    def _rows(self, root: nodes.Node | None) -> Sequence[nodes.Node]:
        if root is None:
            return ()
        entries = {key.text: value for key, value in _pairs(root)} if isinstance(root, nodes.Mapping) else {}
        rows = entries.get("waivers")
        if len(entries) != 1 or not isinstance(rows, nodes.Sequence):
            self._wrong(root, "", "is not one list named waivers", "begin with `waivers:` and a list below it")
            return ()
        return rows.items

    def _waiver(self, node: nodes.Mapping, where: str) -> Waiver | None:
        values: dict[str, tuple[str, nodes.Node]] = {}
        before = len(self._problems)
        for key, value in _pairs(node):
            if key.text not in _KEYS:
                self._wrong(key, f"{where}.{key.text}", "is no key of a waiver", f"known: {', '.join(_KEYS)}")
            elif not isinstance(value, nodes.Scalar) or not value.text.strip():
                self._wrong(value, f"{where}.{key.text}", "is empty or no single value", "give a line of text")
            else:
                values[key.text] = value.text.strip(), value
        subjects = [name for name in ("control", "finding") if name in values]
        if len(subjects) != 1:
            self._wrong(node, where, f"names {len(subjects)} of control and finding", "name one of the two")
        for name in ("hosts", "reason", "approver", "granted", "expires"):
            if name not in values and not any(one.key == f"{where}.{name}" for one in self._problems[before:]):
                self._wrong(node, where, f"{name} is missing", _KEYS[name])
        for name in subjects:
            if not _ID.fullmatch(values[name][0].removesuffix("*") or "-"):
                self._wrong(values[name][1], f"{where}.{name}", f"{echo(values[name][0])} is no id", _KEYS[name])
        days = {name: self._day(values[name], f"{where}.{name}") for name in ("granted", "expires") if name in values}
        granted, expires = days.get("granted"), days.get("expires")
        if granted and expires and not granted <= expires <= granted + LONGEST:
            told = "is before it was granted" if expires < granted else "is more than a year after it was granted"
            self._wrong(values["expires"][1], f"{where}.expires", told, "a waiver holds for a year at most")
        if len(self._problems) > before or granted is None or expires is None:
            return None
        kind = subjects[0]
        texts = {name: text for name, (text, _node) in values.items()}
        return Waiver(
            texts[kind], kind, texts["hosts"], texts["reason"], texts["approver"], granted, expires, node.line
        )

    def _day(self, value: tuple[str, nodes.Node], where: str) -> date | None:
        try:
            if _DATE.fullmatch(value[0]):
                return date.fromisoformat(value[0])
        except ValueError:
            pass
        self._wrong(value[1], where, f"{echo(value[0])} is no day", "write YEAR-MONTH-DAY, such as 2027-06-30")
        return None

    def _wrong(self, node: nodes.Node, key: str, message: str, remedy: str) -> None:
        self._problems.append(Problem(self._file, node.line, node.column, key, message, remedy))


_KEYS = {
    "control": "the id of a control, such as ssh-no-root-login",
    "finding": "the id of a finding",
    "hosts": "a pattern of inventory names, such as police-*, or group:NAME",
    "reason": "why the town accepts it",
    "approver": "who has accepted it",
    "granted": "the day on which it was accepted",
    "expires": "the day after which it has to be looked at again, a year on at most",
}


def _pairs(node: nodes.Mapping) -> list[tuple[nodes.Scalar, nodes.Node]]:
    return [(key, value) for key, value in node.items if isinstance(key, nodes.Scalar)]
