"""What was saved is hashed once, and what somebody does to a tree is told."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._backup import manifest
from ansible_collections.civicops.town.plugins.module_utils._backup.config import Config
from hypothesis import given
from hypothesis import strategies as st

CONFIG = Config(("/srv",), change_files=10)


def nodes(folder: Path) -> Iterator[dict[str, Any]]:
    """What restic says of a tree."""
    for path in sorted(folder.rglob("*")):
        kind = "dir" if path.is_dir() else "file"
        yield {"struct_type": "node", "type": kind, "path": str(path), "size": path.lstat().st_size}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "srv"
    folder.mkdir()
    for number in range(40):
        (folder / f"letter-{number}").write_text(f"Dear {number}")
    return folder


def taken(tree: Path, kept: Path) -> manifest.Manifest:
    before, inodes = manifest.last(str(kept)) if kept.exists() else ({}, {})
    now = manifest.built(nodes(tree), before, inodes)
    manifest.write(str(kept), hashlib.sha256(repr(sorted(now.items())).encode()).hexdigest(), now, inodes)
    return now


def test_each_file_has_the_hash_of_what_it_was(tree: Path, tmp_path: Path) -> None:
    now = taken(tree, tmp_path / "kept")
    assert now[str(tree / "letter-3")][2] == hashlib.sha256(b"Dear 3").hexdigest()
    kept, inodes = manifest.last(str(tmp_path / "kept"))
    assert (kept, set(inodes)) == (now, set(now))


def test_what_has_not_changed_is_not_read_again(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken(tree, tmp_path / "kept")
    read: list[int] = []
    real = hashlib.sha256
    monkeypatch.setattr(manifest.hashlib, "sha256", lambda *more: read.append(1) or real(*more))
    before, inodes = manifest.last(str(tmp_path / "kept"))
    (tree / "letter-1").write_text("Dear 7")  # as long, and by another hand
    manifest.built(nodes(tree), before, inodes)
    assert len(read) == 1


def test_a_file_whose_time_was_put_back_is_read_all_the_same(tree: Path, tmp_path: Path) -> None:
    before = taken(tree, tmp_path / "kept")
    target = tree / "letter-1"
    times = target.stat()
    target.write_text("dEAR 1")
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    now = taken(tree, tmp_path / "kept")
    assert manifest.changes(before, now).changed == 1


def test_what_changes_while_it_is_saved_has_no_hash(tree: Path) -> None:
    told = list(nodes(tree))
    (tree / "letter-2").write_text("longer than it was when it was saved")
    (tree / "letter-4").unlink()
    (tree / "letter-5").unlink()
    os.mkfifo(tree / "letter-5")
    now = manifest.built(told, {}, {})
    assert {Path(path).name for path, entry in now.items() if entry[2] is None} == {"letter-2", "letter-4", "letter-5"}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("encrypted", "40 of 40 files were changed and 0 are gone"),
        ("renamed", "0 of 40 files were changed and 40 are gone"),
        ("some", None),
        ("grown", None),
        ("nothing", None),
    ],
)
def test_what_is_odd_of_a_tree(tree: Path, tmp_path: Path, what: str, words: str | None) -> None:
    before = taken(tree, tmp_path / "kept")
    for number, path in enumerate(sorted(tree.iterdir())):
        if what == "encrypted":
            path.write_bytes(os.urandom(path.stat().st_size))
        elif what == "renamed":
            path.rename(path.with_suffix(".locked"))
        elif what == "some" and number < 10:
            path.write_text("another letter")
        elif what == "grown":
            (tree / f"more-{number}").write_text("x" * 100)
    odd = manifest.changes(before, taken(tree, tmp_path / "kept")).odd(CONFIG)
    assert (words in odd) if words and odd else (odd == words)


def test_a_tree_that_shrinks_is_told(tree: Path, tmp_path: Path) -> None:
    for path in tree.iterdir():
        path.write_bytes(b"x" * 1000)
    before = taken(tree, tmp_path / "kept")
    (tree / "letter-1").write_bytes(b"")
    for number in range(2, 10):
        (tree / f"letter-{number}").write_bytes(b"x")
    odd = manifest.changes(before, taken(tree, tmp_path / "kept")).odd(
        Config(("/srv",), change_files=9, change_percent=20)
    )
    assert odd is not None


def test_a_disk_that_is_not_mounted_is_told(tree: Path, tmp_path: Path) -> None:
    before = taken(tree, tmp_path / "kept")
    paths = [str(tree), f"{tree}/", "/nowhere"]
    assert manifest.emptied(before, before, paths) == []
    assert manifest.emptied(before, {}, paths) == paths[:2]


def test_a_way_that_leads_to_a_device_by_now_opens_none(tmp_path: Path) -> None:
    (tmp_path / "d").symlink_to("/dev")
    told = [{"type": "file", "path": str(tmp_path / "d" / "null"), "size": 0}]
    assert manifest.built(told, {}, {})[str(tmp_path / "d" / "null")][2] is None


def test_old_manifests_go_and_a_broken_one_is_none(tree: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    for number in range(manifest.KEPT + 3):
        (tree / "letter-1").write_text(f"version {number}")
        taken(tree, kept)
    files = list(kept.glob("*.gz"))
    assert len(files) == manifest.KEPT
    for path in files:
        path.write_bytes(b"\x1f\x8bno gzip")
    assert manifest.last(str(kept)) == ({}, {})


entries = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.tuples(st.integers(0, 99), st.just(0), st.one_of(st.none(), st.sampled_from(["a", "b"]))),
    max_size=8,
)


@given(entries, entries)
def test_every_file_is_counted_once(before: manifest.Manifest, now: manifest.Manifest) -> None:
    found = manifest.changes(before, now)
    assert found.same + found.changed + found.gone == len(before)
    assert found.same + found.changed + found.new == len(now)


def test_a_canary_is_as_it_was_or_says_why(tmp_path: Path) -> None:
    path = tmp_path / "letters"
    path.write_text("x")
    good = hashlib.sha256(b"x").hexdigest()
    assert manifest.canary(str(path), good) is None
    path.write_text("y")
    assert "was changed" in (manifest.canary(str(path), good) or "")
    path.unlink()
    assert "No such file" in (manifest.canary(str(path), good) or "")
    path.symlink_to("/etc/passwd")
    assert manifest.canary(str(path), good)
