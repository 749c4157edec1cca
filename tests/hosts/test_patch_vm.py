"""A kernel's patch night and its way back, in a VM with a boot loader of its own: what no container can show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hosts.conftest import MakeTown
from tests.hosts.patching import of, patch, rollback, stage, state, town_file, whole
from tests.hosts.town import Spec
from tests.hosts.vm import Vm, wanted

pytestmark = wanted
KERNELS = "dpkg-query -W -f '${Package}\\n' 'linux-image-*-cloud-amd64'"
IMAGE = "linux-image-cloud-amd64"
# Software emulation is slow: what a minute would do for elsewhere is given several.
SLOW = {"patch_reboot_time": "10m", "patch_probe_grace": "30s", "patch_lock_wait": "30s"}


@pytest.fixture
def vm(hosts_available: None) -> Iterator[Vm]:
    vm = Vm.launch("vm1")
    yield vm
    vm.remove()


def test_a_kernel_is_patched_started_and_taken_back(vm: Vm, make_town: MakeTown) -> None:
    vm.with_security_updates()
    if f"Inst {IMAGE} " not in vm.run(f"apt-get -s install {IMAGE}", timeout=120).stdout:
        pytest.skip("the security archive has no newer kernel than the release's own")
    unit = {"id": "base", "name": "The system", "probes": [{"kind": "unit", "unit": "ssh.service"}]}
    town = make_town(
        hosts={"vm1": Spec(vars=vm.vars, groups=("ring_canary", "system_base"))},
        use={"vm1": vm},
        timezone="UTC",
        town=town_file(systems=[unit], allow=["linux-image-*"]),
        vars=SLOW,
    )
    old, boot, before = vm.kernel(), vm.boot_id(), state(vm)
    assert stage(town)["exit_status"] == 0
    waits = of(town, "vm1", kind="updates")
    assert waits["blockers"] == []
    assert (waits["reboot"]["expected"], waits["rollback"]) == (True, {"possible": True, "missing": []})
    chosen = {row[0] for row in waits["updates"]["rows"] if row[8]}
    assert IMAGE in chosen
    assert all(name.startswith("linux-image-") for name in chosen)
    assert state(vm) == before

    done = patch(town, timeout=1800)
    told = of(town, "vm1", done["run"])
    assert (done["exit_status"], told["outcome"]) == (0, "done"), told
    new = vm.kernel()
    reboot = told["reboot"]
    assert (reboot["done"], reboot["why_not"]) == (True, "")
    assert (reboot["kernel_before"], reboot["kernel_after"]) == (old, new)
    assert new != old
    assert vm.boot_id() != boot
    assert told["phases"]["reboot"] > 0
    assert f"linux-image-{new}" in {row[0] for row in told["changes"]["rows"]}
    assert f"linux-image-{new}" in vm.run("apt-mark showauto").stdout.split()

    boot = vm.boot_id()
    again = patch(town, timeout=1800)
    assert (again["hosts"], of(town, "vm1", again["run"])["reason"]) == ({"vm1": "ok"}, "nothing was to be done")
    assert (vm.boot_id(), vm.kernel()) == (boot, new)

    back = rollback(town, "--of", done["run"])
    told = of(town, "vm1", back["run"])
    assert (back["exit_status"], told["outcome"]) == (0, "done"), told
    assert vm.kernel() == old
    assert vm.boot_id() != boot
    assert told["rollback"]["kernel"] == f"the previous entry, {old}, was started"
    assert (told["reboot"]["done"], told["reboot"]["kernel_before"], told["reboot"]["kernel_after"]) == (True, new, old)
    identical = [told["rollback"][f"{what}_identical"] for what in ("packages", "marks", "files")]
    assert (identical, told["rollback"]["differences"]) == ([True, True, True], [])
    assert set(vm.run(KERNELS).stdout.split()) == {f"linux-image-{old}"} and whole(vm)
    assert vm.run(f"ls /boot/*{new}* 2>/dev/null || true").stdout == ""
    assert list(vm.entries()) == [old], "GRUB's menu does not offer what is gone"
    assert state(vm) == before
    vm.reboot()
    assert vm.kernel() == old
