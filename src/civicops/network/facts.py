"""What a device answered, as a device-facts document: ntc-templates turns text into fields, and these tables say what
the fields of many vendors have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from civicops.network.answers import Answers, Settings
from civicops.network.platform import About, Command, Platform
from civicops.text import printable

# What is taken of a device's word: characters of a value, entries of a list, and of an answer that is parsed its lines
# and their length. A switch with 600 ports needs less.
_VALUE, _ENTRIES, _LINES, _LINE = 300, 2000, 20_000, 400

# For each field of ours, the names that templates give it, the best first.
_Fields = Mapping[str, Sequence[str]]
_SYSTEM: _Fields = {
    "model": ("model", "hardware", "platform", "product_name", "board_name", "chassis", "junos_model", "system_model"),
    "serial": ("serial", "serial_number", "system_serial", "chassis_serial_nbr", "chassis_serial"),
    "version": (
        "version",
        "software_version",
        "sw_version",
        "os",
        "os_version",
        "junos_version",
        "arubaos_cx_version",
        "software_revision",
    ),
    "hostname": ("hostname", "host_name", "device_name", "system_name", "name"),
    "uptime": ("uptime", "up_time", "system_uptime"),
    "software_built": ("built", "build_time", "build_date", "compile_date"),
}
_ABOUT: Mapping[About, tuple[str, _Fields]] = {
    "stack": (
        "members",
        {
            "name": ("switch", "member", "unit", "slot", "name"),
            "model": ("model", "platform", "pid"),
            "serial": ("serial", "serial_number", "sn"),
            "version": ("version", "sw_version"),
            "role": ("role", "status", "state"),
        },
    ),
    "inventory": (
        "modules",
        {
            "name": ("name", "module", "slot", "port", "item", "interface"),
            "description": ("descr", "description", "cardtype", "module_type", "type"),
            "model": ("pid", "model", "part_number", "product_number", "part"),
            "serial": ("sn", "serial", "serial_number", "serial_num"),
            "version": ("vid", "version", "revision"),
        },
    ),
    "interfaces": (
        "interfaces",
        {
            "name": ("interface", "name", "port", "portname"),
            "description": ("description", "port_name", "alias", "comment"),
            "link": ("link_status", "link", "line_status", "status", "admin_state"),
            "protocol": ("protocol_status", "protocol", "proto", "line_protocol"),
            "addresses": ("ip_address", "ipaddr", "main_ip", "address", "ip"),
            "prefix_length": ("prefix_length", "prefix"),
            "mac": ("mac_address", "bia", "hw_address", "hwaddr"),
            "speed": ("speed", "bandwidth"),
        },
    ),
    "neighbours": (
        "neighbours",
        {
            "interface": ("local_interface", "local_port", "interface"),
            "name": ("neighbor_name", "neighbor", "system_name", "destination_host", "identity"),
            "address": ("mgmt_address", "management_ip", "mgmt_ip", "ip_address", "address"),
            "port": ("neighbor_interface", "neighbor_port_id", "remote_port", "port_id"),
            "platform": ("platform", "neighbor_description", "system_description"),
        },
    ),
    "power": (
        "power",
        {
            "name": ("power_supply", "name", "ps_module", "module", "slot"),
            "status": ("status", "power_supply_status", "state"),
            "model": ("model", "power_supply_model", "pid"),
            "serial": ("serial", "sn"),
        },
    ),
    "temperature": (
        "temperatures",
        {
            "name": ("sensor", "temperature_sensor", "name", "module", "location"),
            "celsius": ("celsius", "current_value", "temperature_current", "temperature", "inside_temperature"),
            "status": ("status", "temperature_status", "state"),
        },
    ),
    "poe": (
        "poe",
        {
            "interface": ("interface", "port"),
            "status": ("operational_status", "status", "oper"),
            "watts": ("power", "watts"),
            "device": ("device",),
        },
    ),
}
_ABOUT_ADDRESSES = _ABOUT["interfaces"]
# A second has so many of them; months are not told by any device.
_SECONDS = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SPAN = re.compile(
    r"(\d{1,9})\s*(y|w|d|h|m|s)(?:(?:ea)?rs?|eeks?|ays?|ours?|in(?:ute)?s?|ec(?:ond)?s?)?(?:\(s\))?", re.IGNORECASE
)
_CLOCK = re.compile(r"\b(\d{1,3}):(\d{2})(?::(\d{2}))?\b")
_DATES = (
    (r"\b\d{4}-\d{1,2}-\d{1,2}\b", "%Y-%m-%d"),
    (r"\b\d{1,2}-[A-Za-z]{3}-\d{4}\b", "%d-%b-%Y"),
    (r"\b\d{1,2}-[A-Za-z]{3}-\d{2}\b", "%d-%b-%y"),
    (r"\b[A-Z][a-z]{2}[ /]\d{1,2}[ /]\d{4}\b", "%b-%d-%Y"),
    (r"\b\d{1,2}/\d{1,2}/\d{4}\b", "%m-%d-%Y"),
    (r"\b20\d{6}\b", "%Y%m%d"),
    (r"\b\d{6}\b", "%y%m%d"),
)
_NUMBER = re.compile(r"-?\d{1,6}(?:\.\d{1,4})?")


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
    for command in platform.facts:
        _take(platform, command, answers, body)
    _from_modules(body)
    return body


def _take(platform: Platform, command: Command, answers: Answers, body: dict[str, Any]) -> None:
    text = answers.texts.get(command.command)
    if text is None:
        why = answers.refused.get(command.command)
        reason = "not asked" if why is None else f"refused: {why}"
        body["unanswered"].append({"command": command.command, "why": printable(reason, _VALUE)})
        return
    rows = list(_rows(platform, command, _bounded(text)))
    if not rows:
        # An empty table is an answer too; a device that says nothing of itself has not been understood.
        if command.about == "system" or text.strip():
            body["unanswered"].append({"command": command.command, "why": "not understood"})
        return
    if command.about == "system":
        _take_system(rows, body)
    elif command.about == "addresses":
        _take_addresses(rows, body["interfaces"])
    else:
        part, fields = _ABOUT[command.about]
        _take_entries(command, rows, fields, body[part])


def _rows(platform: Platform, command: Command, text: str) -> Iterator[dict[str, Any]]:
    """The answer's rows: by the platform's own expressions where it has some, else by ntc-templates."""
    if command.patterns:
        found = {name: re.search(pattern, text, re.MULTILINE) for name, pattern in command.patterns.items()}
        row = {name: match[1] for name, match in found.items() if match}
        if row:
            yield row
    if command.rows:
        for match in re.finditer(command.rows, text, re.MULTILINE):
            yield match.groupdict("")
    if not command.rows and platform.templates:
        yield from _by_template(platform.templates, command.template or command.command, text)


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
    parts = [int(value) * _SECONDS[unit] for unit, value in told.items() if unit in _SECONDS and str(value).isdecimal()]
    return sum(parts) if parts else None


def _take_entries(
    command: Command, rows: Iterable[Mapping[str, Any]], fields: _Fields, entries: list[dict[str, Any]]
) -> None:
    for row in rows:
        if len(entries) >= _ENTRIES:
            return
        entry: dict[str, Any] = {field: _first(row, names) for field, names in fields.items()}
        if command.about == "interfaces":
            prefix = entry.pop("prefix_length")
            entry["addresses"] = [*_addresses(entry["addresses"], prefix)]
        elif command.about == "neighbours":
            entry["protocol"] = "cdp" if "cdp" in command.command.lower() else "lldp"
        elif command.about == "temperature":
            entry["celsius"] = _number(entry["celsius"])
        elif command.about == "poe":
            entry["watts"] = _number(entry["watts"])
        if any(value for field, value in entry.items() if field != "protocol"):
            entries.append(entry)


def _take_addresses(rows: Iterable[Mapping[str, Any]], interfaces: list[dict[str, Any]]) -> None:
    """Addresses that a device tells apart from its interfaces."""
    known = {entry["name"]: entry for entry in interfaces}
    _part, fields = _ABOUT_ADDRESSES
    for row in rows:
        name = _first(row, fields["name"])
        found = [*_addresses(_first(row, fields["addresses"]), _first(row, fields["prefix_length"]))]
        if name in known:
            known[name]["addresses"] += [one for one in found if one not in known[name]["addresses"]]
        elif name and found and len(interfaces) < _ENTRIES:
            known[name] = dict.fromkeys(field for field in fields if field != "prefix_length")
            known[name] |= {"name": name, "addresses": found}
            interfaces.append(known[name])


def _addresses(value: str | None, prefix: str | None) -> Iterator[str]:
    if value and re.match(r"[0-9A-Fa-f:.]*[.:]", value):
        yield f"{value}/{prefix[:10]}" if prefix and "/" not in value else value


def _from_modules(body: dict[str, Any]) -> None:
    """Model and serial number from the chassis in the list of parts, where nothing else has told them."""
    for part in (*body["members"], *body["modules"]):
        if not body["serial"] and re.search(r"chassis|switch|stack|^1$", part["name"] or "", re.IGNORECASE):
            body["serial"] = part["serial"]
            body["model"] = body["model"] or part["model"]


def _first(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first of these fields that says something. Of a list, as templates give for stacks, the first entry."""
    for name in names:
        value = row.get(name)
        if isinstance(value, list):
            value = next((one for one in value if one), None)
        if value and (told := printable(value, _VALUE)):
            return told
    return None


def _number(value: str | None) -> float | None:
    found = _NUMBER.search(value or "")
    return float(found[0]) if found else None


def day(told: str | None) -> str | None:
    """A date as devices write it ("20-Oct-23", "2025-03-11 11:59:04", "Jul 29 2022", "20210907"), as ISO 8601 does.

    Of "12/4/2024" the first is the month, as the vendors that write so are American.
    """
    for pattern, form in _DATES:
        found = re.search(pattern, (told or "")[:_VALUE])
        if found:
            with suppress(ValueError):
                moment = datetime.strptime(found[0].replace("/", "-").replace(" ", "-"), form)
                if 1990 <= moment.year < 2100:
                    return moment.date().isoformat()
    return None


def uptime_seconds(told: str | None) -> int | None:
    """Seconds of an uptime as devices write it: "44 weeks, 4 days, 1 hour", "3h5m54s", "12 days, 21:50:05"."""
    told = (told or "")[:_VALUE]
    clock = _CLOCK.search(told)
    spans = _SPAN.findall(told[: clock.start()] + told[clock.end() :] if clock else told)
    if not spans and not clock:
        return None
    seconds = sum(int(number) * _SECONDS[unit.lower()] for number, unit in spans)
    if clock:
        hours, minutes, rest = (int(part or 0) for part in clock.groups())
        seconds += hours * 3600 + minutes * 60 + rest
    return seconds
