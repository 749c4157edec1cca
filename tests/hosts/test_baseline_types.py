"""Each type of control on a real host: broken by hand, found, mended and undone; and a host whose files are hostile."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hosts.broken import BREAKS
from tests.hosts.conftest import MakeTown
from tests.hosts.host import Host
from tests.hosts.images import APT_UPDATE
from tests.hosts.nights import FORGET, maintenance, window
from tests.hosts.test_baseline import harden, of, rows
from tests.hosts.town import Spec, Town

INSTALL = (
    f"{APT_UPDATE}; DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "
    "nftables auditd openssl openssh-client >/dev/null; systemctl disable -q --now auditd 2>/dev/null || true"
)
# Without Ansible's own place for what it sends, which any module makes.
STATE = """
cd /; find etc home opt root usr/share/pam-configs var/log/x.log -mindepth 0 -not -path '*/.ansible*' \\
  -not -name 'passwd-' -not -name 'shadow-' -printf '%p %y %m %U:%G %l\\n' 2>/dev/null | sort
find etc opt root home usr/share/pam-configs -type f -print0 | sort -z | xargs -0 sha256sum
systemctl list-unit-files --no-legend --plain | sed 's/ \\+/ /g' | sort
systemctl is-active x-spare ssh
dpkg-query -W; sysctl -n net.ipv4.conf.all.log_martians; sshd -T | sort
nft list ruleset
"""


@pytest.fixture(scope="module")
def own_town(make_module_town: MakeTown) -> Town:
    options = ("--cap-add", "NET_ADMIN", "--security-opt", "unmask=/proc/sys")
    file = maintenance(window(jobs=["baseline"]), halt={"ring": 100, "town": 100})
    town = make_module_town("riverton", {"web1": Spec("bookworm", options=options)}, timezone="UTC", town=file)
    town.host("web1").run(INSTALL, timeout=300)
    return town


@pytest.fixture
def town(own_town: Town) -> Iterator[Town]:
    yield own_town
    own_town.host("web1").run(FORGET, check=False)


def seen(town: Town, run: str) -> dict[str, tuple[str, bool]]:
    return rows(of(town, "web1", run))


def looks(host: Host) -> dict[str, bool]:
    """By type, whether a look at the host itself finds the setting as it should be."""
    script = "".join(f"if sh -c {shlex.quote(one.look)} >/dev/null 2>&1; then echo {one.type}; fi\n" for one in LOOKED)
    good = set(host.run(script).stdout.split())
    return {one.type: one.type in good for one in LOOKED}


LOOKED = [one for one in BREAKS if one.look]


def test_every_type_finds_mends_and_takes_back_what_was_broken_by_hand(town: Town) -> None:
    host = town.host("web1")
    for one in BREAKS:
        host.run(one.broken_by)
    before = host.run(STATE).stdout
    assert not any(looks(host).values()), looks(host)
    controls: list[dict[str, Any]] = [one.control for one in BREAKS]
    audited = harden(town, controls, "--check")
    assert host.run(STATE).stdout == before, "an audit changes nothing"
    wanted = {one.id: (one.state, bool(one.look)) for one in BREAKS}
    assert seen(town, audited["run"]) == wanted, "found"
    done = harden(town, controls)
    told = of(town, "web1", done["run"])
    assert rows(told) == wanted, told["results"]["rows"]
    assert all(looks(host).values()), looks(host)
    again = harden(town, controls)
    assert [row for row in of(town, "web1", again["run"])["results"]["rows"] if row[2]] == []
    harden(town, controls, "--of", done["run"], job="baseline_undo")
    after = host.run(STATE).stdout
    assert sorted(set(before.splitlines()) ^ set(after.splitlines())) == []
