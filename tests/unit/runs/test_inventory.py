"""A town's groups: as Ansible has read them for the run, and not asked for again by whoever reports on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.towns import MakeTown

from civicops.runs import inventory
from civicops.runs.groups import note_groups, noted_groups
from civicops.runs.inventory import groups_of_run
from civicops.state import TownState
from civicops.town import Town

RUN = "20261201T020000Z-checkup-abcdef"
NOTED = {"all": ["pc1", "pc2"], "police": ["pc2"]}
VARIABLES = {"ansible_connection": "local", "ansible_python_interpreter": "/bin/false"}
LISTED = {"all": {"hosts": ["pc1"]}, "_meta": {"hostvars": {"pc1": VARIABLES}}}
SCRIPT = """#!/bin/sh
echo asked >> {counter}
echo '{listed}'
"""


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    return make_town("oak")


@pytest.fixture
def state(tmp_path: Path) -> TownState:
    return TownState("oak", tmp_path / "state")


def test_what_the_run_has_noted_is_not_read_again(
    town: Town, state: TownState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "read_groups", lambda *_: pytest.fail("read again"))
    state.run_directory(RUN)
    note_groups(state, RUN, NOTED)
    assert groups_of_run(town, state, RUN) == NOTED


@pytest.mark.parametrize("content", [None, b"", b'{"all": ["pc'])
def test_what_was_not_noted_is_read(
    town: Town, state: TownState, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.setattr(inventory, "read_groups", lambda *_: {"all": ["pc3"]})
    if content is not None:
        (state.run_directory(RUN) / "groups.json").write_bytes(content)
    assert groups_of_run(town, state, RUN) == {"all": ["pc3"]}


def test_a_run_that_civicops_did_not_begin_gets_no_directory(state: TownState) -> None:
    note_groups(state, RUN, NOTED)
    assert noted_groups(state, RUN) is None
    assert not (state.root / "runs" / RUN).exists()


def test_an_inventory_that_asks_a_service_is_asked_once_in_a_checkup(town: Town, tmp_path: Path) -> None:
    (town.directory / "hosts.yml").unlink()
    counter, script = tmp_path / "asked", town.directory / "service.sh"
    script.write_text(SCRIPT.format(counter=counter, listed=json.dumps(LISTED)))
    script.chmod(0o755)
    done = subprocess.run(
        [Path(sys.executable).with_name("civicops"), "checkup", "oak"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "CIVICOPS_INVENTORIES": str(town.directory.parent),
            "CIVICOPS_STATE": str(tmp_path / "state"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1, done.stderr
    assert "Report: " in done.stdout
    assert counter.read_text() == "asked\n"
