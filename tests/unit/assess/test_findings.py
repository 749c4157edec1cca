"""Findings as a whole: they are found by their folder, say something of every host, and call nothing fine unseen."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.assess.estates import NOW, estate, facts, host
from tests.unit.backups import CONFIG
from tests.unit.schema_bodies import MARKUP, SCHEMAS, STEERING, bodies

from civicops.assess.catalogue import SEVERITIES
from civicops.assess.devices import device
from civicops.assess.facts import Facts
from civicops.assess.finding import STATES, Told
from civicops.assess.findings import findings, look
from civicops.assess.host_finding import HostFinding, unread
from civicops.ledger.bounds import out_of_bounds
from civicops.ledger.documents import check_body
from civicops.text import printable

HOST_FINDINGS = [one for one in findings() if isinstance(one, HostFinding)]
FRAMEWORK = re.compile(r"CIS v8 [0-9]+\.[0-9]+|(NIST 800-53|CJIS) [A-Z]{2}-[0-9]+(\([0-9]+\))?")


def test_each_finding_is_whole_and_has_an_id_of_its_own() -> None:
    assert len({one.id for one in findings()}) == len(findings()) > 30
    for one in findings():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one.id)
        assert one.title and not one.title.endswith(".")
        assert one.remedy.endswith(".")
        assert one.severity in SEVERITIES and one.effort in ("low", "medium", "high")
        assert one.frameworks and all(FRAMEWORK.fullmatch(name) for name in one.frameworks), one.frameworks


def test_a_file_in_the_folder_is_all_that_a_finding_takes() -> None:
    import civicops.assess.findings as folder

    files = {path.stem for path in Path(folder.__path__[0]).glob("*.py")} - {"__init__"}
    assert files == {type(one).__module__.rpartition(".")[2] for one in findings()}


def test_a_host_that_is_as_it_should_be_has_nothing_found() -> None:
    told = look(estate(host(facts())))
    assert [one for one in told if one.state == "found"] == []
    # Without feeds and a day of purchase that much is not known, and nothing else.
    assert {one.id for one in told if one.state == "unknown"} == {"hardware-age"}
    assert {one.id for one in told} >= {one.id for one in HOST_FINDINGS if one.id != "hardware-warranty"}


def test_hosts_without_facts_are_told_once() -> None:
    silent = host(None, "silent", missed="unreachable: no route")
    strange = host(None, "strange", asked=False)
    told = look(estate(silent, strange))
    assert [(one.id, one.about, one.state) for one in told] == [
        ("host-not-seen", ("silent",), "found"),
        ("host-not-seen", ("strange",), "unknown"),
    ]


def test_what_is_worst_comes_first() -> None:
    users = [{"name": "guest", "uid": 1001, "power_groups": [], "password": {"state": "empty"}}]
    told = look(estate(host(facts({"users": users})), host(facts(), "web2")))
    assert (told[0].id, told[0].state) == ("account-no-password", "found")
    assert told == sorted(told, key=lambda one: one.rank)


def test_what_was_fine_is_not_known_any_more_once_it_is_old_and_what_was_bad_stays() -> None:
    telnet = {
        "columns": list(facts()["sockets"]["columns"]),
        "rows": [["tcp", "::", 23, "all", None, None, "root", None]],
    }
    told = look(estate(host(facts({"sockets": telnet}), age=timedelta(days=36))))
    assert {one.state for one in told} == {"found", "unknown"}
    assert "exposed-telnet" in {one.id for one in told if one.state == "found"}


@pytest.mark.parametrize("finding", HOST_FINDINGS, ids=lambda finding: str(finding.id))
def test_nothing_is_fine_where_a_part_of_it_was_not_read(finding: HostFinding) -> None:
    for item in finding.reads:
        body = facts(None, (item, "truncated: \x1b[2J half of it"))
        told = [one for one in look(estate(host(body))) if one.id.startswith(finding.id)]
        assert told and all(one.state == "unknown" for one in told), item
        assert all("\x1b" not in one.evidence for one in told)


@pytest.mark.parametrize("finding", HOST_FINDINGS, ids=lambda finding: str(finding.id))
def test_nothing_is_fine_on_a_host_that_could_tell_nothing(finding: HostFinding) -> None:
    body = {"host_time": None, "seen_as_root": False, "unread": [{"item": "identity", "reason": "OSError: gone"}]}
    check_body("host-facts", 1, body)
    told = [one for one in look(estate(host(body))) if one.id.startswith(finding.id)]
    assert {one.state for one in told} == {"unknown"}


@pytest.mark.parametrize(
    ("name", "item"), [("exposed", "sockets"), ("remote-control", "packages"), ("exposed", "unread")]
)
def test_where_one_is_found_and_not_all_was_read_others_are_not_known(name: str, item: str) -> None:
    body = facts({}, (item, "truncated: only 10000 of 20000 items kept"))
    body["sockets"]["rows"].append(["tcp", "::", 23, "all", None, None, "root", None])
    body["packages"]["rows"].append(["teamviewer", "15.0", "amd64", None, None, None, None, ""])
    told = {one.id: one.state for one in look(estate(host(body))) if one.id.startswith(name)}
    assert len(told) == 2 and told.pop(name) == "unknown" and set(told.values()) == {"found"}
    told = {one.id: one.state for one in look(estate(host(body | {"unread": []}))) if one.id.startswith(name)}
    assert set(told.values()) == {"found"} and name not in told


def holey(body: dict[str, Any], gone: frozenset[str]) -> dict[str, Any]:
    """A good host's facts of which some are not there, and others are what a schema lets in."""
    good = facts()
    return {key: value for key, value in {**good, **body}.items() if key not in gone or key in ("unread", "host_time")}


KEYS = [key for key in facts() if key not in ("host_time", "unread", "seen_as_root")]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=bodies(SCHEMAS["host-facts"]), gone=st.frozensets(st.sampled_from(KEYS), max_size=4))
def test_whatever_the_schema_lets_in_every_finding_says_something_and_nothing_unseen_is_fine(
    body: dict[str, Any], gone: frozenset[str]
) -> None:
    document = holey(body, gone)
    if out_of_bounds(document):
        return
    told = look(estate(host(document)))
    known = Facts(document, NOW.isoformat())
    for finding in HOST_FINDINGS:
        said = [one for one in told if one.id == finding.id or one.id.startswith(f"{finding.id}-")]
        assert bool(said) is finding.applies(known), finding.id
        if any(finding.matters(*entry) for entry in unread(known, *finding.reads)):
            assert all(one.state != "fine" for one in said), finding.id
    for one in told:
        assert one.state in STATES and one.severity in SEVERITIES
        assert one.evidence == printable(one.evidence, 700), one


SIGNS = {"telnet": True, "http": True, "https": True, "default_community": True, "time": False, "log": False}
OFTEN = {"device-telnet", "device-http", "device-default-community", "device-no-time", "device-no-log"}
NAMES = OFTEN | {"device-unsaved", "device-no-backup"}


def of_device(age: timedelta = timedelta(hours=1), **changed: Any) -> dict[str, tuple[str, str]]:
    body = CONFIG | changed
    check_body("device-config", 1, body)
    there = {"sw1": device("sw1", Told(body, NOW - age), None, NOW)}
    told = look(estate(devices=there))
    assert {(one.kind, one.about) for one in told} == {("device", ("sw1",))}
    return {one.id: (one.state, one.evidence) for one in told if one.id in NAMES}


def test_network_devices_have_a_finding_for_each_sign() -> None:
    good = {"telnet": False, "http": False, "https": True, "default_community": False, "time": True, "log": True}
    assert {name: state for name, (state, _) in of_device(signs=good).items()} == dict.fromkeys(NAMES, "fine")
    bad = of_device(signs=SIGNS, unsaved=True)
    assert {name for name, (state, _) in bad.items() if state == "found"} == NAMES - {"device-no-backup"}
    over_telnet = of_device(signs=good, transport="telnet")
    assert {name for name, (state, _) in over_telnet.items() if state == "found"} == {"device-telnet"}


def test_what_a_device_does_not_tell_is_not_known_and_hostile_reasons_stay_text() -> None:
    untold = {"signs": dict.fromkeys(CONFIG["signs"]), "unsaved": None}
    told = of_device(**untold)
    assert {name for name, (state, _) in told.items() if state == "unknown"} == NAMES - {"device-no-backup"}
    reason = f"{MARKUP}{STEERING[:40]}"[:500]
    refused = of_device(**untold, outcome="refused", reason=reason, whole_at=None, sha256=None, commit=None)
    assert refused["device-no-backup"][0] == "found"
    assert "its configuration was refused" in refused["device-telnet"][1]
    assert all(text == printable(text, 700) for _, text in refused.values())


def test_a_devices_good_news_grows_old_and_its_bad_news_stays() -> None:
    old = of_device(timedelta(days=36), signs=SIGNS, unsaved=False)
    assert {name for name, (state, _) in old.items() if state == "found"} >= OFTEN
    assert old["device-unsaved"][0] == "unknown"
