"""The shipped systemd units on a real systemd: runs outlive the scheduler's unit; a town's unit reads no other home.

In the place of the command stands a script that starts a process as the scheduler does; the command itself is tested
elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.conftest import MakeTown
from tests.hosts.host import Host
from tests.hosts.town import Town

UNITS = ("civicops-scheduler.service", "civicops-scheduler.timer", "civicops@.service")
# Starts a process that outlives it, as `Popen(start_new_session=True)` does, and notes its number.
STARTS_A_RUN = """#!/bin/sh
mkdir -p "$HOME/.local/state" || exit 1
setsid sleep 300 < /dev/null > /dev/null 2>&1 &
echo "$! $PWD $*" >> "$HOME/.local/state/looks"
ls /home/civicops > "$HOME/.local/state/seen" 2>&1
case "$*" in *--once*) ;; *) sleep 300 ;; esac
"""


@pytest.fixture(scope="module")
def host(
    make_module_town: MakeTown, shared_hosts: dict[str, Host], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    town: Town = make_module_town("demo", use={"bookworm": shared_hosts["bookworm"]})
    folder = tmp_path_factory.mktemp("units")
    done = town.controller.civicops("scheduler", "--write-units", str(folder))
    assert done.returncode == 0, done.stderr
    assert sorted(Path(line).name for line in done.stdout.split()) == sorted(UNITS)
    host = shared_hosts["bookworm"]
    for unit in UNITS:
        host.write(f"/etc/systemd/system/{unit}", (folder / unit).read_text())
    for user, place in (("civicops", "/srv/civicops"), ("civicops-riverton", "/srv/civicops/riverton")):
        host.write(f"{place}/.venv/bin/civicops", STARTS_A_RUN, mode="755")
        host.run(f"useradd --create-home {user}; chmod 700 ~{user}")  # as the unit's comment says
    host.run("systemctl daemon-reload")
    try:
        yield host
    finally:
        units = " ".join(f"/etc/systemd/system/{unit}*" for unit in UNITS)
        host.run(
            "systemctl disable --now civicops-scheduler.timer civicops@riverton; "
            f"pkill -u civicops,civicops-riverton; rm -rf /srv/civicops {units}; systemctl daemon-reload; "
            "userdel -rf civicops; userdel -rf civicops-riverton; systemctl reset-failed; true"
        )


def wait_for(host: Host, question: str, within: float = 20) -> str:
    """What a shell command says, once it succeeds and says something."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        done = host.run(question, check=False)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
        time.sleep(0.5)
    raise AssertionError(f"not within {within} s: {question}\n{host.run('journalctl -n 30 --no-pager').stdout}")


def test_systemd_finds_no_fault_in_them(host: Host) -> None:
    places = " ".join(f"/etc/systemd/system/{unit.replace('@', '@riverton')}" for unit in UNITS)
    host.run("cp /etc/systemd/system/civicops@.service /etc/systemd/system/civicops@riverton.service")
    try:
        done = host.run(f"systemd-analyze verify {places}", check=False)
    finally:
        host.run("rm /etc/systemd/system/civicops@riverton.service")
    said = [line for line in done.stderr.splitlines() if "civicops" in line]
    assert (done.returncode, said) == (0, [])


def test_the_timer_looks_again_and_again_and_runs_outlive_each_look(host: Host) -> None:
    often = "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/2\nAccuracySec=100ms\n"
    host.write("/etc/systemd/system/civicops-scheduler.timer.d/often.conf", often)
    host.run("systemctl daemon-reload; systemctl enable --now civicops-scheduler.timer")
    looks = "/home/civicops/.local/state/looks"
    wait_for(host, f"test $(wc -l < {looks}) -ge 3 && echo often")
    host.run("systemctl stop civicops-scheduler.timer civicops-scheduler.service")
    first, place, *arguments = host.run(f"head -1 {looks}").stdout.split()
    assert (place, arguments) == ("/srv/civicops", ["scheduler", "--once"])
    assert host.run(f"ps -o user= -p {first}").stdout.strip() == "civicops", "the first look's run still goes on"


def test_a_towns_own_unit_runs_as_its_user_and_reads_no_other_home(host: Host) -> None:
    host.run("systemctl start civicops@riverton")
    looks = "/home/civicops-riverton/.local/state/looks"
    started = wait_for(host, f"cat {looks}").split()
    assert started[1:] == ["/srv/civicops/riverton", "scheduler"]
    seen = wait_for(host, "cat /home/civicops-riverton/.local/state/seen")
    assert "Permission denied" in seen
    host.run("systemctl stop civicops@riverton")
    assert host.run(f"ps -o user:20= -p {started[0]}").stdout.strip() == "civicops-riverton", "its run outlives it"
