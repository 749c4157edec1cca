"""Platforms as data: each file says all that it has to, changes no device, and takes time by the size of a line."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ntc_templates
import pytest
import yaml
from netmiko.ssh_dispatcher import CLASS_MAPPER
from tests.unit.network.recordings import KNOWN, ROOT

from civicops.network import common, config, redact
from civicops.network.platform import Absent, Platform, PlatformError, _read, find, platforms

ALL = list(platforms().values())
WANTED = (
    "cisco_ios cisco_s300 cisco_nxos cisco_asa aruba_procurve aruba_aoscx aruba_os hp_comware juniper_junos fortinet "
    "mikrotik_routeros ubiquiti_edgeswitch ubiquiti_edgerouter netgear_prosafe sonicwall vyos frr paloalto_panos "
    "dell_os6 dell_os9 dell_os10 tplink_jetstream"
)
TEMPLATES = {path.name for path in (Path(ntc_templates.__file__).parent / "templates").iterdir()}
# What only shows. `cat` and `more` of one named file; nothing of a device's is set but the session's own pager.
READS = re.compile(
    r"(show|display) [\w /|.-]+|get (system|hardware) [\w ]+|diagnose hardware deviceinfo psu"
    r"|more system:running-config|cat /config/config\.boot"
    r"|/export( show-sensitive)?|/[\w /-]+ print( detail)?( without-paging)?"
)
# What needs no recording: tests/hosts/test_network.py asks it itself.
LIVE = {"frr": ["FRR 8.4 itself"]}
SESSION = {"no cli pager session"}

each = pytest.mark.parametrize("platform", ALL, ids=[platform.id for platform in ALL])


def test_all_that_were_asked_for_are_there() -> None:
    assert sorted(platforms()) == sorted(WANTED.split())


@each
def test_it_says_all_that_it_has_to(platform: Platform) -> None:
    assert platform.driver == "generic" or platform.driver in CLASS_MAPPER
    assert len(platform.restore.split()) > 25
    assert "`" in platform.restore
    assert platform.running.begins
    assert platform.secrets
    assert platform.significant
    assert platform.section is None or "name" in re.compile(platform.section).groupindex
    assert any(fact.about == "system" and fact.shown for fact in platform.facts)
    for rule in (*platform.secrets, *platform.unstable, *(rule for scope in platform.scopes for rule in scope.secrets)):
        assert "secret" in re.compile(rule).groupindex


@each
def test_no_command_changes_the_device(platform: Platform) -> None:
    asked = [platform.running.command, *platform.running.otherwise, *(fact.command for fact in platform.facts)]
    asked += [platform.startup.command] if platform.startup else []
    assert [command for command in asked if not READS.fullmatch(command)] == []
    assert set(platform.prepare) <= SESSION


@each
def test_each_answer_can_be_read(platform: Platform) -> None:
    for fact in platform.facts:
        name = (fact.template or fact.command).replace("/", "").replace(" ", "_")
        known = f"{platform.templates}_{name}.textfsm" in TEMPLATES
        if fact.about is None:
            assert fact.shown
            assert not (fact.patterns or fact.rows or fact.record)
        else:
            assert known or fact.patterns or fact.rows, fact.command
        assert not (fact.rows and fact.patterns), f"{fact.command}: one of rows and patterns"
        assert fact.patterns or not fact.record
        assert fact.about == "system" or fact.record or not fact.patterns, f"{fact.command}: a table of one row"
        assert all(re.compile(pattern).groups for pattern in fact.patterns.values())


@each
def test_it_is_tested_where_a_recording_is(platform: Platform) -> None:
    recorded = [one["device"] for one in KNOWN.values() if one["platform"] == platform.id]
    recorded += LIVE.get(platform.id, [])
    assert list(platform.recordings) == recorded
    assert platform.tested == bool(recorded)


def test_no_name_means_two() -> None:
    names = [name for platform in ALL for name in (platform.id, *platform.aliases)]
    assert len(names) == len(set(names))


def test_every_kind_in_fairview_is_known() -> None:
    files = (ROOT / "inventories/fairview/group_vars").glob("*.yml")
    named: list[Any] = [
        (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("netmiko_platform") for path in files
    ]
    assert sorted(find(name)[0].id for name in named if name) == ["aruba_os", "aruba_procurve", "fortinet"]


def test_telnet_is_told_by_the_name() -> None:
    assert find("cisco_ios_telnet") == (platforms()["cisco_ios"], True)
    assert find("hp_procurve") == (platforms()["aruba_procurve"], False)
    with pytest.raises(PlatformError, match="'vax' is none that is known here; there are: aruba_aoscx, "):
        find("vax")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("title: [", "while parsing"),
        ("- a", "mapping"),
        ("title: X", "vendor: Field required"),
        ("title: X\nsecrets: ['(']", "no regular expression"),
        ("title: X\nsecret: ['a']", "secret: Extra inputs"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "odd.yml"
    path.write_text(text)
    with pytest.raises(PlatformError) as caught:
        _read(path)
    assert str(caught.value).startswith("odd.yml: ")
    assert why in str(caught.value) or why.startswith(("vendor", "no reg", "secret"))


def expressions(platform: Platform) -> Iterator[str]:
    """All of a platform's that see what the device says."""
    yield platform.refused
    for one in (platform.pager, platform.section, platform.section_ends, platform.continues):
        yield from [one] if one else []
    for part in (platform.running, platform.startup):
        yield from [one for one in (part.begins, part.ends) if one] if part else []
    for fact in platform.facts:
        yield from (*fact.keep, *fact.drop)
    yield from (*platform.secrets, *platform.unstable, *platform.volatile, *platform.significant.values())
    for block in (*platform.blocks, *platform.unstable_blocks, *platform.volatile_blocks):
        yield from (block.begins, block.ends)
    for scope in platform.scopes:
        yield from (scope.begins, scope.ends, *scope.secrets)
    for sign in platform.signs.values():
        yield from [sign.absent if isinstance(sign, Absent) else sign] if sign else []


def of_answers(platform: Platform) -> Iterator[str]:
    """All of a platform's that see a whole answer at once."""
    for fact in platform.facts:
        yield from (*fact.patterns.values(), fact.none, *(one for one in (fact.rows, fact.record) if one))


SIZE = 64 * 1024


def words(expression: str) -> list[str]:
    plain = re.sub(r"\\[a-zA-Z]|\(\?P<\w+>|\(\?i\)|\[[^\]]*\]", " ", expression)
    return list(dict.fromkeys(re.findall(r"[A-Za-z][\w-]{2,}", plain)))[:5]


def hostile(expression: str) -> Iterator[str]:
    """Lines that make a careless expression try again and again: its own words, and what its parts can be."""
    own = words(expression)
    for part in ("a", " ", "1 ", '"a ', "\\", "a-", "$1$", "://a:", "a=", "{ ", *(f"{word} " for word in own), *own):
        yield part * (SIZE // len(part))
    for word in own[:3]:
        yield word + " " * SIZE
        yield f"{word} " + "a 1 " * (SIZE // 4)
    yield " ".join([*own, "x" * SIZE])


def in_time(expression: re.Pattern[str], line: str, seconds: float = 3) -> None:
    """Searches; the alarm counts the processor's seconds of this process, so a busy machine does not matter."""

    def too_long(*_: object) -> None:
        raise AssertionError(f"{expression.pattern!r} takes too long for {line[:60]!r}...")

    before = signal.signal(signal.SIGVTALRM, too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)  # a few milliseconds do; what goes by the square needs 20 s
    try:
        for _ in expression.finditer(line):
            pass
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


# Of a whole answer: what goes by the square shows in a part too.
PART = 1 if os.environ.get("CIVICOPS_LONG") else 0.4


def hostile_answers(expression: str) -> Iterator[str]:
    """The same for many lines, each as long as it may be: with them, what runs over their ends is seen too."""
    lines, width = int(400 * PART), 400
    for part in ("\n", " \n", "a\n", "1 a\n", *(f"{word}\n" for word in words(expression))):
        yield part * 20_000
    for part in (*hostile(expression), "1  ", "1/1 ", "a  1.1.1.1  ", "1:1:", "up  ", "1.1.1.1/1 ", "aa:", ". "):
        line = (part if len(part) > width else part * width)[:width]
        yield f"{line}\n" * lines
        yield f"1/1  {line}"[:width] + "\n" + f" {line}\n" * lines


@each
def test_no_answer_keeps_an_expression_busy(platform: Platform) -> None:
    for expression in dict.fromkeys(of_answers(platform)):
        for answer in hostile_answers(expression):
            in_time(re.compile(expression, re.MULTILINE), answer, seconds=1)


@each
def test_no_line_keeps_an_expression_busy(platform: Platform) -> None:
    for expression in dict.fromkeys(expressions(platform)):
        for line in hostile(expression):
            in_time(re.compile(expression), line)


def test_no_line_keeps_the_common_rules_busy() -> None:
    for expression in (*common._COMMON, common._ENC, common._URL, common.HINT, redact._ATOM, config._PAGER):
        for line in hostile(expression.pattern):
            in_time(expression, line)


def test_an_answer_of_blank_lines_is_hostile() -> None:
    with pytest.raises(AssertionError, match="takes too long"):
        for answer in hostile_answers(r"^\s*Member"):
            in_time(re.compile(r"^\s*Member", re.MULTILINE), answer, seconds=0.2)


def test_the_alarm_wakes() -> None:
    with pytest.raises(AssertionError, match="takes too long"):
        in_time(re.compile(r"(a|a)*b"), "a" * 64)
