"""What users rely on after a patch night: what was to come is there, what was theirs is kept, and both are told."""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from civicops.ledger.store import Ledger
from civicops.ledger.verify import verify

RUN = "molecule-patch"
PLACE = f"/var/lib/civicops/runs/{RUN}/patch"
HOSTS = {"bullseye", "bookworm", "trixie"}
POOL = "/var/cache/civicops/packages"
# Where packages, their lists and our own record of them are kept; beside /etc, which is compared in full.
MAY_CHANGE = ("/var/lib/dpkg/", "/var/lib/apt/", "/var/cache/apt/", "/var/cache/civicops/", "/var/lib/civicops/")


@pytest.fixture
def name(host: Host) -> str:
    """The host's name in the inventory."""
    return str(host.backend.get_hostname())


@cache
def documents() -> list[tuple[str, str, Any]]:
    """What the ledger holds of the run, both converges: kind, host and body."""
    with Ledger("molecule") as ledger:
        assert verify(ledger).good
        entries = ledger.of_run(RUN)
        bodies = ledger.bodies(entries)
        return [(entry.kind, entry.host, bodies[entry.body]) for entry in entries]


def of(kind: str, host: str) -> list[Any]:
    return [body for one, where, body in documents() if (one, where) == (kind, host)]


def test_each_host_was_opened_and_patched_once() -> None:
    counted = Counter((kind, host) for kind, host, _body in documents() if kind in ("gate", "patch"))
    assert counted == {(kind, host): 1 for kind in ("gate", "patch") for host in HOSTS}


def test_what_was_to_come_is_there_and_whole(host: Host) -> None:
    shown = host.check_output("dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n' 'fv-*'")
    assert sorted(shown.splitlines()) == ["fv-app 1.1 ii ", "fv-conf 1.1 ii ", "fv-extra 1.0 ii ", "fv-held 1.0 hi "]
    assert host.check_output("dpkg --audit") == ""


def test_marks_are_as_they_were(host: Host) -> None:
    marked = host.check_output("apt-mark showauto 'fv-*'").split()
    assert sorted(marked) == ["fv-conf", "fv-extra"], "fv-extra came with fv-app"
    assert host.check_output("apt-mark showhold") == "fv-held"


def test_what_an_administrator_wrote_is_kept(host: Host, name: str) -> None:
    assert host.file("/etc/fv-conf.conf").content_string == "# fv-conf 1.0\nsetting = 1.0\nedited = here\n"
    assert "setting = 1.1" in host.file("/etc/fv-conf.conf.dpkg-dist").content_string
    (told,) = of("patch", name)
    assert told["conffiles"] == ["/etc/fv-conf.conf.dpkg-dist"]


def test_the_way_back_is_kept(host: Host) -> None:
    kept = set(host.file(POOL).listdir())
    assert {"fv-conf_1.0_all.deb", "fv-app_1.0_all.deb", "fv-conf_1.1_all.deb", "fv-app_1.1_all.deb"} <= kept
    assert (host.file(POOL).user, host.file(POOL).mode) == ("root", 0o755)
    before = json.loads(host.file(f"{PLACE}/before.json").content_string)
    assert ["fv-conf", "all", "1.0"] in before["packages"]
    assert host.file(f"{PLACE}/etc.tar").mode == 0o600


def test_the_documents_tell_it(name: str) -> None:
    first, second = of("updates", name)
    rows = {row[0]: dict(zip(first["updates"]["columns"], row, strict=True)) for row in first["updates"]["rows"]}
    assert {row for row, told in rows.items() if told["selected"]} == {"fv-app", "fv-conf", "fv-extra"}
    assert rows["fv-held"]["why"] == "held by an administrator"
    assert (first["rollback"], first["blockers"]) == ({"possible": True, "missing": []}, [])
    assert first["staged"]["complete"] is True
    assert first["staged"]["downloaded_bytes"] > 0
    assert second["staged"]["downloaded_bytes"] == 0
    assert not [row for row in second["updates"]["rows"] if row[8]]
    (told,) = of("patch", name)
    assert (told["outcome"], told["reason"]) == ("done", "")
    changed = [["fv-app", "all", "1.0", "1.1"], ["fv-conf", "all", "1.0", "1.1"], ["fv-extra", "all", None, "1.0"]]
    assert told["changes"]["rows"] == changed
    assert [(one["before"], one["after"]) for one in told["probes"]] == [("green", "green")]
    assert told["held"] == ["fv-held"]


def test_systemd_ran_it_once_and_is_well(host: Host) -> None:
    assert host.file(f"{PLACE}/log").content_string.count(" began ") == 1
    assert host.check_output(f"systemctl show -P Result civicops-patch-{RUN}.service") == "success"
    assert host.check_output("systemctl is-system-running") == "running"


def test_nothing_else_on_the_host_changed(host: Host, name: str) -> None:
    before = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], f"{name}.before").read_text()
    done = host.run((Path(__file__).parents[2] / "list-files.sh").read_text())
    lines = set(before.splitlines()) ^ set(done.stdout.splitlines())
    changed = {line for line in lines if not line.startswith(MAY_CHANGE)}
    expected = ("/etc/fv-conf.conf.dpkg-dist ", "/usr/share/fv-extra/here ")
    assert {line for line in changed if not line.startswith(expected)} == set()
