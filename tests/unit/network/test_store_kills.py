"""Killed anywhere, the store has its last good state, and the next run goes on from there."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.network.kept import CONFIG, configs, git, keep, new, raw_of_head, store, subjects, unsealed

from civicops.network.store import New
from civicops.state import TownState

_TOUCHING = ("open", "os.", "shutil.", "subprocess.Popen", "fcntl.flock")


def _texts(version: int) -> list[New]:
    """Three devices: one is always the same but for its secret, one is new in version 2, one changes each time."""
    batch = [
        new("same", secret=f"secret {version}"),
        new("moves", CONFIG + f"vlan {version}\n", words=f"vlan {version}"),
    ]
    return [*batch, new("late")] if version > 1 else batch


def _child(work: Callable[[], object]) -> int:
    """Do it in a process, and a process group, of its own."""
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            work()
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    with contextlib.suppress(PermissionError, ProcessLookupError):  # whichever of the two is first
        os.setpgid(child, child)
    return child


def _killed_at(event: int, state: TownState, batch: list[New]) -> bool:
    """Keep, and be killed before the given access to the files or the start of a process; whether it came to that."""

    def work() -> None:
        seen = 0

        def look(name: str, _arguments: object) -> None:
            nonlocal seen
            if name.startswith(_TOUCHING):
                seen += 1
                if seen == event:
                    os.kill(os.getpid(), signal.SIGKILL)

        here = store(state, minutes=60)
        sys.addaudithook(look)
        keep(here, *batch)

    _, status = os.waitpid(_child(work), 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _is_whole(state: TownState, before: list[New], after: list[New]) -> None:
    """git has the texts of before or after for each device, with a raw file that fits; readers see the same."""
    if not (configs(state) / ".git/HEAD").exists() or not git(state, "branch", "--list", "main"):
        assert not before
        return
    assert git(state, "fsck", "--strict", "--no-dangling") == ""
    here = store(state)
    named = git(state, "ls-tree", "--name-only", "main").split()
    assert {f"{one.device}.cfg" for one in before} <= set(named) <= {f"{one.device}.cfg" for one in after}
    for path in named:
        device = path.removesuffix(".cfg")
        may = [one for one in [*before, *after] if one.device == device]
        text, raw = here.text(device), raw_of_head(state, device)
        assert text in [one.text for one in may]
        assert raw in [one.raw for one in may if one.text == text]
        assert unsealed(here.raw_file(device).read_bytes()) == raw
    assert [one for one in here.verify(unsealed) if one.problem] == []


def _is_mended(state: TownState, after: list[New]) -> None:
    """The next run brings everything in line: git, the working tree, raw files, what is known; and leaves no litter."""
    keep(store(state, minutes=120), *after)
    _is_whole(state, after, after)
    assert git(state, "status", "--porcelain") == ""
    for one in after:
        assert (configs(state) / f"{one.device}.cfg").read_text() == one.text
        assert raw_of_head(state, one.device) == one.raw
    assert not list((state.root / "network").rglob("*.tmp"))
    assert not list((configs(state) / ".git").glob("*civicops*"))
    assert not list((configs(state) / ".git").rglob("*.lock"))
    commits = len(subjects(state))
    again = keep(store(state, minutes=180), *after)
    assert not any(result.changed for result in again.values())
    assert len(subjects(state)) == commits


_STEP, _KILLS = (1, 20) if os.environ.get("CIVICOPS_LONG") else (5, 6)


@pytest.mark.parametrize("first", [True, False])
def test_killed_before_any_access(tmp_path: Path, first: bool) -> None:
    """Accesses to files and starts of git in turn, on the first run and on a later one: each with CIVICOPS_LONG."""
    before, after = ([], _texts(1)) if first else (_texts(1), _texts(2))
    event, killed = 0, True
    while killed:
        event += _STEP
        state = TownState("riverton", tmp_path / f"state-{event}")
        if before:
            keep(store(state), *before)
        killed = _killed_at(event, state, after)
        _is_whole(state, before, after)
        if event % (3 * _STEP) == 0 or not killed:
            _is_mended(state, after)
    assert event > 50


def test_killed_with_git_at_any_time(state: TownState) -> None:
    """The whole process group goes, git in the middle of its work too; what is there grows from kill to kill."""
    rng = random.Random(20270314)  # noqa: S311
    version, before = 1, _texts(1)
    keep(store(state), *before)
    kills = 0
    while kills < _KILLS:
        version += 1
        batch = [new(f"sw{number}", CONFIG * 20 + f"vlan {version}\n") for number in range(30)]
        child = _child(lambda batch=batch, at=version: keep(store(state, minutes=at), *batch))  # type: ignore[misc]
        time.sleep(rng.uniform(0.0, 0.25))
        os.killpg(child, signal.SIGKILL)
        kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        assert git(state, "fsck", "--strict", "--no-dangling") == ""
        for path in git(state, "ls-tree", "--name-only", "main").split():
            if path.startswith("sw"):
                text = git(state, "show", f"main:{path}")
                assert text.startswith(CONFIG * 20 + "vlan ")
                assert raw_of_head(state, path.removesuffix(".cfg")).decode().startswith(text)
    keep(store(state, minutes=version + 1), *batch)
    assert git(state, "status", "--porcelain") == ""
    assert [one for one in store(state).verify(unsealed, every=True) if one.problem] == []


def _wrapped_git(folder: Path, instead: str, when: str = "fast-import") -> str:
    """A `git` that does something else where it should import; a PATH with it in front."""
    real = next(place for one in os.environ["PATH"].split(":") if (place := Path(one) / "git").exists())
    folder.mkdir()
    (folder / "git").write_text(f'#!/bin/sh\ncase " $* " in *" {when} "*) {instead};; esac\nexec {real} "$@"\n')
    (folder / "git").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize("size", [0, 60, 400, 1500, 2000])
def test_an_import_that_ends_in_the_middle_adds_nothing(
    state: TownState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    keep(store(state), *_texts(1))
    tip = git(state, "rev-parse", "main")
    real = os.environ["PATH"]
    instead = f'head -c {size} | PATH={real} git "$@"; cat > /dev/null; exit 1'
    monkeypatch.setenv("PATH", _wrapped_git(tmp_path / "bin", instead))
    with pytest.raises(Exception, match="git fast-import did not take the configurations"):
        keep(store(state, minutes=60), *_texts(2))
    monkeypatch.setenv("PATH", real)
    assert git(state, "rev-parse", "main") == tip
    _is_whole(state, _texts(1), _texts(2))
    _is_mended(state, _texts(2))


def test_an_import_that_ends_badly_after_its_work_has_done_it(
    state: TownState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", _wrapped_git(tmp_path / "bin", f'PATH={os.environ["PATH"]} git "$@"; exit 1'))
    kept = keep(store(state), *_texts(1))
    assert all(one.changed and one.commit for one in kept.values())
    assert len(subjects(state)) == 2


def test_locks_that_a_killed_git_has_left(state: TownState) -> None:
    keep(store(state), *_texts(1))
    dot_git = configs(state) / ".git"
    for name in ("refs/heads/main.lock", "HEAD.lock", "packed-refs.lock", "civicops-index.lock"):
        (dot_git / name).write_text("")
    _is_mended(state, _texts(2))


def test_a_stale_index_lock_is_no_matter(state: TownState) -> None:
    keep(store(state), *_texts(1))
    lock = configs(state) / ".git/index.lock"
    lock.write_text("")
    keep(store(state, minutes=60), *_texts(2))
    lock.unlink()
    assert git(state, "status", "--porcelain") == ""


def test_a_lost_index_is_found_again(state: TownState) -> None:
    keep(store(state), *_texts(1))
    keep(store(state, minutes=60), *_texts(2))
    known = store(state).look("moves")
    (state.root / "network/index.json").unlink()
    assert store(state).look("moves") == known
    told = {one.device: one.problem for one in store(state).verify(unsealed)}
    assert set(told) == {"same", "moves", "late"}
    assert all("what it held is not known any more" in str(problem) for problem in told.values())
    small = new("moves", "hostname core\n")
    assert "less than half" in str(keep(store(state, minutes=90), small)["moves"].refused)
    _is_mended(state, _texts(2))


def test_a_lost_repository_is_begun_anew(state: TownState) -> None:
    keep(store(state), *_texts(1))
    shutil.rmtree(configs(state))
    assert store(state).text("moves") is None
    assert [one.problem for one in store(state).verify(unsealed)] == [None, None]
    kept = keep(store(state, minutes=60), *_texts(2))
    assert all(one.first for one in kept.values())
    known = store(state).look("moves")
    assert known is not None
    assert len(known.versions) == 2
    _is_mended(state, _texts(2))


def test_a_damaged_index_is_told(state: TownState) -> None:
    keep(store(state), *_texts(1))
    (state.root / "network/index.json").write_text("{")
    with pytest.raises(Exception, match=r"index\.json is damaged: move it away"):
        keep(store(state), *_texts(2))


def test_a_full_disk_in_the_middle(state: TownState, monkeypatch: pytest.MonkeyPatch) -> None:
    from civicops.network import keeping

    keep(store(state), *_texts(1))
    whole, written = keeping.write_durably, []

    def full(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device", str(path))
        whole(path, data)

    monkeypatch.setattr(keeping, "write_durably", full)
    with pytest.raises(OSError, match="No space left"):
        keep(store(state, minutes=60), *_texts(2))
    monkeypatch.undo()
    _is_whole(state, _texts(1), _texts(2))
    _is_mended(state, _texts(2))
