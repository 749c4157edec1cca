"""What is brought back: ours, all of ours, nothing that is somebody's, and nothing outside of the roots."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible_collections.civicops.town.plugins.module_utils._patch import snapshot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

look = snapshot.manifest  # the real one, where a test replaces it

Tree = dict[str, tuple[str, str, int]]
"""By path below the root: kind (file, link, dir), content or target, mode."""

NAMES = st.sampled_from(["a", "b", "a-b", "ä", "c.d"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
NODES = st.one_of(
    st.tuples(st.just("file"), st.sampled_from(["", "one", "two", "three\n"]), st.sampled_from([0o644, 0o600, 0o755])),
    st.tuples(st.just("link"), st.sampled_from(["a", "../b", "/nowhere", "OUTSIDE", "OUTSIDE/dir"]), st.just(0)),
    st.tuples(st.just("dir"), st.just(""), st.sampled_from([0o755, 0o700])),
)
EDITS = st.lists(st.tuples(PATHS, NODES | st.none()), max_size=6)


class World:
    """A root that is looked after, beside a directory that is not."""

    def __init__(self, folder: Path) -> None:
        self.root, self.outside, self.kept = folder / "etc", folder / "outside", folder / "kept"
        for place in (self.root, self.outside, self.outside / "dir", self.kept):
            place.mkdir()
        (self.outside / "dir" / "a").write_text("theirs")
        (self.outside / "b").write_text("theirs")

    def manifest(self) -> snapshot.Manifest:
        return look((str(self.root),))

    def edit(self, edits: list[tuple[str, tuple[str, str, int] | None]]) -> None:
        """Make each path what it says, whatever is in its way below the root; None: away with it."""
        for path, node in edits:
            place = self.root / path
            for step in reversed(place.relative_to(self.root).parents):
                above = self.root / step
                if above.is_symlink() or above.is_file():
                    above.unlink()
                if node is not None:
                    above.mkdir(exist_ok=True)
            if place.is_symlink() or place.is_file():
                place.unlink()
            if node is None:
                shutil.rmtree(place, ignore_errors=True)
                continue
            kind, content, mode = node
            if kind != "dir":
                shutil.rmtree(place, ignore_errors=True)
            if kind == "dir":
                place.mkdir(exist_ok=True)
                place.chmod(mode)
            elif kind == "link":
                place.symlink_to(content.replace("OUTSIDE", str(self.outside)))
            else:
                place.write_text(content)
                place.chmod(mode)

    def outer(self) -> snapshot.Manifest:
        return look((str(self.outside),))

    def restore(
        self, before: snapshot.Manifest, after: snapshot.Manifest | None, since: snapshot.Manifest
    ) -> snapshot.Restored:
        with mock.patch.object(snapshot, "manifest", self.manifest):
            return snapshot.restore(str(self.kept), before, after, since)


@contextmanager
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        yield World(Path(folder))


def save(one: World) -> snapshot.Manifest:
    """A manifest that has been through its file, as on a host."""
    snapshot.save(str(one.kept), one.manifest())
    snapshot.write_json(str(one.kept), "before.json", one.manifest())
    return snapshot.load(snapshot.read_json(str(one.kept), "before.json"))


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(first=EDITS, ours=EDITS, scripts=EDITS)
def test_alone_everything_is_as_it_was(first: Any, ours: Any, scripts: Any) -> None:
    with world() as one:
        one.edit(first)
        before = save(one)
        one.edit(ours)
        after = one.manifest()
        since = one.manifest()
        one.edit(scripts)  # what packages that go back write
        outer = one.outer()
        done = one.restore(before, after, since)
        assert one.manifest() == before
        assert (done.left, done.failed) == ([], [])
        assert one.outer() == outer


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(first=EDITS, ours=EDITS, theirs=EDITS, scripts=EDITS)
def test_what_somebody_changed_since_is_left(first: Any, ours: Any, theirs: Any, scripts: Any) -> None:
    with world() as one:
        one.edit(first)
        before = save(one)
        one.edit(ours)
        after = one.manifest()
        one.edit(theirs)
        since = one.manifest()
        one.edit(scripts)
        meanwhile = one.manifest()
        outer = one.outer()
        done = one.restore(before, after, since)
        now = one.manifest()
        touched = snapshot.changed(after, since)
        for path in touched:
            assert now.get(path) == meanwhile.get(path), f"{path} is somebody's"
        for path in before.keys() | now.keys():
            if path not in touched and path not in done.left:
                assert now.get(path) == before.get(path), f"{path} is ours"
        assert done.failed == []
        assert one.outer() == outer, "nothing outside of the roots is touched"
        assert not list(one.root.rglob(snapshot.UNFINISHED))


@settings(deadline=None, max_examples=50)
@given(first=EDITS, ours=EDITS)
def test_a_second_try_finds_nothing_to_do(first: Any, ours: Any) -> None:
    with world() as one:
        one.edit(first)
        before = save(one)
        one.edit(ours)
        since = one.manifest()
        one.restore(before, since, since)
        assert one.restore(before, since, since) == snapshot.Restored()


@pytest.fixture
def place() -> Iterator[World]:
    with world() as one:
        yield one


def test_a_link_in_a_directorys_place_does_not_lead_us_elsewhere(place: World) -> None:
    place.edit([("a/b", ("file", "before", 0o644))])
    before = save(place)
    place.edit([("a/b", None)])
    after = place.manifest()
    shutil.rmtree(place.root / "a")
    (place.root / "a").symlink_to(place.outside)
    since = place.manifest()
    done = place.restore(before, after, since)
    assert (place.outside / "b").read_text() == "theirs"
    assert sorted(done.left) == [str(place.root / "a"), str(place.root / "a/b")]


def test_a_link_that_appears_in_this_moment_does_not_either(place: World) -> None:
    """Somebody who owns a directory below /etc exchanges it between the look and the writing."""
    place.edit([("a/b", ("file", "before", 0o644)), ("c/d", ("file", "before", 0o644))])
    before = save(place)
    place.edit([("a/b", ("file", "after", 0o644)), ("c/e", ("file", "after", 0o644))])
    (place.outside / "e").write_text("theirs")
    after = place.manifest()

    def looked_and_lost() -> snapshot.Manifest:
        found = place.manifest()
        for name in ("a", "c"):
            shutil.rmtree(place.root / name)
            (place.root / name).symlink_to(place.outside)
        return found

    with mock.patch.object(snapshot, "manifest", looked_and_lost):
        done = snapshot.restore(str(place.kept), before, after, after)
    assert ((place.outside / "b").read_text(), (place.outside / "e").read_text()) == ("theirs", "theirs")
    assert [line.partition(":")[0] for line in done.failed] == [str(place.root / "c/e"), str(place.root / "a/b")]


def test_what_is_exchanged_while_it_is_read_is_told_as_what_it_is(place: World) -> None:
    """Else root's secret would come back as a file of the one who exchanged it."""
    place.edit([("a", ("file", "his", 0o644)), ("secret", ("file", "root's", 0o600))])
    real = os.open

    def exchanged(path: Any, *more: Any, **named: Any) -> int:
        return real(str(place.root / "secret") if path == str(place.root / "a") else path, *more, **named)

    with mock.patch.object(os, "open", exchanged):
        found = place.manifest()[f"{place.root}/a"]
    assert found == place.manifest()[f"{place.root}/secret"]


@pytest.mark.parametrize("now", [("file", "x", 0o600), ("link", "b", 0), ("dir", "", 0o755), None])
def test_what_changes_between_manifest_and_archive_is_kept_as_it_became(place: World, now: Any) -> None:
    place.edit([("a", ("file", "before, and longer", 0o644)), ("b", ("file", "b", 0o644))])
    before = place.manifest()
    place.edit([("a", now)])
    between = place.manifest()
    snapshot.save(str(place.kept), before)
    assert before == between
    place.edit([("a", None), ("a", ("file", "after", 0o644)), ("b", ("file", "after", 0o644))])
    after = place.manifest()
    assert place.restore(before, after, after).failed == []
    assert place.manifest() == between


def test_a_file_that_shrinks_while_it_is_kept_spoils_no_other(place: World) -> None:
    """As a log in /etc that is cut while it is read: what comes after it in the archive has to be found."""
    place.edit([("a", ("file", "x" * 9000, 0o644)), ("b", ("file", "b", 0o644))])
    before = place.manifest()
    real = tarfile.copyfileobj

    def shrinking(source: Any, target: Any, *more: Any, **named: Any) -> None:
        (place.root / "a").write_text("")
        real(source, target, *more, **named)

    with mock.patch.object(tarfile, "copyfileobj", shrinking):
        snapshot.save(str(place.kept), before)
    place.edit([("b", ("file", "after", 0o644))])
    after = place.manifest()
    place.restore(before, after, after)
    assert (place.root / "b").read_text() == "b"


def test_somebodys_file_in_a_directory_of_ours_outlives_us(place: World) -> None:
    place.edit([("a", ("file", "before", 0o644))])
    before = save(place)
    place.edit([("a", None), ("a/ours", ("file", "new", 0o644)), ("b/ours", ("file", "new", 0o644))])
    after = place.manifest()
    place.edit([("a/theirs", ("file", "theirs", 0o644)), ("b/theirs", ("file", "theirs", 0o644))])
    done = place.restore(before, after, place.manifest())
    assert [path.name for path in sorted((place.root / "a").iterdir())] == ["theirs"]
    assert [path.name for path in sorted((place.root / "b").iterdir())] == ["theirs"]
    assert str(place.root / "a") in done.left
    assert str(place.root / "b") in done.left


def test_more_names_than_are_looked_at_lose_nothing(place: World, monkeypatch: pytest.MonkeyPatch) -> None:
    place.edit([(f"{number}", ("file", "x", 0o644)) for number in range(10)])
    monkeypatch.setattr(snapshot, "NAME_LIMIT", 6)
    before = save(place)
    assert len(before) == 6
    (place.root / "0").unlink()
    since = place.manifest()
    place.restore(before, since, since)
    assert len(list(place.root.iterdir())) == 10


def test_links_of_one_file_are_each_brought_back(place: World) -> None:
    place.edit([("a", ("file", "one", 0o600))])
    os.link(place.root / "a", place.root / "b")
    before = save(place)
    place.edit([("a", ("file", "two", 0o600)), ("b", None)])
    after = place.manifest()
    place.restore(before, after, after)
    assert ((place.root / "a").read_text(), (place.root / "b").read_text()) == ("one", "one")


def test_a_file_that_is_too_large_to_keep_is_told(place: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "FILE_LIMIT", 10)
    place.edit([("a", ("file", "x" * 11, 0o644))])
    before = save(place)
    place.edit([("a", ("file", "y" * 12, 0o644))])
    since = place.manifest()
    assert place.restore(before, since, since).failed == [f"{place.root}/a: it is not in the archive"]


def test_pipes_and_devices_are_no_configuration(place: World) -> None:
    os.mkfifo(place.root / "pipe")
    assert place.manifest().keys() == {str(place.root)}
    place.edit([("a", ("file", "one", 0o644))])
    before = save(place)
    (place.root / "a").unlink()
    os.mkfifo(place.root / "a")
    since = place.manifest()
    place.restore(before, None, since)
    assert (place.root / "a").read_text() == "one"


def test_names_that_are_no_text_survive_their_json(place: World) -> None:
    Path(os.fsdecode(os.fsencode(place.root) + b"/\xff\n")).write_text("one")
    before = save(place)
    Path(os.fsdecode(os.fsencode(place.root) + b"/\xff\n")).unlink()
    place.restore(before, None, place.manifest())
    assert place.manifest() == before


def test_what_a_try_left_unfinished_is_no_obstacle(place: World) -> None:
    place.edit([("a", ("file", "one", 0o644))])
    before = save(place)
    place.edit([("a", ("file", "two", 0o644))])
    since = place.manifest()
    (place.root / snapshot.UNFINISHED).symlink_to(place.outside / "b")
    place.restore(before, since, since)
    assert place.manifest() == before
    assert (place.outside / "b").read_text() == "theirs"


@pytest.mark.parametrize("path", snapshot.PASSING)
def test_what_a_running_system_changes_is_no_change(path: str) -> None:
    assert snapshot.changed({path: ("file", 0, 0, 0, "a")}, {path: ("file", 0, 0, 0, "b")}) == set()
    assert snapshot.changed({}, {path + "x": ("file", 0, 0, 0, "b")}) == {path + "x"}


def test_the_manifest_knows_mode_owner_content_and_target(place: World) -> None:
    place.edit([("a", ("file", "one", 0o640)), ("b", ("link", "a", 0)), ("d", ("dir", "", 0o700))])
    found = place.manifest()
    owner = (os.geteuid(), (place.root / "a").stat().st_gid)
    assert found[f"{place.root}/a"][:4] == ("file", 0o640, *owner)
    assert len(found[f"{place.root}/a"][4]) == 64
    assert found[f"{place.root}/b"] == ("link", 0, *owner, "a")
    assert found[f"{place.root}/d"] == ("dir", 0o700, *owner, "")


def test_json_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    assert snapshot.read_json(str(tmp_path), "x.json") is None
    snapshot.write_json(str(tmp_path), "x.json", {"a": 1})
    with pytest.raises(TypeError):
        snapshot.write_json(str(tmp_path), "x.json", {"a": object()})
    assert snapshot.read_json(str(tmp_path), "x.json") == {"a": 1}
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "x.json").unlink()
    (tmp_path / "x.json").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match=r"x\.json"):
        snapshot.read_json(str(tmp_path), "x.json")
    (tmp_path / "y.json").write_text("{")
    with pytest.raises(json.JSONDecodeError):
        snapshot.read_json(str(tmp_path), "y.json")
