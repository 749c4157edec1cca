"""A backup client whose clock is wrong, on a machine that has one of its own: a container has its host's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hosts.backups import SMALL, TOWN, VARS, alarms, backup, cycle, drill, run, told
from tests.hosts.conftest import MakeTown
from tests.hosts.town import Spec
from tests.hosts.vm import Vm, wanted

pytestmark = wanted
SECRETS = {"vm1": {"server": "vm1-to-the-server-0123456789", "repository": "vm1-of-the-repository-0123456789"}}


@pytest.fixture
def vm(hosts_available: None) -> Iterator[Vm]:
    vm = Vm.launch("vm1")
    yield vm
    vm.remove()


def test_a_clock_that_is_wrong_is_told_and_has_nothing_forgotten(vm: Vm, make_town: MakeTown) -> None:
    vm.run("apt-get -q update; systemctl stop systemd-timesyncd chrony || true", timeout=600)
    specs = {
        "vault": Spec(updates=True, groups=("backup_server",), options=SMALL),
        "vm1": Spec(vars=vm.vars, groups=("backup_client",)),
    }
    plain = {"backup_secrets": SECRETS, "backup_client_paths": ["/etc"], "backup_client_dumps": []}
    town = make_town(TOWN, specs, use={"vm1": vm}, timezone="UTC", vars=VARS | plain | {"backup_client_canaries": []})
    assert run(town)["exit_status"] == 0
    vault = town.host("vault")
    backup(vm)
    backup(vm)
    cycle(town)
    assert (told(town, "vm1")["alarms"], told(town, "vault")["alarms"]) == ([], [])

    vm.run("date -s '+3 days'")
    backup(vm)
    cycle(town)
    vault.run(f"systemctl start civicops-backup-prune-{TOWN}.service", check=False, timeout=120)
    assert "says that it is of" in alarms(told(town, "vault"))["snapshot"]
    count = f"ls /srv/backup/{TOWN}/vm1/snapshots | wc -l"
    assert vault.run(count).stdout == "6\n", "three backups with their lists, and nothing is forgotten"
    run(town)
    assert "backups want a look on" in town.controller.civicops("report", TOWN).stdout
    [page] = town.state.glob(f"{TOWN}/reports/*.html")
    assert "days ahead of ours" in page.read_text() or "72 h ahead of ours" in page.read_text()

    vm.run("date -s '-3 days'")
    assert "clock" in alarms(told(town, "vm1")), "its last complete backup is yet to come"
    backup(vm)
    assert told(town, "vm1")["alarms"] == []
    accept = f"backup-server.pyz accept /etc/civicops/backup-server/{TOWN}/server.json vm1"
    vault.run(f"python3 -I /var/lib/civicops/programs/{accept}")
    vault.run(f"systemctl start civicops-backup-prune-{TOWN}.service", check=False, timeout=120)
    assert told(town, "vault")["alarms"] == []
    assert drill(town, "vm1")[1]["outcome"] == "done"

    vm.run("date -s '+2 years'")
    backup(vm, good=False)
    assert "certificate" in alarms(told(town, "vm1"))["server"], (
        "it takes the server's certificate for one that has ended"
    )
    vm.run("date -s '-2 years'")
    vm.run("date -s '-2 days'")
    backup(vm, good=False)
    assert "not yet valid" in alarms(told(town, "vm1"))["server"], "and now for one that is not valid yet"
    cycle(town)
    assert "late" not in alarms(told(town, "vault")), "the server judges by its own clock"
    vm.run("date -s '+2 days'")
    backup(vm)
    assert told(town, "vm1")["alarms"] == []
