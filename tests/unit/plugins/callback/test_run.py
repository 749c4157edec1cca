"""Which town and which run a playbook belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible import context
from ansible.errors import AnsibleError
from ansible.utils.context_objects import CLIArgs
from ansible_collections.civicops.town.plugins.callback import run


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CIVICOPS_TOWN", "CIVICOPS_RUN", "AWX_HOST", "JOB_ID"):
        monkeypatch.delenv(name, raising=False)


def make_town(folder: Path, name: str) -> Path:
    path = folder / name / "group_vars" / "all"
    path.mkdir(parents=True)
    (path / "town.yml").write_text("town: {}\n")
    return folder / name


def given(monkeypatch: pytest.MonkeyPatch, *inventories: Path | str) -> None:
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({"inventory": tuple(map(str, inventories))}))


def test_the_town_is_the_inventory_directory_or_that_of_the_inventory_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = make_town(tmp_path, "riverton")
    for inventory in (town, town / "hosts.yml", f"{town}/"):
        given(monkeypatch, inventory)
        assert run._town()[0] == "riverton"


def test_a_list_of_hosts_is_no_town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, "web1,web2,", tmp_path)
    assert run._town() == (None, None)


def test_awx_names_the_town_since_its_inventory_lies_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, tmp_path / "inventory" / "hosts")
    monkeypatch.setenv("CIVICOPS_TOWN", "riverton")
    assert run._town()[0] == "riverton"


def test_two_towns_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, make_town(tmp_path, "riverton"), make_town(tmp_path, "beeville"))
    with pytest.raises(AnsibleError, match="beeville, riverton"):
        run._town()
    given(monkeypatch, tmp_path / "riverton")
    monkeypatch.setenv("CIVICOPS_TOWN", "beeville")
    with pytest.raises(AnsibleError, match="beeville, riverton"):
        run._town()


def test_a_runs_id_is_the_given_one_else_awxs_job_else_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    own = run._run_id()
    assert own.endswith("Z-" + own.rpartition("-")[2])
    monkeypatch.setenv("AWX_HOST", "https://awx.example")
    monkeypatch.setenv("JOB_ID", "4711")
    assert run._run_id() == "awx-4711"
    monkeypatch.setenv("CIVICOPS_RUN", "r1")
    assert run._run_id() == "r1"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("Task failed: no route", "no route"),
        (
            'Task failed: Data could not be sent to remote host "web1". Make sure this host can be reached over ssh: '
            "Host key verification failed.",
            "Host key verification failed.",
        ),
        (
            'Data could not be sent to remote host "web1". Make sure this host can be reached over ssh: ',
            'Data could not be sent to remote host "web1". Make sure this host can be reached over ssh:',
        ),
        ("@@@@@@@@@@ @    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @ @@@@@@ IT IS", "WARNING: REMOTE HOST"),
        ("Task failed: ", "Task failed:"),
        ("", ""),
    ],
)
def test_a_reason_is_told_without_what_surrounds_every_reason(told: str, reason: str) -> None:
    assert run._reason(told).startswith(reason)
    assert "@@@@@" not in run._reason(told)
