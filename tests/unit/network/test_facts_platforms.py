"""What each platform's answers tell: a sample of each command, and the recorded sessions of real devices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.network.facts_page import PAGE, PARTS, written
from tests.unit.network.recordings import KNOWN, needs_recordings, recording
from tests.unit.network.test_facts import asked

from civicops.network.facts import fields_of
from civicops.network.platform import Command, Platform, platforms

SAMPLES: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("facts.yml").read_text(encoding="utf-8"))
SINGLE = ("model", "serial", "version", "hostname", "uptime_seconds", "software_built")

each = pytest.mark.parametrize("platform", platforms().values(), ids=list(platforms()))
sampled = pytest.mark.parametrize(
    ("name", "command"), [(name, command) for name, samples in SAMPLES.items() for command in samples]
)


def told(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a document says: without what is null or empty in it."""
    found = {field: body[field] for field in SINGLE if body[field] is not None}
    for part in PARTS.values():
        if body[part]:
            found[part] = [
                {field: value for field, value in one.items() if value not in (None, [])} for one in body[part]
            ]
    return found


@sampled
def test_a_sample_tells_this_and_nothing_else(name: str, command: str) -> None:
    sample = SAMPLES[name][command]
    body = asked(platforms()[name], {command: sample["text"]})
    assert told(body) == sample["tells"]
    assert [one for one in body["unanswered"] if one["why"] != "not asked"] == []


@each
def test_each_command_has_a_sample(platform: Platform) -> None:
    commands = {fact.command for fact in platform.facts if fact.about}
    assert set(SAMPLES[platform.id]) == commands


@each
def test_every_field_is_one_that_the_document_takes(platform: Platform) -> None:
    for fact in platform.facts:
        if fact.about:
            named = {*fact.patterns, *(re.compile(fact.rows).groupindex if fact.rows else ())}
            assert named <= fields_of(fact.about), fact.command


@each
def test_what_is_cut_off_makes_no_other_facts(platform: Platform) -> None:
    for command, sample in SAMPLES[platform.id].items():
        lines = sample["text"].split("\n")
        whole = told(asked(platform, {command: sample["text"]}))
        half = told(asked(platform, {command: "\n".join(lines[: len(lines) // 2]) + "\n"}))
        for part, value in half.items():
            if isinstance(value, list):
                for entry, of_all in zip(value, whole.get(part, []), strict=False):
                    assert {field for field in entry if entry[field] != of_all[field]} <= {"addresses"}, command
                assert len(value) <= len(whole.get(part, [])), command
            else:
                assert value == whole[part], command


def test_a_stack_is_put_together_from_several_answers() -> None:
    samples = SAMPLES["cisco_ios"]
    commands = ("show version", "show inventory", "show switch")
    body = asked(platforms()["cisco_ios"], {command: samples[command]["text"] for command in commands})
    assert [tuple(one.values()) for one in body["members"]] == [
        ("1", "WS-C2960X-24PS-L", "FCW00000001", "15.2(7)E4", "Master"),
        ("2", "WS-C2960X-48TS-L", "FCW00000002", "15.2(7)E4", "Member"),
    ]
    assert body["serial"] == "FCW00000001"


def test_addresses_come_to_the_interfaces_of_another_answer() -> None:
    samples = SAMPLES["juniper_junos"]
    commands = ("show interfaces", "show interfaces terse")
    body = asked(platforms()["juniper_junos"], {command: samples[command]["text"] for command in commands})
    assert {one["name"]: one["addresses"] for one in body["interfaces"] if one["addresses"]} == {
        "ge-0/0/0.0": ["192.0.2.1/24", "2001:db8::1/64"],
        "lo0.0": ["127.0.0.1"],
    }


@pytest.mark.parametrize(
    ("name", "command", "text"),
    [
        ("cisco_ios", "show cdp neighbors detail", "% CDP is not enabled\n"),
        ("cisco_ios", "show cdp neighbors detail", "\nTotal cdp entries displayed : 0\n"),
        ("cisco_asa", "show failover", "Failover Off\nFailover unit Secondary\n"),
        ("fortinet", "get system ha status", "HA Health Status: OK\nMode: Standalone\nGroup: 0\n"),
        ("mikrotik_routeros", "/system routerboard print", "  routerboard: no\n"),
        ("paloalto_panos", "show high-availability all", "HA not enabled\n"),
        ("juniper_junos", "show lldp neighbors", "Local Interface    Parent Interface    Chassis Id\n"),
        ("dell_os9", "show lldp neighbors", " Loc PortID  Rem Host Name     Rem Port Id\n"),
    ],
)
def test_that_there_is_nothing_is_an_answer(name: str, command: str, text: str) -> None:
    body = asked(platforms()[name], {command: text})
    assert told(body) == {}
    assert command not in [one["command"] for one in body["unanswered"]]


def test_a_question_for_several_things_is_unanswered_once() -> None:
    platform = platforms()["cisco_ios"]
    assert [fact.about for fact in platform.facts if fact.command == "show environment all"].count("temperature") == 2
    body = asked(platform, {"show environment all": "gibberish"}, {"show version": "% no"})
    told_of = [one["command"] for one in body["unanswered"]]
    assert told_of.count("show environment all") == told_of.count("show version") == 1


def test_what_is_asked_for_git_alone_tells_nothing() -> None:
    command = Command(command="show vtp status", about=None, shown=True)
    platform = platforms()["cisco_ios"].model_copy(update={"facts": (command,)})
    body = asked(platform, {"show vtp status": "VTP version running : 1\n"})
    assert told(body) == {}
    assert body["unanswered"] == []


RECORDED: dict[str, tuple[str | int | None, ...]] = {
    "aoscx_6100-48G_PL.10.10.1090": (
        "JL675A 6100 48G CL4 4SFP+ Swch", "CN25000000", "PL.10.10.1090", "TEST-SW1235", 29196960, "2023-10-03",
    ),
    "arubainstant_IAP515_8.10.0.6_VWLC": ("515", "CNQHAAAAAM", "8.10.0.6", None, 232346, "2023-02-14"),
    "fortigate_FortiGate-91G_7.4.7": (
        "FortiGate-91G", "FGT91GTK00000000", "v7.4.7", "TEST-FW1234", None, "2025-01-20",
    ),
    "ios_C9200L-24P-4G_17.09.04a": (
        "C9200L-24P-4G", "JAE24FFFFFF", "17.9.4a", "LAB-SW123_9200L", 26961360, "2023-10-20",
    ),
    "junos_srx300_22.4": ("srx300", "AA0000AA0000", "22.4R3-S2.11", None, None, None),
    "netgear_GS752TPP_6.0.10.14": ("GS752TPP", "0XX000XXX000X", "6.0.10.14", "19sw011", 10705805, "2022-07-29"),
    "nxos_C93180YC-FX3J_10.4.5": ("C93180YC-FX3H", "FDO20000000", "10.4(5)", "TEST-12345", 18762767, "2025-03-05"),
    "routeros_CHR_7.10.1": ("CHR", None, "7.10.1", None, 3498, "2023-06-27"),
    "routeros_RB5009UPr-S-_7.18.2": ("RB5009UPr+S+", None, "7.18.2", None, 11154, "2025-03-11"),
    "tplink_DS-P7001-08_1.0.0": (
        "DS-P7001-08 1.0", "SNREMOVED", "1.0.0", "RT_02-TPLink_OLT", 28150289, "2021-09-07",
    ),
}  # fmt: skip
PARTS_RECORDED: dict[str, dict[str, list[str | None]]] = {
    "aoscx_6100-48G_PL.10.10.1090": {"modules": ["CN25000000", "CN21000000"]},
    "arubainstant_IAP515_8.10.0.6_VWLC": {
        "members": ["CNQHAAAAAM", "CNQHAAAABM", "CNK9AAAAAN", "CNQHAAAAAW", "CNH6AAAAA6"]
    },
    "fortigate_FortiGate-91G_7.4.7": {"modules": ["NB00000"], "power": [None, None]},
    "ios_C9200L-24P-4G_17.09.04a": {
        "members": ["JAE24FFFFFF"],
        "modules": ["JAE24FFFFFF", "JAE24FFFFFF", "QCS24XXXXXX"],
    },
    "junos_srx300_22.4": {
        "members": [None, None],
        "modules": ["AA0000AA0000", "AA0000AA0000", None, None, "S2001411089"],
    },
    "nxos_C93180YC-FX3J_10.4.5": {
        "modules": ["FDO20000000"] * 3 + ["LIT20000001", "LIT20000002"] + [None] * 4 + ["ACW20000001", "ACW20000002"]
    },
}


@needs_recordings
@pytest.mark.parametrize("name", KNOWN)
def test_a_real_device_tells_what_it_is(name: str) -> None:
    one = recording(name)
    body = asked(one.platform, dict(one.answers))
    assert tuple(body[field] for field in SINGLE) == RECORDED[name]
    serials = {
        part: [entry["serial"] for entry in body[part]] for part in ("members", "modules", "power") if body[part]
    }
    assert serials == PARTS_RECORDED.get(name, {})
    assert {entry["why"] for entry in body["unanswered"]} <= {"not asked"}


def test_the_page_is_made_from_the_samples() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert written(text) == text, "python -m tests.unit.network.facts_page makes it anew"
