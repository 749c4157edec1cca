"""Hardening on real hosts: audit, enforcement, the way back, and no fault that locks us out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.hosts.conftest import MakeTown
from tests.hosts.hardening import LOGIN
from tests.hosts.nights import FORGET, ask_ledger, maintenance, window
from tests.hosts.town import Spec, Town

# Small and cheap, one of each kind of change.
OWN: list[dict[str, Any]] = [
    {"id": "x-cron", "type": "file", "params": {"paths": ["/etc/crontab"], "mode": "0600"}},
    {"id": "x-grace", "type": "sshd", "params": {"option": "logingracetime", "value": "60"}},
    {
        "id": "x-journal",
        "type": "systemd_setting",
        "params": {"component": "journald", "key": "Compress", "value": "yes"},
    },
    {"id": "x-module", "type": "kernel_module", "params": {"module": "cramfs"}},
    {"id": "x-sysctl", "type": "sysctl", "params": {"key": "net.ipv4.conf.all.log_martians", "value": "1"}},
]
CLOCK = {"id": "clock", "name": "What runs at its time", "probes": [{"kind": "unit", "unit": "cron.service"}]}
# What a host is: every file that a run may touch, with its mode and content.
STATE = """
cd /; find etc usr/share/pam-configs -mindepth 1 -printf '%p %y %m %U:%G %l\\n' | sort
find etc usr/share/pam-configs -type f -print0 | sort -z | xargs -0 sha256sum
systemctl list-unit-files --no-legend | sort
"""


@pytest.fixture(scope="module")
def own_town(make_module_town: MakeTown) -> Town:
    specs = {"web1": Spec("bookworm", groups=("system_clock",)), "old1": Spec("bullseye"), "new1": Spec("trixie")}
    file = maintenance(window(jobs=["baseline"])) | {"systems": [CLOCK]}
    return make_module_town("riverton", specs, timezone="UTC", town=file)


@pytest.fixture
def town(own_town: Town) -> Iterator[Town]:
    """The town, whose hosts were put back by the test."""
    yield own_town
    for host in own_town.hosts.values():
        host.run(FORGET, check=False)


def harden(town: Town, controls: list[dict[str, Any]] | None, *more: str, job: str = "baseline") -> dict[str, Any]:
    """Run a job with these controls alone; without any, with those that stand at each host."""
    town.vars |= {"baseline_profile": "none"} | ({} if controls is None else {"baseline_own": controls})
    town.write()
    done = town.controller.civicops("run", job, town.name, "--json", *more, timeout=600)
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"civicops run {job}: {done.stdout}{done.stderr}") from None
    return told


def of(town: Town, host: str, run: str) -> dict[str, Any]:
    found = [one for one in ask_ledger(town, "baseline") if (one["host"], one["run"]) == (host, run)]
    assert found, f"{host} has told nothing"
    return found[-1]


def rows(body: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    return {row[0]: (row[1], row[2]) for row in body["results"]["rows"]}


def test_audit_enforcement_and_the_way_back(town: Town) -> None:
    before = {name: host.run(STATE).stdout for name, host in town.hosts.items()}
    audited = harden(town, OWN, "--check")
    assert {name: host.run(STATE).stdout for name, host in town.hosts.items()} == before, "an audit changes nothing"
    done = harden(town, OWN)
    assert set(done["hosts"].values()) == {"changed"}, done
    for name, host in town.hosts.items():
        predicted, body = of(town, name, audited["run"]), of(town, name, done["run"])
        assert rows(predicted) == rows(body), name
        assert body["outcome"] == "done"
        assert body["login"] == "confirmed"
        assert rows(body)["x-cron"] == ("changed", True)
        assert rows(body)["x-grace"] == ("changed", True)
        assert rows(body)["x-sysctl"] == ("not_enforceable", True), "read-only in a container, and told so"
        assert "logingracetime 60" in host.run("sshd -T").stdout
        assert not host.run("ls /var/lib/civicops/armed /etc/systemd/system/civicops* 2>/dev/null || true").stdout
    again = harden(town, OWN)
    assert set(again["hosts"].values()) == {"ok"}, again
    for name in town.hosts:
        assert not any(changed for dummy, changed in rows(of(town, name, again["run"])).values()), name
    harden(town, OWN, "--of", done["run"], job="baseline_undo")
    for name, host in town.hosts.items():
        assert of(town, name, ask_ledger(town, "baseline")[-1]["run"])["undone"]["failed"] == []
        assert host.run(STATE).stdout == before[name], name


def _file(path: str, line: str, **more: str) -> list[dict[str, Any]]:
    return [{"id": "x-lock", "type": "file_content", "params": {"path": path, "content": [line]} | more}]


LOCKS: dict[str, list[dict[str, Any]]] = {
    "AllowUsers without us": _file("/etc/ssh/sshd_config.d/01-x.conf", "AllowUsers nobody", reload="ssh"),
    # A login with a terminal gets in; those that come after it have none.
    "sudo wants a terminal": _file("/etc/sudoers.d/zz-x", "Defaults requiretty", reload="sudo", mode="0440"),
    "no keys": [{"id": "x-lock", "type": "sshd", "params": {"option": "pubkeyauthentication", "value": "no"}}],
    "PAM refuses": _file("/etc/pam.d/sshd", "account required pam_deny.so"),
    "the daemon off": [{"id": "x-lock", "type": "service", "params": {"unit": "ssh.service", "state": "off"}}],
}


@pytest.fixture
def locked(make_town: MakeTown) -> Town:
    """A host for each way of shutting the door."""
    names = {f"lock{number}": lock for number, lock in enumerate(LOCKS)}
    specs = {
        name: Spec("bookworm", vars={"baseline_own": LOCKS[lock]} | (LOGIN if lock.startswith("sudo") else {}))
        for name, lock in names.items()
    }
    file = maintenance(window(jobs=["baseline"]), halt={"ring": 100, "town": 100})
    return make_town("riverton", specs, timezone="UTC", town=file)


def test_what_locks_us_out_is_gone_within_two_minutes(locked: Town) -> None:
    before = {name: host.run(STATE).stdout for name, host in locked.hosts.items()}
    told = harden(locked, None)
    for (name, host), lock in zip(locked.hosts.items(), LOCKS, strict=True):
        body = of(locked, name, told["run"])
        assert (body["outcome"], body["login"]) == ("rolled_back", "undone"), lock
        assert rows(body) == {"x-lock": ("failed", False)}, lock
        assert "taken back" in body["results"]["rows"][0][5]
        assert told["hosts"][name] == "failed"
        assert host.run(STATE).stdout == before[name], lock
    seconds = [of(locked, name, told["run"])["took_seconds"] for name in locked.hosts]
    assert max(seconds) < 60
    checked = harden(locked, None, "--check")
    assert {of(locked, name, checked["run"])["outcome"] for name in locked.hosts} == {"planned"}, "logins work"


def test_what_the_daemon_would_refuse_never_reaches_it(town: Town) -> None:
    host = town.host("web1")
    before = host.run(STATE).stdout
    told = harden(town, _file("/etc/ssh/sshd_config.d/01-x.conf", "NoSuchOption yes", reload="ssh"), "--limit", "web1")
    body = of(town, "web1", told["run"])
    assert rows(body) == {"x-lock": ("failed", False)}
    assert "NoSuchOption" in body["results"]["rows"][0][5]
    assert host.run(STATE).stdout == before


def test_a_host_that_is_not_well_afterwards_is_put_back_whole(town: Town) -> None:
    host = town.host("web1")
    before = host.run(STATE).stdout
    breaks = {"id": "x-off", "type": "service", "params": {"unit": "cron.service", "state": "off"}}
    town.vars["baseline_probe_grace"] = "3s"
    told = harden(town, [*OWN, breaks], "--limit", "web1")
    body = of(town, "web1", told["run"])
    assert (body["outcome"], told["hosts"]["web1"]) == ("rolled_back", "failed"), body
    assert "cron.service" in body["reason"]
    assert [(one["system"], one["before"], one["after"]) for one in body["probes"]] == [("clock", "green", "green")]
    assert not any(changed for dummy, changed in rows(body).values())
    assert rows(body)["x-cron"][0] == "failed"
    assert host.run(STATE).stdout == before
    assert host.run("systemctl is-active cron.service").stdout.strip() == "active"
    assert not host.run("ls /var/lib/civicops/armed /etc/systemd/system/civicops* 2>/dev/null || true").stdout


def test_a_host_that_was_not_well_before_is_left_alone(town: Town) -> None:
    host = town.host("web1")
    before = host.run(STATE).stdout
    host.run("systemctl stop cron.service")
    try:
        told = harden(town, OWN, "--limit", "web1")
    finally:
        host.run("systemctl start cron.service")
    body = of(town, "web1", told["run"])
    assert (body["outcome"], told["hosts"]["web1"]) == ("blocked", "failed")
    assert "cron.service" in body["reason"]
    assert body["results"]["rows"] == []
    assert host.run(STATE).stdout == before


def test_no_window_no_change_but_an_audit_at_any_time(town: Town) -> None:
    town.town = maintenance(window(timedelta(hours=5), jobs=["baseline"]))
    try:
        assert set(harden(town, OWN)["hosts"].values()) == {"deferred"}
        assert "planned" in {one["outcome"] for one in ask_ledger(town, "baseline") if one["check"]}
    finally:
        town.town = maintenance(window(jobs=["baseline"]))
