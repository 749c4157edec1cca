"""Meters: wall time, processor time of programs and of what they started, processor time of a host."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.hosts.host import Host
from tests.hosts.tools import run


def children_seconds() -> float:
    """Processor time, user and system, of all programs that this process started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wall_of(argv: Sequence[str], *, times: int, env: dict[str, str] | None = None) -> float:
    """The median wall time of a program that must succeed, after one run that is not counted."""
    taken = []
    for _ in range(times + 1):
        start = time.perf_counter()
        run(argv, env=env)
        taken.append(time.perf_counter() - start)
    return median(taken[1:])


class Connections:
    """The persistent SSH connections below one directory: they outlive a play, so they are metered by themselves."""

    def __init__(self, sockets: Path) -> None:
        self._title = f"ssh: {sockets}/".encode()

    def processes(self) -> list[int]:
        """Their process ids."""
        found = []
        for name in os.listdir("/proc"):  # noqa: PTH208
            try:
                if name.isdigit() and Path("/proc", name, "cmdline").read_bytes().startswith(self._title):
                    found.append(int(name))
            except OSError:
                continue
        return found

    def seconds(self) -> float:
        """Processor time that they have used so far."""
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in self.processes()) / 1e9

    def close(self) -> None:
        """End them."""
        for pid in self.processes():
            os.kill(pid, 15)


class HostProcessor:
    """A host's processor time, read from its control group: everything that ran on it counts, sshd too."""

    def __init__(self, host: Host) -> None:
        path = run(["podman", "inspect", "--format", "{{.State.CgroupPath}}", host.container]).stdout.strip()
        top = Path("/sys/fs/cgroup")
        usages = [top / name / path.lstrip("/") / "cpuacct.usage" for name in ("cpuacct", "cpu,cpuacct")]
        self._usage = next((file for file in usages if file.exists()), None)  # version 1, hybrid included
        self._stat = top / path.lstrip("/") / "cpu.stat"  # version 2
        self.seconds()

    def seconds(self) -> float:
        """Seconds so far."""
        if self._usage is not None:
            return int(self._usage.read_text()) / 1e9
        return int(dict(line.split() for line in self._stat.read_text().splitlines())["usage_usec"]) / 1e6
