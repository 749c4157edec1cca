"""What a device answered, as a device-facts document: ntc-templates turns text into fields, and these tables say what
the fields of many vendors have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from ipaddress import IPv4Network
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from civicops.network.answers import Answers, Settings
from civicops.network.platform import About, Command, Platform
from civicops.network.times import SECONDS, day, uptime_seconds
from civicops.text import printable

# What is taken of a device's word: characters of a value, entries of a list and of a list in one of them, and of an
# answer that is parsed its lines and their length. A switch with 600 ports needs less.
_VALUE, _ENTRIES, _LIST, _LINES, _LINE = 300, 2000, 200, 20_000, 400

# What an entry may say and still tell nothing: an empty slot, a port without a neighbour.
_EMPTY_WITH: Mapping[About | None, Sequence[str]] = {
    "inventory": ("name", "version"),
    "neighbours": ("interface", "protocol"),
}
# Fixed switches are listed as their own line module: how far above the same entry may stand.
_SAME = 20

# For each field of ours, the names that templates and platforms give it, the best first.
_Fields = Mapping[str, Sequence[str]]
_SYSTEM: _Fields = {
    "model": (
        "model",
        "hardware",
        "platform",
        "product",
        "board_name",
        "hardware_model",
        "switch_model",
        "device_type",
    ),
    "serial": ("serial", "serial_number", "service_tag"),
    "version": ("version", "os"),
    "hostname": ("hostname", "name"),
    "uptime": ("uptime", "up_time"),
    "software_built": ("built", "compile_date"),
}
_ABOUT: Mapping[About, tuple[str, _Fields]] = {
    "stack": (
        "members",
        {
            "name": ("switch", "member", "unit", "name"),
            "model": ("model",),
            "serial": ("serial",),
            "version": ("version",),
            "role": ("role",),
        },
    ),
    "inventory": (
        "modules",
        {
            "name": ("name", "slot", "port", "interface", "module"),
            "description": ("descr", "description", "cardtype", "type"),
            "model": ("pid", "model", "part_number", "product_number"),
            "serial": ("sn", "serial"),
            "version": ("vid", "revision"),
        },
    ),
    "interfaces": (
        "interfaces",
        {
            "name": ("interface", "name", "port"),
            "description": ("description", "port_name"),
            "link": ("link_status", "link", "line_status", "status", "state"),
            "protocol": ("protocol_status", "protocol"),
            "addresses": ("ip_address",),
            "prefix_length": ("prefix_length", "netmask"),
            "mac": ("mac_address", "bia", "hw_address"),
            "speed": ("speed", "bandwidth"),
        },
    ),
    "neighbours": (
        "neighbours",
        {
            "interface": ("local_interface", "local_port", "interface"),
            "name": ("neighbor_name", "system_name", "identity"),
            "address": ("mgmt_address", "ip_address"),
            "port": ("neighbor_port_id", "neighbor_interface", "port_id"),
            "platform": ("platform", "neighbor_description", "system_description"),
            "protocol": ("protocol",),
        },
    ),
    "power": (
        "power",
        {
            "name": ("name", "slot"),
            "status": ("status", "state"),
            "model": ("model", "pid"),
            "serial": ("serial",),
        },
    ),
    "temperature": (
        "temperatures",
        {
            "name": ("sensor", "name"),
            "celsius": ("celsius", "current_value"),
            "status": ("status", "state"),
        },
    ),
    "poe": (
        "poe",
        {
            "interface": ("interface", "port"),
            "status": ("operational_status", "status"),
            "watts": ("power", "watts"),
            "device": ("device",),
        },
    ),
}
_ABOUT_ADDRESSES = _ABOUT["interfaces"]
# What devices write where they have nothing to say, in small letters.
_NOTHING = frozenset((
    "-", "--", "---", ".", "]", "n/a", "na", "[n/a]", "none", "unassigned", "unknown", "ukn", "builtin", "not set",
    "not advertised",
))  # fmt: skip
# Of an interface's link; all else is passed on as it was said.
_LINKS = {
    "u": "up", "d": "down", "a": "administratively down", "r": "up", "x": "administratively down",
    "up": "up", "down": "down", "linkup": "up", "linkdown": "down",
}  # fmt: skip
_HEAD = re.compile(r"(?i)^(?:master|active|command|conduct|primary|manage|mgmt)")
_CHASSIS = re.compile(r"(?i)chassis|switch|stack|^1$")
_NUMBER = re.compile(r"-?\d{1,6}(?:\.\d{1,4})?")


def fields_of(about: About) -> frozenset[str]:
    """The names of fields that are taken of an answer about this; all else in it is dropped."""
    fields = {"system": _SYSTEM, "addresses": _ABOUT_ADDRESSES[1]}.get(about) or _ABOUT[about][1]
    return frozenset(name for names in fields.values() for name in names)


def facts(settings: Settings, answers: Answers) -> dict[str, Any]:
    """The body of a device-facts document. What the device did not say is null or an empty list; the questions that it
    did not answer, or whose answer was not understood, are in `unanswered`."""
    platform = settings.platform
    body: dict[str, Any] = {
        "platform": platform.id,
        "tested": platform.tested,
        "vendor": platform.vendor,
        "transport": "telnet" if settings.telnet else "ssh",
        **dict.fromkeys(("model", "serial", "version", "hostname", "uptime_seconds", "software_built")),
        **{part: [] for part, _fields in _ABOUT.values()},
        "unanswered": [],
        "seconds": round(answers.seconds, 3),
    }
    for name in dict.fromkeys(command.command for command in platform.facts if command.about):
        _take(platform, [command for command in platform.facts if command.command == name], answers, body)
    _from_modules(body)
    return body


def _take(platform: Platform, commands: Sequence[Command], answers: Answers, body: dict[str, Any]) -> None:
    """What one answer tells, of each thing that it was asked for."""
    asked = commands[0].command
    text = answers.texts.get(asked)
    if text is None:
        why = answers.refused.get(asked)
        reason = "not asked" if why is None else f"refused: {why}"
        body["unanswered"].append({"command": asked, "why": printable(reason, _VALUE)})
        return
    text = _bounded(text)
    understood = False
    for command in commands:
        rows = list(_rows(platform, command, text))
        understood = understood or bool(rows) or _says_nothing(command, text)
        _take_rows(command, rows, body)
    if not understood:
        body["unanswered"].append({"command": asked, "why": "not understood"})


def _says_nothing(command: Command, text: str) -> bool:
    """Whether an answer without rows is one all the same. Of itself a device has always something to say."""
    if command.about == "system" and "none" not in command.model_fields_set:
        return False
    return not text.strip() or bool(_compiled(command.none).search(text))


def _take_rows(command: Command, rows: Sequence[Mapping[str, Any]], body: dict[str, Any]) -> None:
    if command.about == "system":
        _take_system(rows, body)
    elif command.about == "addresses":
        _take_addresses(rows, body["interfaces"])
    elif command.about is not None:
        part, fields = _ABOUT[command.about]
        _take_entries(command, rows, fields, body[part])


def _rows(platform: Platform, command: Command, text: str) -> Iterator[dict[str, Any]]:
    """The answer's rows: by the platform's own expressions where it has some, else by ntc-templates."""
    if command.about is None:
        return
    if command.record is not None:
        for record in _records(command.record, text):
            yield {name: _found(pattern, record) for name, pattern in command.patterns.items()}
        return
    if row := {name: found[0] for name, pattern in command.patterns.items() if (found := _found(pattern, text, 1))}:
        yield row
    if command.rows is not None:
        for match in _compiled(command.rows).finditer(text):
            yield match.groupdict("")
    elif platform.templates:
        yield from _by_template(platform.templates, command.template or command.command, text)


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    """For a whole answer: `^` and `$` are the ends of a line."""
    return re.compile(expression, re.MULTILINE)


def _records(begins: str, text: str) -> Iterator[str]:
    places = [match.start() for match in islice(_compiled(begins).finditer(text), _ENTRIES)]
    for begin, end in pairwise([*places, len(text)]):
        yield text[begin:end]


def _found(pattern: str, text: str, most: int = _LIST) -> list[str]:
    return [match[1] for match in islice(_compiled(pattern).finditer(text), most) if match[1]]


def _by_template(platform: str, command: str, text: str) -> list[dict[str, Any]]:
    from ntc_templates.parse import ParsingException, parse_output
    from textfsm import TextFSMError

    try:
        machine = _machine(platform, command)
        if machine is None:
            return list(parse_output(platform=platform, command=command, data=text))
        machine.Reset()
        rows = machine.ParseTextToDicts(text)
    except (ParsingException, TextFSMError):
        return []
    return [{name.lower(): value for name, value in row.items()} for row in rows]


@cache
def _machine(platform: str, command: str) -> Any:
    """The template of ntc-templates for a command, compiled once for all devices: `parse_output` would do so for each,
    which is most of its cost. None where there are several to be merged, or none: it knows about these."""
    import ntc_templates
    from textfsm import TextFSM
    from textfsm.clitable import CliTable

    folder = Path(ntc_templates.__file__).with_name("templates")
    index = CliTable("index", str(folder)).index
    row = index.GetRowMatch({"Command": command, "Platform": platform})
    names = index.index[row]["Template"].split(":") if row else []
    if len(names) != 1:
        return None
    with (folder / names[0].strip()).open(encoding="utf-8") as template:
        return TextFSM(template)


def _bounded(text: str) -> str:
    return "\n".join(line[:_LINE] for line in text.split("\n", _LINES)[:_LINES])


def _take_system(rows: Iterable[Mapping[str, Any]], body: dict[str, Any]) -> None:
    for row in rows:
        for field, names in _SYSTEM.items():
            value = _first(row, names)
            if field == "uptime":
                seconds = uptime_seconds(value) if value else _told_in_parts(row)
                if body["uptime_seconds"] is None:
                    body["uptime_seconds"] = seconds
            elif field == "software_built":
                body[field] = body[field] or day(value)
            elif value and not body[field]:
                body[field] = value


def _told_in_parts(row: Mapping[str, Any]) -> int | None:
    """An uptime that a template gives as `uptime_weeks`, `uptime_days` ..."""
    told = {name.removeprefix("uptime_")[:1]: row[name] for name in row if name.startswith("uptime_")}
    parts = [int(value) * SECONDS[unit] for unit, value in told.items() if unit in SECONDS and str(value).isdecimal()]
    return sum(parts) if parts else None


def _take_entries(
    command: Command, rows: Iterable[Mapping[str, Any]], fields: _Fields, entries: list[dict[str, Any]]
) -> None:
    # A stack tells its members' models here and their roles there
    members = {entry["name"]: entry for entry in entries} if command.about == "stack" else {}
    for row in rows:
        if len(entries) >= _ENTRIES:
            return
        entry: dict[str, Any] = {field: _first(row, names) for field, names in fields.items()}
        if not any(value for field, value in entry.items() if field not in _EMPTY_WITH.get(command.about, ())):
            continue
        if command.about == "interfaces":
            entry["addresses"] = _addresses(row, fields)
            entry["link"] = _LINKS.get((entry["link"] or "").lower(), entry["link"])
            del entry["prefix_length"]
        elif command.about == "neighbours":
            entry["protocol"] = _protocol(command.command, entry["protocol"])
        elif command.about == "temperature":
            entry["celsius"] = _number(entry["celsius"])
        elif command.about == "poe":
            entry["watts"] = _number(entry["watts"])
        elif command.about == "inventory" and entry in entries[-_SAME:]:
            continue
        known = members.get(entry["name"]) if command.about == "stack" else None
        if known is not None:
            known |= {field: value for field, value in entry.items() if not known[field]}
            continue
        if command.about == "stack":
            members[entry["name"]] = entry
        entries.append(entry)


def _protocol(command: str, told: str | None) -> str | None:
    """By what a neighbour was found: as the command says, or as the device does. RouterOS knows a third one."""
    for name in ("cdp", "lldp"):
        if name in command.lower():
            return name
    return told.lower() if told and told.lower() in ("cdp", "lldp") else None


def _take_addresses(rows: Iterable[Mapping[str, Any]], interfaces: list[dict[str, Any]]) -> None:
    """Addresses that a device tells apart from its interfaces."""
    known = {entry["name"]: entry for entry in interfaces}
    _part, fields = _ABOUT_ADDRESSES
    for row in rows:
        name = _first(row, fields["name"])
        found = _addresses(row, fields)
        if name in known:
            addresses = known[name]["addresses"]
            addresses += [one for one in found if one not in addresses][: _LIST - len(addresses)]
        elif name and found and len(interfaces) < _ENTRIES:
            known[name] = dict.fromkeys(field for field in fields if field != "prefix_length")
            known[name] |= {"name": name, "addresses": found}
            interfaces.append(known[name])


def _addresses(row: Mapping[str, Any], fields: _Fields) -> list[str]:
    """With their prefixes, where they are told; 0.0.0.0 is what some say of an interface that has none."""
    prefix = _prefix(_first(row, fields["prefix_length"]))
    found = [
        f"{one}/{prefix}" if prefix and "/" not in one and ":" not in one else one
        for one in _all(row, fields["addresses"])
        if re.match(r"[0-9A-Fa-f]*[.:]", one) and not re.match(r"(?:0\.0\.0\.0|::)(?:/|$)", one)
    ]
    return list(dict.fromkeys(found))[:_LIST]


def _prefix(told: str | None) -> str | None:
    """A prefix's length, of it or of a netmask."""
    if told and "." in told:
        with suppress(ValueError):
            return str(IPv4Network(f"0.0.0.0/{told}").prefixlen)
        return None
    return told[:3] if told else None


def _from_modules(body: dict[str, Any]) -> None:
    """Model and serial number of a stack's head or of the chassis among the parts, where nothing else tells them."""
    heads = [one for one in body["members"] if _HEAD.search(one["role"] or "")]
    for part in (*heads, *(one for one in body["modules"] if _CHASSIS.search(one["name"] or ""))):
        if not body["serial"]:
            body["serial"] = part["serial"]
            body["model"] = body["model"] or part["model"]


def _first(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first of these fields that says something."""
    return next(iter(_all(row, names)), None)


def _all(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """What the first of these fields says that says something: of a list, as for stacks, all of its entries."""
    for name in names:
        value = row.get(name) or ()
        texts = [printable(one, _VALUE) for one in (value if isinstance(value, list | tuple) else [value])]
        if told := [one for one in texts if one and one.lower() not in _NOTHING]:
            return told
    return []


def _number(value: str | None) -> float | None:
    found = _NUMBER.search(value or "")
    return float(found[0]) if found else None
