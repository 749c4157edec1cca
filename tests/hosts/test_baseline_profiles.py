"""Each profile on a fresh host of each release: what the audit says comes true, once, and goes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.hosts.conftest import MakeTown
from tests.hosts.hardening import AIDE, LOGIN, OPTIONS, harden_to, profiles, reasons, size, states, take_back
from tests.hosts.host import Host
from tests.hosts.long import long
from tests.hosts.nights import FORGET, maintenance, window
from tests.hosts.picture import Picture, Times, changed_by_a_ping, differing, picture
from tests.hosts.town import Spec, Town

RELEASES = ("bullseye", "bookworm", "trixie")
# The default profile is gone through on all three by Molecule's scenario `baseline`, in CI too.
LONG = long("five minutes")
TOUCHED = ("/boot", "/etc", "/home", "/opt", "/root", "/usr/share/pam-configs", "/var/lib/pam")
# A package's users stay when it goes, as Debian's policy has it.
ACCOUNTS = ("passwd", "group", "shadow", "gshadow")
COPIES = {f"/etc/{name}{end}" for name in ACCOUNTS for end in ("", "-")}
RUNNING = """
systemctl list-unit-files --no-legend --plain | awk '{print $1, $2}' | sort
systemctl list-units --type=service,socket,timer --state=active --no-legend --plain | awk '{print $1}' | sort
dpkg-query -W -f '${Package}\\n'; apt-mark showmanual
findmnt -rn -o TARGET,OPTIONS /dev/shm; nft list ruleset 2>/dev/null || true
sysctl -a 2>/dev/null | grep -E '^(kernel|fs|net)\\.' | grep -vE 'random|nr|state|count|pty|last|key|mem|expires|quota'
"""


@pytest.fixture(scope="module")
def own_town(make_module_town: MakeTown) -> Town:
    specs = {release: Spec(release, updates=True, vars=LOGIN, options=OPTIONS) for release in RELEASES}
    file = maintenance(window(jobs=["baseline"]), halt={"ring": 100, "town": 100})
    town = make_module_town("riverton", specs, timezone="UTC", user="ops", town=file)
    for host in town.hosts.values():
        host.run("chown _apt /var/cache/apt/archives/partial")  # as apt itself has it; the image's maker had another
    return town


@pytest.fixture
def town(own_town: Town) -> Iterator[Town]:
    """The town, whose hosts were put back by the test."""
    yield own_town
    for host in own_town.hosts.values():
        host.run(FORGET, check=False)


def running(host: Host) -> list[str]:
    """Units, packages, mounts, the packet filter and the kernel's settings."""
    return host.run(RUNNING).stdout.splitlines()


def accounts(host: Host) -> list[str]:
    return host.run(f"cd /etc; cat {' '.join(ACCOUNTS)}").stdout.splitlines()


def test_an_audit_changes_no_file(town: Town) -> None:
    """What changes is measured by a module that does nothing, and nothing else does."""
    largest = max(profiles(), key=size)["id"]
    logins = changed_by_a_ping(town, "bookworm")
    before = picture(town.host("bookworm"))
    harden_to(town, largest, "--check")
    changed = differing(before, picture(town.host("bookworm")))
    assert {path: what for path, what in changed.items() if path not in logins} == {}


@LONG
@pytest.mark.parametrize("profile", [one["id"] for one in profiles()])
def test_a_profile_is_predicted_enforced_once_and_put_back(town: Town, profile: str) -> None:
    before: dict[str, Picture] = {}
    logins: dict[str, set[str]] = {}
    for name, host in town.hosts.items():
        logins[name] = changed_by_a_ping(town, name, *TOUCHED)
        before[name] = picture(host, *TOUCHED)
    had = {name: (running(host), accounts(host)) for name, host in town.hosts.items()}
    skip = {"baseline_skip": list(AIDE) if profile != "cis-l1-server" else []}
    predicted = harden_to(town, profile, "--check", **skip)[1]
    run, done = harden_to(town, profile, **skip)
    again = harden_to(town, profile, **skip)[1]
    back = take_back(town, run)
    for name, host in town.hosts.items():
        as_predicted(predicted[name], done[name])
        assert (done[name]["outcome"], done[name]["login"]) == ("done", "confirmed"), name
        wrong = {key: row for key, row in reasons(done[name], "error").items() if "was cut short" not in row[4]}
        assert wrong == {}, name
        assert {row[0]: row[1:] for row in again[name]["results"]["rows"] if row[2]} == {}, name
        assert (back[name]["undone"]["failed"], back[name]["undone"]["left"]) == ([], []), name
        changed = differing(before[name], picture(host, *TOUCHED), times=Times.NONE)
        assert {path: what for path, what in changed.items() if path not in logins[name] | COPIES} == {}, name
        now = (running(host), accounts(host))
        odd = sorted({*had[name][0]} ^ {*now[0]})
        assert not odd, f"{name}: {odd}"
        assert sorted({*had[name][1]} - {*now[1]}) == [], f"{name}: accounts that are gone"


def as_predicted(predicted: dict[str, Any], done: dict[str, Any]) -> None:
    """What the audit has said of each control came true; the message has the words of both.

    A machine that computes on much else cuts the walk over all files short, and says so.
    """
    cut = {name for name, row in reasons(predicted, "error").items() if "the walk was cut short" in row[4]}
    wrong = {name for name, state in states(done).items() if states(predicted)[name] != state} - cut
    rows = [row for body in (predicted, done) for row in body["results"]["rows"] if row[0] in wrong]
    assert not rows, "\n".join(map(str, rows))
