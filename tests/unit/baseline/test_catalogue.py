"""The catalogue of the hardening baseline: data that its schemas, the types and the benchmark's sections must fit."""

from __future__ import annotations

import csv
import json
import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from ansible_collections.civicops.town.plugins.module_utils._baseline.model import Params
from ansible_collections.civicops.town.plugins.module_utils._baseline.registry import TYPES
from ansible_collections.civicops.town.plugins.plugin_utils import catalogue as plugin

from civicops.assess.catalogue import read
from civicops.assess.catalogue_json import catalogue_json

ROOT = Path(__file__).parents[3]
FILES = ROOT / "roles/baseline/files"
CONTROLS = sorted((FILES / "controls").glob("*.yml"))
SECTIONS = Path(os.environ.get("CIVICOPS_TEST_DATA", ROOT.parent / "shared/data")) / "cis-debian12-sections.csv"

ROLES = ("server", "workstation", "dispatch", "kiosk", "database", "container_host")
FAMILIES = ("debian", "rhel")
KNOWN_TYPES = {
    "access_list", "account", "apparmor", "apt_setting", "audit_rule", "banner", "boot_parameter", "boot_password",
    "certificate", "crypto_policy", "file", "file_absent", "file_content", "firewall", "home", "kernel_module",
    "limits", "log_files", "mount_option", "package", "pam_module", "partition", "root_path", "service", "setting",
    "ssh_client", "ssh_host_keys", "ssh_moduli", "sshd", "sudo_default", "sudo_rule", "sweep", "sysctl",
    "systemd_setting", "time_sync", "umask_default",
}  # fmt: skip
# Params that the engine takes before the type sees them
ENGINE = {"mend", "needs_package", "unless_package", "machine_only"}
WANTED = {"value", "op", "set", "owner", "group", "text", "content", "mend", "state"}  # not what, but how
LIMIT = 40 * 1024  # bytes that a host gets
DEFAULT_PROFILES = [
    "town-minimum",
    "cis-l1-server",
    "cis-l2-server",
    "cjis",
    "dispatch",
    "workstation",
    "strict",
    "strictest",
]

needs_sections = pytest.mark.skipif(
    not SECTIONS.exists(), reason="needs cis-debian12-sections.csv (CIVICOPS_TEST_DATA)"
)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def schema(name: str) -> Any:
    return json.loads((FILES / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))


@cache
def catalogue() -> list[dict[str, Any]]:
    """Every control, with its file's tags."""
    found = []
    for path in CONTROLS:
        subject = load(path)
        found += [{**control, "tags": [*subject["tags"], *control["tags"]]} for control in subject["controls"]]
    return found


@cache
def profiles() -> dict[str, dict[str, Any]]:
    return {profile["id"]: profile for profile in load(FILES / "profiles.yml")["profiles"]}


def chosen(profile: str, role: str, family: str) -> list[dict[str, Any]]:
    """What a host of this role and family gets, params of the family merged in."""
    include, exclude = (set(profiles()[profile][which]) for which in ("include", "exclude"))
    return [
        {"id": control["id"], "type": control["type"], "params": {**control["params"], **control.get(family, {})}}
        for control in catalogue()
        if include & set(control["tags"])
        and not exclude & set(control["tags"])
        and role in control.get("roles", ROLES)
        and family in control.get("families", FAMILIES)
    ]


def covered() -> set[str]:
    """Sections of the benchmark that a control of a default profile is for."""
    return {
        section
        for control in catalogue()
        if "score-only" not in control["tags"]
        for section in control["ids"].get("cis_debian12", [])
    }


@cache
def sections() -> dict[str, dict[str, str]]:
    with SECTIONS.open(encoding="utf-8", newline="") as file:
        return {row["cis"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("path", CONTROLS, ids=lambda path: path.stem)
def test_a_file_of_controls_keeps_its_schema(path: Path) -> None:
    problems = jsonschema_rs.Draft202012Validator(schema("control")).iter_errors(load(path))
    assert [f"{'/'.join(map(str, one.instance_path))}: {one.message}" for one in problems] == []


def test_profiles_keep_their_schema() -> None:
    problems = jsonschema_rs.Draft202012Validator(schema("profiles")).iter_errors(load(FILES / "profiles.yml"))
    assert [one.message for one in problems] == []


def test_there_are_at_least_180_controls_of_different_names() -> None:
    names = [control["id"] for control in catalogue()]
    assert sorted(names) == sorted(set(names))
    assert len(names) >= 180


def test_no_two_controls_have_the_same_title() -> None:
    titles = [control["title"] for control in catalogue()]
    assert [title for title in titles if titles.count(title) > 1] == []


def test_each_type_is_one_that_there_is() -> None:
    assert {control["type"] for control in catalogue()} <= KNOWN_TYPES
    assert set(TYPES) <= KNOWN_TYPES


@pytest.mark.skipif(not TYPES, reason="no type is registered yet")
@pytest.mark.parametrize("family", FAMILIES)
def test_each_type_takes_the_params_of_its_controls(family: str) -> None:
    for control in catalogue():
        if family in control.get("families", FAMILIES) and control["type"] in TYPES:
            given = {**control["params"], **control.get(family, {})}
            params = Params({name: value for name, value in given.items() if name not in ENGINE})
            TYPES[control["type"]](params)


@pytest.mark.parametrize("profile", profiles())
def test_a_profile_selects_something_by_tags_that_exist(profile: str) -> None:
    tags = {tag for control in catalogue() for tag in control["tags"]}
    assert {*profiles()[profile]["include"], *profiles()[profile]["exclude"]} <= tags
    assert chosen(profile, "server", "debian")
    assert chosen(profile, "server", "rhel")


def test_each_control_is_in_a_profile() -> None:
    selected = {
        control["id"] for profile in profiles() for role in ROLES for family in FAMILIES
        for control in chosen(profile, role, family)
    }  # fmt: skip
    assert {control["id"] for control in catalogue()} - selected == set()


def test_what_is_there_for_a_score_is_in_no_default_profile() -> None:
    scores = {control["id"] for control in catalogue() if "score-only" in control["tags"]}
    assert scores
    assert [name for name, profile in profiles().items() if not profile.get("for_a_score")] == DEFAULT_PROFILES
    for profile in DEFAULT_PROFILES:
        for role in ROLES:
            for family in FAMILIES:
                assert not scores & {control["id"] for control in chosen(profile, role, family)}


def test_a_dispatch_console_never_locks_or_logs_out() -> None:
    sessions = {control["id"] for control in catalogue() if "session" in control["tags"]}
    assert {"session-timeout", "desktop-lock", "desktop-lock-fixed"} <= sessions
    for profile in profiles():
        for family in FAMILIES:
            assert not sessions & {control["id"] for control in chosen(profile, "dispatch", family)}, profile
    assert not sessions & {control["id"] for control in chosen("dispatch", "server", "debian")}


def test_a_container_host_forwards_packets() -> None:
    for profile in profiles():
        keys = {control["params"].get("key", "") for control in chosen(profile, "container_host", "debian")}
        assert not keys & {"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"}, profile


@pytest.mark.parametrize("profile", profiles())
def test_no_two_controls_of_a_profile_set_the_same_thing(profile: str) -> None:
    for role in ROLES:
        for family in FAMILIES:
            seen: dict[str, str] = {}
            for control in chosen(profile, role, family):
                what = {name: value for name, value in control["params"].items() if name not in WANTED}
                target = json.dumps([control["type"], what], sort_keys=True)
                assert target not in seen, f"{control['id']} and {seen[target]}"
                seen[target] = control["id"]


def test_the_largest_profile_is_small_enough_for_every_host(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {}
    for profile in profiles():
        texts = {
            json.dumps(entries, separators=(",", ":")): len(entries)
            for role in ROLES for family in FAMILIES if (entries := chosen(profile, role, family))
        }  # fmt: skip
        largest = max(texts, key=len)
        sizes[profile] = (len(largest), texts[largest])
    with capsys.disabled():
        print("".join(f"\n  {name}: {count} controls, {size} bytes" for name, (size, count) in sizes.items()))
    # The limit is for a benchmark of 180 controls; what has more may be larger in proportion.
    assert all(size <= LIMIT * max(1.0, count / 180) for size, count in sizes.values())


@needs_sections
def test_sections_and_their_levels_are_the_benchmarks() -> None:
    for control in catalogue():
        own = control["ids"].get("cis_debian12", [])
        assert set(own) <= set(sections()), control["id"]
        if "score-only" not in control["tags"]:
            level = min((sections()[section]["level"] for section in own), default="")
            assert ("cis-l1" in control["tags"], "cis-l2" in control["tags"]) == (level == "1", level == "2"), control[
                "id"
            ]


@needs_sections
def test_each_automated_section_of_level_1_is_covered_or_said_not_to_be() -> None:
    wanted = {name for name, row in sections().items() if row["level"] == "1" and row["assess"] != "manual"}
    reasons = {name: entry["reason"] for entry in load(FILES / "not_covered.yml")["sections"] for name in entry["cis"]}
    assert wanted - covered() == set(reasons)
    assert all(len(reason) > 20 for reason in reasons.values())


def test_it_lies_beside_as_json_by_make_docs() -> None:
    assert (FILES / "catalogue.json").read_text(encoding="utf-8") == catalogue_json(FILES), "make docs"
    told = json.loads((FILES / "catalogue.json").read_bytes())
    assert told["controls"] == [load(path) for path in CONTROLS]
    assert told["profiles"] == load(FILES / "profiles.yml")


@pytest.mark.parametrize("broken", ["edited", "gone", "cut off"])
def test_files_that_were_changed_by_hand_are_read_and_not_the_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    shutil.copytree(FILES, tmp_path / "files")
    kept = tmp_path / "files/catalogue.json"
    if broken == "edited":
        file = tmp_path / "files/controls/banners.yml"
        file.write_text(file.read_text().replace("- id: ", "- id: our-", 1))
    elif broken == "gone":
        kept.unlink()
    else:
        kept.write_text(kept.read_text()[:1000])
    monkeypatch.setattr(plugin, "FOLDER", tmp_path / "files")
    monkeypatch.setattr(plugin, "JSON", kept)
    by_plugin, by_assessment = plugin.shipped.__wrapped__(), read(tmp_path / "files/controls")
    ids = {one["id"] for path in sorted((tmp_path / "files/controls").glob("*.yml")) for one in load(path)["controls"]}
    assert set(by_plugin.controls) == set(by_assessment.controls) == ids
    assert by_plugin.sha256 == by_assessment.sha256
    assert any(name.startswith("our-") for name in ids) == (broken == "edited")


def test_rows_are_the_same_whether_they_were_made_before() -> None:
    chosen = plugin.shipped().chosen("strictest", "server", (), "high")
    waived = [chosen[3]["id"]]
    made = [plugin._row(one, waived=one["id"] in waived) for one in chosen]
    assert json.loads(plugin.rows(chosen, waived)) == [json.loads(one) for one in made]
    own = {**chosen[0], "params": {"mine": 1}}
    assert json.loads(plugin.rows([own], ()))[0][2] == {"mine": 1}
