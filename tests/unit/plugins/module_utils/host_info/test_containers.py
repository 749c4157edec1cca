"""What runs in containers on a host is not the host's own: no finding of the host's may come of it."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.civicops.town.plugins.module_utils._host_info import filesystems, reboot

from .conftest import MakeHost

DELETED = "7f00-7f01 r-xp 0 8:1 9 /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)\n"


def test_only_the_hosts_own_processes_are_to_be_restarted(host: MakeHost) -> None:
    files = {f"/proc/{pid}/{name}": text for pid in (1, 70, 71) for name, text in (("comm", "x\n"), ("maps", DELETED))}
    ctx = host(files)
    for pid, space in (("self", 1), (1, 1), (70, 1), (71, 9)):
        link = Path(ctx.path(f"/proc/{pid}/ns/pid"))
        link.parent.mkdir(parents=True)
        link.symlink_to(f"pid:[{space}]")
    assert [one["pid"] for one in reboot.stale_processes(ctx)] == [1, 70]


def test_a_containers_layers_are_no_file_system_of_their_own(host: MakeHost) -> None:
    lines = ["21 1 8:1 / / rw - ext4 /dev/sda1 rw", "30 21 0:50 / /var/lib/containers/x/merged rw - overlay overlay rw"]
    answer = filesystems.collect(host({"/proc/self/mountinfo": "\n".join(lines) + "\n"}))
    assert [one["mount"] for one in answer["filesystems"]] == ["/"]
