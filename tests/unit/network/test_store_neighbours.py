"""Others beside the store: two runs at once, people with git, and whatever their settings are."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.network.kept import CONFIG, configs, git, keep, new, raw_of_head, store, subjects, unsealed

from civicops.network.store import StoreError
from civicops.state import TownState

PROGRAM = """
import sys
from tests.unit.network.kept import CONFIG, keep, new, store
from civicops.state import TownState
for number in range(5):
    keep(store(TownState("riverton")), *(new(name, CONFIG + f"vlan {sys.argv[1]}{number}\\n") for name in sys.argv[2:]))
"""


def test_two_processes_at_once(state: TownState) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, who, "shared", f"own{who}"], env=dict(os.environ), cwd=Path.cwd()
        )
        for who in ("1", "2")
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert len(subjects(state)) == 20
    assert git(state, "fsck", "--strict", "--no-dangling") == ""
    assert git(state, "status", "--porcelain") == ""
    for name in ("shared", "own1", "own2"):
        assert raw_of_head(state, name).decode().startswith(git(state, "show", f"main:{name}.cfg"))
    assert [one for one in store(state).verify(unsealed, every=True) if one.problem] == []


def test_a_lock_that_is_held_is_told_and_what_is_there_can_be_read(state: TownState) -> None:
    keep(store(state), new("sw1"))
    with (state.root / "network/lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another process keeps configurations of riverton"):
            keep(store(state, wait=0.2), new("sw1", CONFIG + "vlan 2\n"))
        assert store(state).text("sw1") == CONFIG
        assert [one.problem for one in store(state).verify(unsealed)] == [None]
    assert keep(store(state, wait=0.2), new("sw1", CONFIG + "vlan 2\n"))["sw1"].changed


def test_git_holds_the_lock_on_when_we_are_killed(
    state: TownState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import that goes on without us must not meet the next run's."""
    keep(store(state), new("sw1"))
    wrapper, go, there = tmp_path / "bin/git", tmp_path / "go", tmp_path / "there"
    wrapper.parent.mkdir()
    os.mkfifo(go)
    real = os.environ["PATH"]
    wrapper.write_text(
        f'#!/bin/sh\nPATH="{real}"\n'
        f'case " $* " in *" fast-import "*) touch {there}; read x < {go};; esac\nexec git "$@"\n'
    )
    wrapper.chmod(0o755)
    program = PROGRAM.replace("range(5)", "range(1)")
    running = subprocess.Popen(
        [sys.executable, "-c", program, "7", "sw1"],
        env=os.environ | {"PATH": f"{wrapper.parent}:{real}"},
        cwd=Path.cwd(),
    )
    while not there.exists():
        assert running.poll() is None
    running.kill()
    running.wait()
    with pytest.raises(StoreError, match="another process"):
        keep(store(state, wait=0.2), new("sw1", CONFIG + "vlan 8\n"))
    go.write_text("x\n")
    kept = keep(store(state, minutes=5), new("sw1", CONFIG + "vlan 8\n"))["sw1"]
    assert git(state, "rev-parse", "main").strip() == kept.commit
    assert [one for one in store(state).verify(unsealed, every=True) if one.problem] == []


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user whose settings break whatever git does by them, and a mark that hooks and programs would leave."""
    home, mark = tmp_path / "home", tmp_path / "ran"
    hooks = home / "hooks"
    hooks.mkdir(parents=True)
    program = home / "program"
    program.write_text(f"#!/bin/sh\necho $0 >> {mark}\nexit 1\n")
    program.chmod(0o755)
    for hook in ("pre-commit", "reference-transaction", "post-index-change", "post-commit", "pre-auto-gc"):
        (hooks / hook).symlink_to(program)
    (home / ".gitconfig").write_text(
        f"[commit]\ngpgsign = true\n[gpg]\nprogram = {program}\n[core]\nautocrlf = true\nhooksPath = {hooks}\n"
        f"attributesFile = {home}/attributes\nfsmonitor = {program}\npager = {program}\n"
        f'[filter "x"]\nclean = {program}\nsmudge = {program}\nrequired = true\n'
        f"[init]\ndefaultBranch = master\ntemplateDir = {home}\n[log]\nshowSignature = true\ndate = relative\n"
    )
    (home / "attributes").write_text("* filter=x text eol=crlf\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    for name, value in {
        "GIT_DIR": str(tmp_path / "elsewhere"),
        "GIT_WORK_TREE": "/",
        "GIT_INDEX_FILE": str(tmp_path / "index"),
        "GIT_OBJECT_DIRECTORY": str(tmp_path / "objects"),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": str(hooks),
        "GIT_AUTHOR_NAME": "Mallory",
        "GIT_TRACE": str(mark),
        "GIT_EXTERNAL_DIFF": str(program),
        "LC_ALL": "de_DE.UTF-8",
        "TZ": "Pacific/Auckland",
    }.items():
        monkeypatch.setenv(name, value)
    return mark


def test_the_callers_settings_have_no_effect(state: TownState, hostile: Path) -> None:
    text = CONFIG + "banner\r\nwith crlf\r\n"
    keep(store(state), new("sw1", text), new("sw2"))
    kept = keep(store(state, minutes=5), new("sw1", text + "vlan 2\n"), new("sw2"))["sw1"]
    assert kept.changed
    assert store(state).text("sw1") == text + "vlan 2\n"
    assert (configs(state) / "sw1.cfg").read_bytes() == (text + "vlan 2\n").encode()
    assert [one.subject for one in store(state).history("sw1")] == ["sw1: interfaces"] * 2
    assert not hostile.exists()
    assert not (hostile.parent / "elsewhere").exists()
    assert (
        git(state, "log", "-1", "--format=%an %cn %G? %ci", "main") == "civicops civicops N 2027-03-14 02:05:00 +0000\n"
    )


def test_settings_in_the_repository_itself_have_none(state: TownState, tmp_path: Path) -> None:
    keep(store(state), new("sw1"))
    program = tmp_path / "hooks/reference-transaction"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    program.chmod(0o755)
    for name, value in [
        ("core.hooksPath", str(program.parent)),
        ("core.autocrlf", "true"),
        ("commit.gpgSign", "true"),
        ("core.fsmonitor", str(program)),
    ]:
        git(state, "config", name, value)
    assert keep(store(state, minutes=5), new("sw1", CONFIG + "a\r\n"))["sw1"].changed
    assert (configs(state) / "sw1.cfg").read_bytes() == (CONFIG + "a\r\n").encode()
    assert not (tmp_path / "ran").exists()


def test_without_git_the_remedy_is_told(state: TownState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StoreError, match=r"git is not installed on the controller.*apt install git"):
        keep(store(state), new("sw1"))


def test_people_may_commit_push_and_look_around(state: TownState, tmp_path: Path) -> None:
    keep(store(state), new("sw1"), new("sw2"))
    (configs(state) / "README").write_text("ours\n")
    git(state, "add", "README")
    git(state, "commit", "-q", "-m", "a page of ours")
    git(state, "init", "-q", "--bare", str(tmp_path / "remote.git"))
    git(state, "remote", "add", "origin", str(tmp_path / "remote.git"))
    git(state, "push", "-q", "-u", "origin", "main")
    (configs(state) / "README").write_text("ours, and not committed yet\n")
    keep(store(state, minutes=5), new("sw1", CONFIG + "vlan 2\n"), new("sw2"))
    assert subjects(state) == ["sw1: interfaces", "sw2: interfaces", "a page of ours", "sw1: interfaces"]
    assert git(state, "status", "--porcelain") == " M README\n"
    assert git(state, "show", "main:README") == "ours\n"
    git(state, "push", "-q")
    assert git(state, "rev-parse", "origin/main") == git(state, "rev-parse", "main")


def test_what_somebody_wrote_over_a_devices_text_is_put_right(state: TownState) -> None:
    keep(store(state), new("sw1"))
    (configs(state) / "sw1.cfg").write_text("nonsense\n")
    keep(store(state, minutes=5), new("sw1"))
    assert (configs(state) / "sw1.cfg").read_text() == CONFIG
    (configs(state) / "sw1.cfg").write_text("nonsense\n")
    git(state, "commit", "-q", "-a", "-m", "an edit by hand")
    assert store(state).text("sw1") == "nonsense\n"
    kept = keep(store(state, minutes=9), new("sw1"))["sw1"]
    assert (kept.changed, kept.first) == (True, False)
    assert subjects(state) == ["sw1: interfaces", "an edit by hand", "sw1: interfaces"]
    assert store(state).text("sw1") == CONFIG
    assert raw_of_head(state, "sw1") == new("sw1").raw


def test_another_branch_that_is_checked_out_is_left_alone(state: TownState) -> None:
    keep(store(state), new("sw1"))
    git(state, "checkout", "-q", "-b", "mine")
    keep(store(state, minutes=5), new("sw1", CONFIG + "vlan 2\n"))
    assert (configs(state) / "sw1.cfg").read_text() == CONFIG
    assert git(state, "status", "--porcelain") == ""
    assert store(state).text("sw1") == CONFIG + "vlan 2\n"
    git(state, "checkout", "-q", "main")
    assert (configs(state) / "sw1.cfg").read_text() == CONFIG + "vlan 2\n"


def test_a_commit_by_hand_in_the_middle_of_ours(
    state: TownState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our look at `main` and our commit somebody has committed: ours comes after his."""
    keep(store(state), new("sw1"))
    real = os.environ["PATH"]
    wrapper, done = tmp_path / "bin/git", tmp_path / "done"
    wrapper.parent.mkdir()
    person = "git -c user.name=Ann -c user.email=a@example.org"
    wrapper.write_text(
        f'#!/bin/sh\nPATH="{real}"\ncase " $* " in *" fast-import "*) if [ ! -e {done} ]; then touch {done}\n'
        f"{person} commit -q --allow-empty -m 'by hand' >&2; fi;; esac\n"
        'exec git "$@"\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{real}")
    kept = keep(store(state, minutes=5), new("sw1", CONFIG + "vlan 2\n"))["sw1"]
    assert subjects(state) == ["sw1: interfaces", "by hand", "sw1: interfaces"]
    assert git(state, "rev-parse", "main").strip() == kept.commit
    assert git(state, "status", "--porcelain") == ""
    assert [one for one in store(state).verify(unsealed, every=True) if one.problem] == []


def test_git_packs_what_has_become_many(state: TownState) -> None:
    keep(store(state), new("sw1"))
    git(state, "config", "gc.auto", "1")
    for number in range(40):
        keep(store(state, minutes=number), *(new(f"sw{one}", CONFIG + f"vlan {number}\n") for one in range(9)))
    objects = dict(line.split(": ") for line in git(state, "count-objects", "-v").splitlines())
    assert int(objects["in-pack"]) > 500
    assert git(state, "fsck", "--strict", "--no-dangling") == ""
    assert len(subjects(state)) == 1 + 40 * 9
