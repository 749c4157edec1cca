"""apt's file of automatic marks: written as apt writes it, whole, and never while somebody else has the lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.civicops.town.plugins.module_utils._patch import apt_marks
from ansible_collections.civicops.town.plugins.module_utils._patch.apt import parse_stanzas
from hypothesis import given
from hypothesis import strategies as st

THERE = """Package: libc6
Architecture: amd64
Auto-Installed: 1

Package: tzdata
Architecture: amd64
Auto-Installed: 0
Install-Reason: somebody

"""
_HOLD = """
import fcntl, sys
stream = open(sys.argv[1], "rb+")
fcntl.lockf(stream, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
NAMES = st.from_regex(r"[a-z][a-z0-9+.-]{1,12}", fullmatch=True)
KEYS = st.tuples(NAMES, st.sampled_from(["amd64", "i386", "arm64"]))


def told(text: str) -> dict[tuple[str, str], bool]:
    """Which packages the text calls automatic."""
    stanzas = parse_stanzas(text)
    return {(one["Package"], one["Architecture"]): one["Auto-Installed"] == "1" for one in stanzas}


def test_a_stanza_keeps_its_other_fields_and_new_ones_come_last() -> None:
    text = apt_marks.with_marks(THERE, {("tzdata", "amd64"): True, ("libfoo", "i386"): True, ("gone", "amd64"): False})
    assert text == THERE.replace("Auto-Installed: 0", "Auto-Installed: 1") + (
        "Package: libfoo\nArchitecture: i386\nAuto-Installed: 1\n\n"
    )


@given(st.dictionaries(KEYS, st.booleans(), max_size=12), st.dictionaries(KEYS, st.booleans(), max_size=12))
def test_what_is_named_is_so_and_nothing_else_is_touched(
    before: dict[tuple[str, str], bool], marks: dict[tuple[str, str], bool]
) -> None:
    text = apt_marks.with_marks("", dict.fromkeys(before, True))
    text = apt_marks.with_marks(text, {key: False for key, automatic in before.items() if not automatic})
    assert told(text) == before
    after = told(apt_marks.with_marks(text, marks))
    assert after == before | {key: how for key, how in marks.items() if how or key in before}
    assert apt_marks.with_marks(text, {}) == text


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """apt's file and its locks, somewhere else."""
    locks = [tmp_path / "lock-frontend", tmp_path / "lock"]
    for lock in locks:
        lock.touch()
    monkeypatch.setattr(apt_marks, "LOCKS", tuple(str(lock) for lock in locks))
    monkeypatch.setattr(apt_marks, "EXTENDED_STATES", str(tmp_path / "extended_states"))
    return tmp_path


def test_the_file_is_made_where_there_is_none(system: Path) -> None:
    apt_marks.write({("a", "amd64"): True})
    states = system / "extended_states"
    assert told(states.read_text()) == {("a", "amd64"): True}
    assert states.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in system.iterdir()) == ["extended_states", "lock", "lock-frontend"]


@pytest.mark.parametrize("lock", ["lock-frontend", "lock"])
def test_while_apt_is_at_work_nothing_is_written(system: Path, lock: str) -> None:
    command = [sys.executable, "-c", _HOLD, str(system / lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(apt_marks.MarksError):
            apt_marks.write({("a", "amd64"): True})
        holder.kill()
    assert not (system / "extended_states").exists()


def test_a_link_in_its_place_is_not_followed(system: Path) -> None:
    elsewhere = system / "elsewhere"
    elsewhere.write_text("mine\n")
    (system / "extended_states").symlink_to(elsewhere)
    with pytest.raises(apt_marks.MarksError):
        apt_marks.write({("a", "amd64"): True})
    assert elsewhere.read_text() == "mine\n"


def test_names_are_as_apt_mark_has_them() -> None:
    assert sorted(apt_marks.named({"a", "b:i386"}, "amd64")) == [("a", "amd64"), ("b", "i386")]
