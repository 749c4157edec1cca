"""Hardening a machine with a kernel, a boot loader and an audit of its own: what no container can show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hosts.conftest import MakeTown
from tests.hosts.hardening import AIDE, LOGIN, harden_to, reasons, states, take_back
from tests.hosts.nights import maintenance, window
from tests.hosts.picture import Times, changed_by_a_ping, differing, picture
from tests.hosts.test_baseline_profiles import COPIES, TOUCHED, accounts, as_predicted, running
from tests.hosts.town import Spec
from tests.hosts.vm import Vm, wanted

pytestmark = wanted
# The kernel takes these once, and gives them back at its next start alone.
# What runs for a moment after a machine's start, or after its first one.
STARTS = ("systemd-fsckd.service", "systemd-machine-id-commit.service")
# A machine has no console but SSH as root, so that stays open here.
ROOT = "ssh-no-root-login"
ONE_WAY = ("kernel.kexec_load_disabled", "kernel.unprivileged_bpf_disabled")


@pytest.fixture
def vm(hosts_available: None) -> Iterator[Vm]:
    vm = Vm.launch("vm1")
    yield vm
    vm.remove()


@pytest.mark.parametrize("profile", ["cis-l1-server", "strictest"])
def test_a_machine_is_hardened_started_anew_and_put_back(vm: Vm, make_town: MakeTown, profile: str) -> None:
    vm.run("apt-get -q update", timeout=600)
    spec = Spec(vars=vm.vars | LOGIN)
    file = maintenance(window(jobs=["baseline"]))
    town = make_town("riverton", {"vm1": spec}, use={"vm1": vm}, timezone="UTC", user="ops", town=file)
    skip = {"baseline_skip": [*AIDE, ROOT]}
    logins = changed_by_a_ping(town, "vm1", *TOUCHED)
    before, units, people = picture(vm, *TOUCHED), running(vm), accounts(vm)

    predicted = harden_to(town, profile, "--check", **skip)[1]["vm1"]
    run, found = harden_to(town, profile, **skip)
    done = found["vm1"]
    assert (done["outcome"], done["login"]) == ("done", "confirmed"), done["reason"]
    assert {name for name, row in reasons(done, "error").items() if "the walk was cut short" not in row[4]} == set()
    as_predicted(predicted, done)
    vm.reboot()
    again = harden_to(town, profile, **skip)[1]["vm1"]
    assert {row[0]: row[1:] for row in again["results"]["rows"] if row[2]} == {}, "after a new start too"
    cut = {name for name, row in reasons(again, "error").items() if "the walk was cut short" in row[4]}
    assert {name for name, state in states(again).items() if state[0] == "error"} - cut == set()

    back = take_back(town, run)["vm1"]
    assert back["undone"]["failed"] == []
    assert set(back["undone"]["left"]) <= set(ONE_WAY)
    vm.reboot()
    changed = differing(before, picture(vm, *TOUCHED), times=Times.NONE)
    assert {path: what for path, what in changed.items() if path not in logins | COPIES} == {}
    assert sorted(({*units} ^ {*running(vm)}) - {*STARTS}) == []
    assert sorted({*people} - {*accounts(vm)}) == []
