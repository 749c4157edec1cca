"""apt by its own words: recorded answers, and what is never asked of it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import Context
from ansible_collections.civicops.town.plugins.module_utils._patch import apt, managers, preflight, survey
from ansible_collections.civicops.town.plugins.module_utils._patch.apt import Apt, parse_simulated, parse_stanzas
from ansible_collections.civicops.town.plugins.module_utils._patch.manager import (
    ManagerError,
    Plan,
    Policy,
    Update,
    folder_is_ours,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# --- recorded: apt-get -s, of bullseye (apt 2.2), bookworm (2.6) and trixie (3.0) ------------------------------

BULLSEYE = """\
Reading package lists...
The following packages will be upgraded:
  login libpam-modules-bin systemd tzdata
49 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.
Inst login [1:4.8.1-1] (1:4.8.1-1+deb11u1 Debian-Security:11/oldoldstable-security [amd64])
Conf login (1:4.8.1-1+deb11u1 Debian-Security:11/oldoldstable-security [amd64])
Inst libpam-modules-bin [1.4.0-9+deb11u1] (1.4.0-9+deb11u2 Debian-Security:11/oldoldstable-security [amd64]) \
[libpam-modules:amd64 on libpam-modules-bin:amd64] [libpam-modules:amd64 ]
Inst systemd [247.3-7+deb11u5] (247.3-7+deb11u8 Debian-Security:11/oldoldstable-security [amd64]) []
Inst tzdata [2024a-0+deb11u1] (2026b-0+deb11u1 Debian-Security:11/oldoldstable-security [all])
Inst libuv1 (1.40.0-2+deb11u1 Debian:11.11/oldoldstable, Debian-Security:11/oldoldstable-security [amd64])
"""
BOOKWORM = """\
Inst libperl5.36 [5.36.0-7+deb12u3] (5.36.0-7+deb12u4 Debian-Security:12/oldstable-security [amd64]) [perl:amd64 ]
Inst perl-modules-5.36 [5.36.0-7+deb12u3] (5.36.0-7+deb12u4 Debian-Security:12/oldstable-security [all])
Inst bind9-libs (1:9.18.49-1~deb12u3 Debian-Security:12/oldstable-security [amd64])
Conf bind9-libs (1:9.18.49-1~deb12u3 Debian-Security:12/oldstable-security [amd64])
Inst libssl3:i386 [3.0.20-1~deb12u2] (3.0.22-1~deb12u2 Debian-Security:12/oldstable-security [i386])
Inst fv-extra (1.0 stable-security [all])
Inst local (2)
"""
TRIXIE = """\
Inst libxml2 (2.12.7+dfsg+really2.9.14-2.1+deb13u3 Debian:13.8/stable [amd64])
Inst bind9-host (1:9.20.30-1~deb13u1 Debian:13.8/stable, Debian-Security:13/stable-security [amd64])
"""


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (
            BULLSEYE,
            [
                ("login", "amd64", "1:4.8.1-1", "1:4.8.1-1+deb11u1", "Debian-Security:11/oldoldstable-security"),
                ("libpam-modules-bin", "amd64", "1.4.0-9+deb11u1", "1.4.0-9+deb11u2",
                 "Debian-Security:11/oldoldstable-security"),
                ("systemd", "amd64", "247.3-7+deb11u5", "247.3-7+deb11u8", "Debian-Security:11/oldoldstable-security"),
                ("tzdata", "all", "2024a-0+deb11u1", "2026b-0+deb11u1", "Debian-Security:11/oldoldstable-security"),
                ("libuv1", "amd64", None, "1.40.0-2+deb11u1", "Debian:11.11/oldoldstable"),
            ],
        ),
        (
            BOOKWORM,
            [
                ("libperl5.36", "amd64", "5.36.0-7+deb12u3", "5.36.0-7+deb12u4",
                 "Debian-Security:12/oldstable-security"),
                ("perl-modules-5.36", "all", "5.36.0-7+deb12u3", "5.36.0-7+deb12u4",
                 "Debian-Security:12/oldstable-security"),
                ("bind9-libs", "amd64", None, "1:9.18.49-1~deb12u3", "Debian-Security:12/oldstable-security"),
                ("libssl3", "i386", "3.0.20-1~deb12u2", "3.0.22-1~deb12u2", "Debian-Security:12/oldstable-security"),
                ("fv-extra", "all", None, "1.0", "stable-security"),
            ],
        ),
        (
            TRIXIE,
            [
                ("libxml2", "amd64", None, "2.12.7+dfsg+really2.9.14-2.1+deb13u3", "Debian:13.8/stable"),
                ("bind9-host", "amd64", None, "1:9.20.30-1~deb13u1", "Debian:13.8/stable"),
            ],
        ),
        ("", []),
        ("Inst \nInst x\nInst x [1]\nRemv x [1]\n", []),
    ],
)  # fmt: skip
def test_a_simulation_is_read(text: str, rows: list[tuple[str | None, ...]]) -> None:
    found = list(parse_simulated(text, "amd64"))
    assert [(one.name, one.arch, one.current, one.candidate, one.origin) for one in found] == rows
    assert not any(one.selected for one in found)


@given(st.text(max_size=200) | st.text("Inst ()[]:/ax1\n", max_size=60))
def test_whatever_apt_says_is_read_to_its_end(text: str) -> None:
    for update in parse_simulated(text, "amd64"):
        assert update.name
        assert update.candidate
    for stanza in parse_stanzas(text):
        assert stanza


def test_stanzas_are_read() -> None:
    text = (
        "Package: login\nSource: shadow\nVersion: 1:4.8.1-1+deb11u1\nInstalled-Size: 2336\nTag: admin::x,\n"
        " implemented-in::c, role: program\nDescription-en: system login\n tools: many\n .\nEssential: yes\n"
        "Size: 734852\n\nPackage: dpkg\nVersion: 1.20.14\nSize: 2541572\n\n"
    )
    login, dpkg = parse_stanzas(text)
    assert (login["Package"], login["Source"], login["Size"]) == ("login", "shadow", "734852")
    assert (login["Version"], login["Installed-Size"]) == ("1:4.8.1-1+deb11u1", "2336")
    assert dpkg == {"Package": "dpkg", "Version": "1.20.14", "Size": "2541572"}


UNMET = """\
The following packages have unmet dependencies:
 systemd-sysv : PreDepends: systemd but it is not installable
                Depends: systemd (= 257.13-1~deb13u1) but it is not installable
E: Error, pkgProblemResolver::Resolve generated breaks, this may be caused by held packages.
E: The following information from --solver 3.0 may provide additional context:
   Unable to satisfy dependencies. Reached two conflicting decisions:
"""
REMOVED = """\
The following packages will be REMOVED:
  systemd systemd-sysv
0 upgraded, 1 newly installed, 2 to remove and 17 not upgraded.
E: Packages need to be removed but remove is disabled.
"""


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (UNMET, "systemd-sysv : PreDepends: systemd but it is not installable"),
        (REMOVED, "something would have to be removed"),
        ("E: Version '9' for 'libssl1.1' was not found\n", "E: Version '9' for 'libssl1.1' was not found"),
        ("", ""),
    ],
)
def test_why_apt_can_not_is_one_line(output: str, problem: str) -> None:
    assert apt._problem(output) == problem


@pytest.mark.parametrize(
    ("name", "version", "arch", "file"),
    [
        ("login", "1:4.8.1-1+deb11u1", "amd64", "login_1%3a4.8.1-1+deb11u1_amd64.deb"),
        ("tzdata", "2026b-0+deb11u1", "all", "tzdata_2026b-0+deb11u1_all.deb"),
        ("libxml2", "2.12.7+dfsg~1", "i386", "libxml2_2.12.7+dfsg~1_i386.deb"),
    ],
)
def test_files_are_named_as_apt_names_them(name: str, version: str, arch: str, file: str) -> None:
    assert apt._file(name, version, arch) == file


# --- a host that has dependencies ---------------------------------------------------------------------------


@dataclass
class Host:
    """apt's answers for a few packages, by the very words that it is asked with."""

    updates: list[Update] = field(default_factory=list)
    new: dict[str, tuple[str, str | None]] = field(default_factory=dict)  # version and source of what is not there
    depends: dict[str, list[str]] = field(default_factory=dict)  # its update or installation wants these in their new
    impossible: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)
    auto: set[str] = field(default_factory=set)
    statuses: dict[str, str] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    fails: str | None = None
    locked: bool = False

    def write_marks(self, marks: dict[tuple[str, str], bool]) -> None:
        """What apt's own file is made to hold."""
        if self.locked:
            raise apt.apt_marks.MarksError("somebody has the lock")
        names = {
            automatic: {name for (name, arch), how in marks.items() if how is automatic} for automatic in (False, True)
        }
        self.auto = (self.auto | names[True]) - names[False]

    @property
    def verbs(self) -> list[list[str]]:
        """What apt-get and dpkg were asked that changes something."""
        return [words for words in self.asked if words[0] in ("apt-get", "dpkg") and self.changes(words)]

    @staticmethod
    def changes(words: list[str]) -> bool:
        return "-s" not in words and "--print-architecture" not in words

    def run(self, command: Sequence[str], seconds: float | None = None, cwd: str = "/") -> tuple[int, str]:
        words = list(command)
        self.asked.append(words)
        if self.fails is not None and self.fails in words:
            return 100, "E: it failed"
        answers: dict[str, Callable[[list[str]], tuple[int, str]]] = {
            "apt-get": self._get,
            "apt-cache": self._cache,
            "apt-mark": self._mark,
            "dpkg-query": self._query,
            "dpkg": lambda words: (0, "amd64\n"),
        }
        return answers[words[0]](words)

    def _get(self, words: list[str]) -> tuple[int, str]:
        if "install" not in words:
            return 0, ""
        wanted = {word.partition("=")[0] for word in words[words.index("install") + 1 :] if "=" in word}
        lines = []
        waiting = {one.name: one for one in self.updates}
        done: set[str] = set()
        while wanted:
            name = wanted.pop()
            if name in self.impossible:
                return (
                    100,
                    f"The following packages have unmet dependencies:\n {name} : Depends: x but it is not\nE: no",
                )
            done.add(name)
            if name in waiting:
                one = waiting[name]
                lines.append(f"Inst {name} [{one.current}] ({one.candidate} Here:1/suite [{one.arch}])")
            else:
                lines.append(f"Inst {name} ({self.new[name][0]} Here:1/suite [amd64])")
            wanted |= set(self.depends.get(name, ())) - done
        return 0, "\n".join(lines)

    def _cache(self, words: list[str]) -> tuple[int, str]:
        waiting = {one.name: one for one in self.updates}
        if words[1] == "madison":
            lines = [f" {name} | {waiting[name].current} | http://mirror x/main Packages" for name in words[2:]]
            return 0, "\n".join(lines)
        stanzas = []
        for word in words[2:]:
            name, dummy, version = word.partition("=")
            source = self.new[name][1] if name in self.new else None
            line = f"Source: {source} (0.9)\n" if source else ""
            stanzas.append(f"Package: {name}\n{line}Version: {version}\nInstalled-Size: 20\nSize: 1000\n")
        return 0, "\n".join(stanzas)

    def _mark(self, words: list[str]) -> tuple[int, str]:
        if words[1] == "showhold":
            return 0, "".join(f"{name}:amd64\n" for name in sorted(self.holds))
        assert words[1] == "-qq"
        self.auto = self.auto | set(words[3:]) if words[2] == "auto" else self.auto - set(words[3:])
        return 0, ""

    def _query(self, words: list[str]) -> tuple[int, str]:
        rows = [
            f"{one.name}\t{one.arch}\t{one.current}\t{self.statuses.get(one.name, 'ii ')}\t10" for one in self.updates
        ]
        return 0, "\n".join(rows)


def waits(name: str, source: str | None = None, security: bool | None = True, arch: str = "amd64") -> Update:
    return Update(name, arch, "1:1.0", "1:1.1", security, "Here/suite", source)


def put(host: Host, monkeypatch: pytest.MonkeyPatch, pool: str = "/nonexistent") -> Apt:
    """apt as a class, before this host."""

    def installed(ctx: Context) -> dict[str, Any]:
        return {"rows": [[one.name, one.current, one.arch, one.source] for one in host.updates]}

    rows = [[one.name, one.arch, one.current, one.candidate, one.security, one.origin] for one in host.updates]
    monkeypatch.setattr(apt, "run", host.run)
    monkeypatch.setattr(apt, "pending", lambda ctx: rows)
    monkeypatch.setattr(apt, "installed_table", installed)
    monkeypatch.setattr(apt, "POOL", pool)
    monkeypatch.setattr(apt.apt_marks, "write", host.write_marks)
    return Apt(Disk(host))


class Disk(Context):
    """The one file that is read: apt's own marks."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host

    def read(self, path: str, limit: int = 0) -> str:
        if path != "/var/lib/apt/extended_states":
            raise FileNotFoundError(path)
        stanza = "Package: {}\nArchitecture: amd64\nAuto-Installed: {}\n"
        names = [one.name for one in self.host.updates]
        told = [stanza.format(name, int(name in self.host.auto)) for name in names]
        return "\n".join([*told, stanza.format("gone-since", 1)])


def selected(plan: Plan) -> set[str]:
    return {one.name for one in plan.install}


NAMES = ["a", "b", "c", "d", "n1", "n2"]
HOSTS = st.builds(
    lambda sources, secure, depends, new, impossible, holds: Host(
        updates=[waits(name, sources.get(name), secure.get(name)) for name in "abcd"],
        depends=depends,
        new={"n1": ("5", new[0]), "n2": ("6", new[1])},
        impossible=impossible,
        holds=holds,
    ),
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["s", "t"])),
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from([True, False])),
    st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=2)),
    st.tuples(st.none() | st.just("s"), st.none() | st.just("t")),
    st.sets(st.sampled_from(NAMES), max_size=2),
    st.sets(st.sampled_from(NAMES), max_size=2),
)
PATTERNS = st.lists(st.sampled_from([*NAMES, "s", "t", "n*", "*"]), max_size=2).map(tuple)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(host=HOSTS, policy=st.builds(Policy, st.sampled_from(["security", "all"]), PATTERNS, PATTERNS))
def test_what_is_denied_or_held_is_never_selected(host: Host, policy: Policy) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        plan = put(host, monkeypatch).plan(policy)
    sources = {one.name: one.source for one in host.updates} | {name: told[1] for name, told in host.new.items()}
    for update in plan.install:
        assert update.name not in host.holds, "held"
        assert not policy.denies(update.name, sources[update.name]), "denied"
        assert update.name not in host.impossible
        assert update.why is None
        assert set(host.depends.get(update.name, ())) <= selected(plan), "with all that it wants"
    for update in plan.updates:
        assert update.selected or update.why, "what is left out is told why"
    assert len({one.key for one in plan.updates}) == len(plan.updates)
    assert host.verbs == [], "a look changes nothing"


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return tmp_path / "packages"


def test_a_denied_package_does_not_come_as_anothers_dependency(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(
        [waits("app"), waits("libssl3", "openssl", security=False), waits("tool")],
        {"nginx-core": ("2", "nginx")},
        {"app": ["libssl3"], "tool": ["nginx-core"]},
    )
    manager = put(host, monkeypatch)
    assert selected(manager.plan(Policy())) == {"app", "libssl3", "tool", "nginx-core"}
    for deny, left, line in (
        ("openssl", {"tool", "nginx-core"}, "kept back: wants libssl3, which is on the deny list"),
        ("libssl*", {"tool", "nginx-core"}, "kept back: wants libssl3, which is on the deny list"),
        ("nginx", {"app", "libssl3"}, "kept back: wants nginx-core, which is on the deny list"),
        ("nginx-core", {"app", "libssl3"}, "kept back: wants nginx-core, which is on the deny list"),
    ):
        plan = manager.plan(Policy(deny=(deny,)))
        assert selected(plan) == left
        assert line in [one.why for one in plan.updates]


def test_one_that_can_not_be_installed_does_not_keep_the_others_back(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host([waits("a", "s"), waits("b", "s"), waits("c")], impossible={"b"})
    plan = put(host, monkeypatch).plan(Policy())
    assert selected(plan) == {"c"}
    assert [one.why for one in plan.updates] == ["kept back: b : Depends: x but it is not"] * 2 + [None]


def test_more_groups_than_are_tried_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "GROUPS", 2)
    host = Host([waits(name) for name in "abcd"], impossible={"d"})
    plan = put(host, monkeypatch).plan(Policy())
    assert selected(plan) == {"a", "b"}
    assert len(host.asked) < 12


def test_where_nothing_waits_apt_is_asked_nothing_that_could_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """`apt-get --assume-no install` once installed everything, as there was nothing to ask."""
    for updates in ([], [waits("a", security=False)], [waits("a")]):
        host = Host(list(updates))
        plan = put(host, monkeypatch).plan(Policy())
        assert host.verbs == []
        assert not any("--assume-no" in words for words in host.asked)
        assert all("-s" in words for words in host.asked if words[0] == "apt-get")
        assert plan.download_bytes == 1000 * len(plan.install)
        assert plan.disk_bytes == 10 * 1024 * len(plan.install)


def test_a_survey_asks_nothing_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host([waits("a"), waits("b", security=False)])
    manager = put(host, monkeypatch)
    monkeypatch.setitem(managers.MANAGERS, "apt", lambda ctx: manager)
    monkeypatch.setattr(manager, "lists_at", lambda: 1.0)
    monkeypatch.setattr(preflight, "POOL", "/tmp")
    found = survey.survey("apt", Policy(), preflight.Limits(), None)
    survey.document(found, Policy(), "skip", 0.0)
    assert selected(found.plan) == {"a"}
    assert host.verbs == []


def test_sizes_that_are_not_told_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host([waits("a")], fails="show")
    plan = put(host, monkeypatch).plan(Policy())
    assert (plan.download_bytes, plan.disk_bytes, selected(plan)) == (None, None, {"a"})


@pytest.mark.parametrize("verb", ["showhold", "--print-architecture"])
def test_what_can_not_be_told_is_an_error(monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    with pytest.raises(ManagerError, match="it failed"):
        put(Host([waits("a", arch="i386")], fails=verb), monkeypatch).plan(Policy())


# --- what changes something ------------------------------------------------------------------------------------


def plan_of(host: Host) -> Plan:
    for one in host.updates:
        one.selected = True
    return Plan(host.updates)


def test_the_transaction_is_exact_and_removes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host([waits("a"), waits("b", arch="i386")], {"n": ("5", None), "b:i386": ("1:1.1", None)})
    plan = plan_of(host)
    plan.updates.append(Update("n", "amd64", None, "5", selected=True))
    put(host, monkeypatch).install(plan, 30)
    (words,) = host.verbs
    assert words[-3:] == ["a=1:1.1", "b:i386=1:1.1", "n=5"]
    for option in ("--no-remove", "-y", "-oDPkg::Lock::Timeout=30", "-oDpkg::Options::=--force-confold"):
        assert option in words


def test_a_transaction_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host([waits("a")], fails="a=1:1.1")
    with pytest.raises(ManagerError, match="it failed"):
        put(host, monkeypatch).install(plan_of(host), 30)


@pytest.mark.parametrize("locked", [False, True])
def test_marks_are_set_both_ways_by_apts_own_program_where_its_file_is_locked(
    monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    updates = [waits("a"), waits("b"), waits("c"), waits("all", arch="all")]
    host = Host(updates, auto={"b", "c", "all"}, locked=locked)
    manager = put(host, monkeypatch)
    assert manager.marks() == {"b", "c", "all"}, "what is installed, and no other"
    manager.set_marks({"a", "b", "all"})
    assert host.auto == {"a", "b", "all"}
    assert ("apt-mark" in [words[0] for words in host.asked]) is locked
    host.asked.clear()
    manager.set_marks({"a", "b", "all"})
    assert "apt-mark" not in [words[0] for words in host.asked]


def test_the_way_back_is_kept_before_anything(monkeypatch: pytest.MonkeyPatch, pool: Path) -> None:
    host = Host([waits("a"), waits("b")])
    manager = put(host, monkeypatch, str(pool))
    plan = plan_of(host)
    assert manager.to_download(plan) == 0
    for one in plan.updates:
        one.size = 700
    assert manager.to_download(plan) == 1400
    assert manager.keep(plan) == ["a 1:1.0", "b 1:1.0"]
    assert [one.kept for one in plan.updates] == [False, False]
    assert host.verbs == [["apt-get", "-q", "download", "a=1:1.0", "b=1:1.0"]]
    for name in ("a", "b"):
        (pool / f"{name}_1%3a1.0_amd64.deb").touch()
    assert manager.keep(plan) == []
    (pool / "a_1%3a1.1_amd64.deb").touch()
    assert manager.to_download(plan) == 700


def test_a_version_that_was_of_all_architectures_is_found(monkeypatch: pytest.MonkeyPatch, pool: Path) -> None:
    host = Host([waits("a")])
    manager = put(host, monkeypatch, str(pool))
    pool.mkdir(mode=0o755)
    (pool / "a_1%3a1.0_all.deb").touch()
    assert manager.keep(plan_of(host)) == []
    assert manager.missing({("a", "amd64"): "1:1.0"}) == []
    assert manager.missing({("a", "amd64"): "0.9"}) == ["a 0.9"]


@pytest.mark.parametrize("planted", ["link", "open"])
def test_packages_are_kept_where_only_root_writes(pool: Path, planted: str) -> None:
    if planted == "link":
        pool.symlink_to(pool.parent)
    else:
        pool.mkdir()
        pool.chmod(0o777)
    with pytest.raises(ManagerError, match="no package is kept in it"):
        folder_is_ours(str(pool))


def test_going_back_is_one_simulated_transaction(monkeypatch: pytest.MonkeyPatch, pool: Path) -> None:
    host = Host([waits("a"), waits("new")], auto={"new"})
    host.statuses = {"a": "iF "}
    manager = put(host, monkeypatch, str(pool))
    pool.mkdir()
    before = {("a", "amd64"): "0.9"}
    with pytest.raises(ManagerError, match=r"not all there: a_0\.9_amd64\.deb"):
        manager.restore(before, {"a"}, 30)
    assert host.verbs == []
    (pool / "a_0.9_amd64.deb").touch()
    manager.restore(before, {"a"}, 30)
    assert "-s" in next(words for words in host.asked if words[0] == "apt-get"), "tried before it is done"
    (words,) = host.verbs
    assert words[-2:] == [f"{pool}/a_0.9_amd64.deb", "new-"]
    assert {"--allow-downgrades", "-oDir::Etc::sourcelist=/dev/null", "-oDir::Etc::sourceparts=/dev/null"} <= set(words)
    assert host.auto == {"a"}
    host.asked.clear()
    manager.restore({("a", "amd64"): "1:1.0", ("new", "amd64"): "1:1.0"}, {"a"}, 30)
    assert host.verbs == [], "where all is as it was, nothing is asked"


def test_going_back_removes_nothing_else(monkeypatch: pytest.MonkeyPatch, pool: Path) -> None:
    host = Host([waits("a"), waits("new")])
    manager = put(host, monkeypatch, str(pool))
    pool.mkdir()
    (pool / "a_0.9_amd64.deb").touch()
    monkeypatch.setattr(host, "_get", lambda words: (0, "Purg new [1]\nRemv precious [1]\nInst a [1] (0.9 [amd64])\n"))
    with pytest.raises(ManagerError, match="would remove precious"):
        manager.restore({("a", "amd64"): "0.9"}, set(), 30)
    assert host.verbs == []


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ("ii ", None), ("hi ", None), ("rc ", None), ("un ", None),
        ("iU ", "a 1:1.0 is unpacked, not configured"),
        ("iF ", "a 1:1.0 is half-configured"),
        ("iH ", "a 1:1.0 is half-installed"),
        ("iW ", "a 1:1.0 is waiting for triggers"),
        ("it ", "a 1:1.0 is waiting for a trigger"),
        ("iiR", "a 1:1.0 is to be installed anew"),
    ],
)  # fmt: skip
def test_what_is_not_whole_is_told(monkeypatch: pytest.MonkeyPatch, status: str, line: str | None) -> None:
    manager = put(Host([waits("a")], statuses={"a": status}), monkeypatch)
    assert manager.audit() == ([line] if line else [])
    assert (manager.installed() != {}) == (status[1] == "i")


def test_old_packages_go_but_for_the_versions_that_are_installed(monkeypatch: pytest.MonkeyPatch, pool: Path) -> None:
    manager = put(Host([waits("a")]), monkeypatch, str(pool))
    pool.mkdir()
    for name in ("a_1%3a1.0_amd64.deb", "a_1%3a0.9_amd64.deb", "b_1_amd64.deb"):
        (pool / name).touch()
        os.utime(pool / name, (1, 1))
    (pool / "a_1%3a0.8_amd64.deb").touch()
    manager.tidy()
    assert sorted(path.name for path in pool.iterdir()) == ["a_1%3a0.8_amd64.deb", "a_1%3a1.0_amd64.deb"]


def test_every_option_of_a_change_is_known_to_apt() -> None:
    """`--force-confnew` or a removal without a name would change what an administrator wrote."""
    for words in (apt._COMMON, apt._CONFFILES):
        assert not [word for word in words if re.search("confnew|remove|purge|Force-Yes|AllowUn", word)]
