"""What is taken of what a device says: by templates and expressions, bounded, and what is unknown is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civicops.ledger.documents import check_body
from civicops.network.answers import Answers, Login, Settings
from civicops.network.facts import facts
from civicops.network.platform import Command, Config, Platform, find, platforms
from civicops.network.times import day, uptime_seconds

INTERFACES = """\
GigabitEthernet1/0/1 is up, line protocol is up (connected)
  Hardware is Gigabit Ethernet, address is 40f0.7800.0001 (bia 40f0.7800.0001)
  Description: to the \x1b[31mvault
  MTU 1500 bytes, BW 1000000 Kbit/sec, DLY 10 usec,
     reliability 255/255, txload 1/255, rxload 1/255
Vlan2 is up, line protocol is up
  Hardware is Ethernet SVI, address is 40f0.7800.0002 (bia 40f0.7800.0002)
  Internet address is 10.42.11.42/24
  MTU 1500 bytes, BW 1000000 Kbit/sec, DLY 10 usec,
     reliability 255/255, txload 1/255, rxload 1/255
"""
LLDP = """\
------------------------------------------------
Local Intf: Gi1/0/24
Chassis id: 0011.2233.4455
Port id: Gi0/1
Port Description: uplink
System Name: sw-hall-02

System Description:
Cisco IOS Software

Time remaining: 100 seconds
System Capabilities: B,R
Enabled Capabilities: B
Management Addresses:
    IP: 10.42.11.43
Auto Negotiation - supported, enabled
Physical media capabilities:
    1000baseT(FD)
Media Attachment Unit type: 30
Vlan ID: 1


Total entries displayed: 1
"""


def asked(platform: Platform, texts: dict[str, str], refused: dict[str, str] | None = None) -> dict[str, Any]:
    settings = Settings("sw1", platform, Login("192.0.2.1", 22, "ops"), Path("/nowhere"))
    body = facts(settings, Answers(texts, refused or {}, "sw1#", 1.25))
    check_body("device-facts", 1, body)
    return body


def made(*commands: Command, **more: Any) -> Platform:
    return Platform(
        id="made",
        title="Made",
        vendor="Nobody",
        driver="generic",
        running=Config(command="show"),
        facts=commands,
        restore="-",
        **more,
    )


def test_templates_fill_interfaces_and_neighbours() -> None:
    platform, _telnet = find("cisco_ios")
    body = asked(platform, {"show interfaces": INTERFACES, "show lldp neighbors detail": LLDP})
    first, vlan = body["interfaces"]
    assert first["name"] == "GigabitEthernet1/0/1"
    assert first["link"] == "up"
    assert first["mac"] == "40f0.7800.0001"
    assert first["description"] == "to the  [31mvault", "nothing of it steers a terminal"
    assert vlan["addresses"] == ["10.42.11.42/24"]
    [neighbour] = body["neighbours"]
    assert neighbour["interface"] == "Gi1/0/24"
    assert neighbour["name"] == "sw-hall-02"
    assert neighbour["address"] == "10.42.11.43"
    assert neighbour["protocol"] == "lldp"


def test_what_was_refused_or_not_understood_is_told_and_nothing_is_made_up() -> None:
    platform, _telnet = find("cisco_ios")
    body = asked(platform, {"show version": "gibberish"}, {"show inventory": "% Invalid input \x1b[2J"})
    told = {one["command"]: one["why"] for one in body["unanswered"]}
    assert told["show version"] == "not understood"
    assert told["show inventory"].startswith("refused: % Invalid input")
    assert "\x1b" not in told["show inventory"]
    assert told["show interfaces"] == "not asked"
    assert (body["model"], body["serial"], body["version"], body["uptime_seconds"]) == (None, None, None, None)


def test_expressions_stand_in_where_no_template_knows_the_device() -> None:
    platform = made(
        Command(command="show me", patterns={"model": r"^Model: (\S+)", "uptime": r"^Up: (.+)$"}),
        Command(
            command="show ports",
            about="interfaces",
            rows=r"^(?P<interface>port\d+) +(?P<status>\w+) +(?P<ip_address>\S*)$",
        ),
        Command(command="show parts", about="inventory", rows=r"^(?P<name>\S+) (?P<sn>\S+)$"),
    )
    body = asked(
        platform,
        {
            "show me": "Model: X1\nUp: 2 days 3 hours\n",
            "show ports": "port1 up 192.0.2.7\nport2 down \n",
            "show parts": "Chassis ABC123\nPSU1 DEF\n",
        },
    )
    assert body["model"] == "X1"
    assert body["uptime_seconds"] == 2 * 86400 + 3 * 3600
    assert [(one["name"], one["link"], one["addresses"]) for one in body["interfaces"]] == [
        ("port1", "up", ["192.0.2.7"]),
        ("port2", "down", []),
    ]
    assert body["serial"] == "ABC123", "of the chassis, as nothing else has told it"


def test_addresses_that_are_told_apart_are_put_to_their_interfaces() -> None:
    platform = made(
        Command(command="ports", about="interfaces", rows=r"^(?P<interface>\S+) (?P<status>\w+)$"),
        Command(command="addresses", about="addresses", rows=r"^(?P<interface>\S+) (?P<ip_address>[\d./]+)$"),
    )
    body = asked(platform, {"ports": "e1 up\n", "addresses": "e1 192.0.2.1/24\ne1 192.0.2.1/24\nlo 127.0.0.1/8\n"})
    assert [(one["name"], one["addresses"]) for one in body["interfaces"]] == [
        ("e1", ["192.0.2.1/24"]),
        ("lo", ["127.0.0.1/8"]),
    ]


def test_records_of_several_lines() -> None:
    ports = Command(
        command="ports",
        about="interfaces",
        record=r"^port \S+$",
        patterns={
            "name": r"^port (\S+)$",
            "link": r"^ is (\S+)",
            "ip_address": r"^ ip (\S+)",
            "netmask": r"^ mask (\S+)",
        },
    )
    text = (
        "junk\n ip 192.0.2.9\nport a\n is Up\n ip 192.0.2.1\n ip 2001:db8::1/64\n mask 255.255.255.128\nport b\n is -\n"
    )
    body = asked(made(ports), {"ports": text + " ip 0.0.0.0\n ip everything\n mask 255.0.255.0\n"})
    assert [(one["name"], one["link"], one["addresses"]) for one in body["interfaces"]] == [
        ("a", "up", ["192.0.2.1/25", "2001:db8::1/64"]),
        ("b", None, []),
    ]


def test_a_device_that_says_too_much_is_cut_short() -> None:
    row = r"^(?P<interface>\S+) (?P<status>\w+)$"
    platform = made(Command(command="ports", about="interfaces", rows=row))
    many = "\n".join(f"port{number} up" for number in range(50_000)) + "\n" + "x" * 1_000_000 + " up"
    body = asked(platform, {"ports": many})
    assert len(body["interfaces"]) == 2000


@given(st.text(max_size=2000), st.sampled_from(sorted(platforms())))
def test_whatever_a_device_says_it_makes_a_document(text: str, name: str) -> None:
    platform = platforms()[name]
    asked(platform, {command.command: text for command in platform.facts})


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("44 weeks, 4 days, 1 hour, 16 minutes", 26961360),
        ("58m18s", 3498),
        ("217 day(s), 3 hour(s), 52 minute(s), 47 second(s)", 18762767),
        ("1w2d3h4m5s", 788645),
        ("12 days, 21:50:05", 1115405),
        ("1 Day, 23 Hours, 32 Minutes, 10 Seconds", 171130),
        ("3 years, 2 weeks", 3 * 31536000 + 2 * 604800),
        ("70,03:16:47", 6059807),
        ("22w0d 19:16", 22 * 604800 + 19 * 3600 + 16 * 60),
        ("325 day - 19 hour - 31 min - 29 sec", 28150289),
        ("12 days 3 hrs 4 mins 5 secs", 1047845),
        ("up and well", None),
        ("", None),
        (None, None),
    ],
)
def test_uptime(told: str | None, seconds: int | None) -> None:
    assert uptime_seconds(told) == seconds


@pytest.mark.parametrize(
    ("told", "iso"),
    [
        ("Fri 20-Oct-23 10:33 by mcpre", "2023-10-20"),
        ("2025-03-11 11:59:04", "2025-03-11"),
        ("Jul 29 2022 - 23:52:55", "2022-07-29"),
        ("Jun/27/2023 09:03:02", "2023-06-27"),
        ("3/5/2025 31:00:00", "2025-03-05"),
        ("1.0.0 Build 20210907 Rel.69162", "2021-09-07"),
        ("v7.4.7,build2731,250120 (GA.M)", "2025-01-20"),
        ("Tue Sep  8 03:51:15 2015", "2015-09-08"),
        ("Tue 21 Dec 2021 16:36 UTC", "2021-12-21"),
        ("2020-11-09T17:02:11+0000", "2020-11-09"),
        ("07/08/19 06:11", "2019-07-08"),
        ("Mon 05-Nov-18 13:32 PST", "2018-11-05"),
        ("31-Feb-23", None),
        ("99/99/9999", None),
        ("never", None),
        (None, None),
    ],
)
def test_the_day_of_the_software(told: str | None, iso: str | None) -> None:
    assert day(told) == iso
