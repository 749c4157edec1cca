"""What users rely on after work: the host did it once and can tell, the ledger knows it, and nothing else changed."""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from civicops.ledger.claims import claims_of_run
from civicops.ledger.store import Ledger
from civicops.ledger.verify import verify

RUN = "molecule-wait"
PLACE = f"/var/lib/civicops/runs/{RUN}/wait"
HOSTS = {"bullseye", "bookworm", "trixie"}


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


def test_each_host_was_opened_once_and_did_its_work() -> None:
    counted = Counter((kind, host) for kind, host, _body in documents() if kind in ("gate", "wait", "contact"))
    assert counted == {(kind, host): 1 for kind in ("gate", "wait") for host in HOSTS}
    assert {body["window"] for kind, _host, body in documents() if kind == "gate"} == {"always"}
    assert {body["outcome"] for kind, _host, body in documents() if kind == "wait"} == {"done"}


def test_nothing_is_claimed_any_more() -> None:
    with Ledger("molecule") as ledger, ledger.transaction() as connection:
        claims = claims_of_run(connection, RUN)
    assert {claim.host for claim in claims} == {"", *HOSTS}
    assert {claim.outcome for claim in claims} == {"done"}


def test_the_host_began_once_and_tells_how_it_ended(host: Host) -> None:
    assert host.file(f"{PLACE}/log").content_string.count(" began ") == 1
    result = json.loads(host.file(f"{PLACE}/result.json").content_string)
    assert result["status"] == 0
    assert result["seconds"] >= 2


def test_what_it_left_is_roots_alone(host: Host) -> None:
    for path in ("/var/lib/civicops", PLACE):
        assert (host.file(path).user, host.file(path).mode) == ("root", 0o700)


def test_systemd_ran_it_and_is_well(host: Host) -> None:
    assert host.check_output(f"systemctl show -P Result civicops-wait-{RUN}.service") == "success"
    assert host.check_output("systemctl is-system-running") == "running"


def test_nothing_else_on_the_host_changed(host: Host, name: str) -> None:
    before = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], f"{name}.before").read_text()
    done = host.run((Path(__file__).parents[2] / "list-files.sh").read_text())
    changed = set(before.splitlines()) ^ set(done.stdout.splitlines())
    assert {line for line in changed if not line.startswith("/var/lib/civicops/")} == set()
