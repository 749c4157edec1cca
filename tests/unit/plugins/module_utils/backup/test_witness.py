"""The witness sees whatever was done to a repository, and nothing where nothing was done."""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
from pathlib import Path

import pytest
from ansible_collections.civicops.town.plugins.module_utils._backup.witness import (
    WHOLE_CYCLE,
    Told,
    Witness,
    listed,
    newest,
)
from hypothesis import given, settings
from hypothesis import strategies as st

DAY = 86400.0
NOW = 2_000_000_000.0


class Repository:
    """A repository as restic lays it out: each file is named by its content's hash."""

    def __init__(self, root: Path, name: str = "pc") -> None:
        self.path = root / name
        for folder in ("data", "index", "keys", "snapshots", "locks"):
            (self.path / folder).mkdir(parents=True)
        (self.path / "config").write_bytes(b"what the repository is")
        self.random = random.Random(1)  # noqa: S311 - no secret
        self.add("keys")

    def add(self, folder: str) -> Path:
        content = self.random.randbytes(500)
        name = hashlib.sha256(content).hexdigest()
        place = self.path / folder / name[:2] / name if folder == "data" else self.path / folder / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
        return place

    def backup(self) -> Path:
        self.add("data")
        self.add("data")
        self.add("index")
        return self.add("snapshots")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "srv")


@pytest.fixture
def witness(tmp_path: Path, repository: Repository) -> Witness:
    return Witness(str(tmp_path / "kept"), str(repository.path.parent))


def kinds(told: Told) -> list[str]:
    return [one["kind"] for one in told.alarms]


def test_two_hundred_clean_cycles_raise_no_alarm(repository: Repository, witness: Witness) -> None:
    for cycle in range(200):
        repository.backup()
        (repository.path / "locks" / f"{cycle:064x}").write_bytes(b"comes and goes")
        told = witness.look("pc", NOW + cycle * 3600)
        assert told.alarms == []
    assert (told.snapshots, told.files) == (200, 2 + 200 * 4)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("data", "pack"), ("index", "index"), ("snapshots", "snapshot"), ("keys", "key"), ("", "config")],
)
@pytest.mark.parametrize("fault", ["deleted", "truncated", "emptied", "flipped", "linked", "another"])
def test_each_fault_is_seen_by_the_next_cycle_and_goes_on_being_told(
    repository: Repository, witness: Witness, folder: str, kind: str, fault: str
) -> None:
    repository.backup()
    assert witness.look("pc", NOW).alarms == []
    target = next(path for path in sorted((repository.path / folder).rglob("*")) if path.is_file()) if folder else None
    target = target or repository.path / "config"
    whole = target.read_bytes()
    match fault:
        case "deleted":
            target.unlink()
        case "truncated":
            target.write_bytes(whole[:-1])
        case "emptied":
            target.write_bytes(b"")
        case "flipped":
            target.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        case "linked":
            target.rename(target.with_name("elsewhere"))
            target.symlink_to("elsewhere")
        case "another":
            target.write_bytes(b"x" * len(whole))
    for cycle in (1, 2):
        assert kind in kinds(witness.look("pc", NOW + cycle * 3600))
    target.unlink(missing_ok=True)
    target.write_bytes(whole)
    target.with_name("elsewhere").unlink(missing_ok=True)
    told = witness.look("pc", NOW + 3 * 3600)
    assert [one for one in told.alarms if "elsewhere" not in one["text"]] == [], "what came back is whole again"


def test_a_bit_that_rots_without_a_trace_is_found_within_thirty_days(repository: Repository, witness: Witness) -> None:
    for _ in range(40):
        repository.backup()
    assert witness.look("pc", NOW).alarms == []
    rotten = next((repository.path / "data").rglob("*/*"))
    before = rotten.stat()
    content = rotten.read_bytes()
    rotten.write_bytes(content[:250] + bytes([content[250] ^ 4]) + content[251:])
    os.utime(rotten, ns=(before.st_atime_ns, before.st_mtime_ns))
    read = 0
    for hour in range(1, 30 * 24):
        told = witness.look("pc", NOW + hour * 3600)
        read += told.hashed_bytes
        if told.alarms:
            break
    assert kinds(told) == ["pack"]
    assert hour * 3600 <= WHOLE_CYCLE + DAY
    assert read <= 2 * told.bytes, "a share is read at a time, not all of it"


def test_what_our_own_pruning_takes_is_no_loss_but_a_young_snapshot_is(
    repository: Repository, witness: Witness
) -> None:
    old, pack = repository.backup(), next((repository.path / "data").rglob("*/*"))
    witness.look("pc", NOW)
    young = repository.backup()
    witness.look("pc", NOW + 90 * DAY)
    old.unlink()
    pack.unlink()
    assert witness.look("pc", NOW + 91 * DAY, pruned=True, keep=30 * DAY).alarms == []
    assert set(witness.arrivals("pc")) == {young.name}
    young.unlink()
    told = witness.look("pc", NOW + 92 * DAY, pruned=True, keep=30 * DAY)
    assert kinds(told) == ["snapshot"]
    assert witness.accept("pc") == 1
    assert witness.look("pc", NOW + 93 * DAY).alarms == []


def test_an_upload_is_waited_for_and_one_that_was_cut_off_is_told_and_accepted(
    repository: Repository, witness: Witness
) -> None:
    repository.backup()
    pack = repository.add("data")
    whole = pack.read_bytes()
    pack.write_bytes(whole[:100])
    os.utime(pack, (NOW, NOW))
    assert witness.look("pc", NOW + 60).alarms == []
    pack.write_bytes(whole)
    os.utime(pack, (NOW, NOW))
    assert witness.look("pc", NOW + 120).alarms == []
    stranded = repository.add("data")
    stranded.write_bytes(b"half")
    os.utime(stranded, (NOW, NOW))
    assert witness.look("pc", NOW + 3600).alarms == []
    for hours in (3, 4):
        assert kinds(witness.look("pc", NOW + hours * 3600)) == ["partial"]
    assert witness.accept("pc") == 1
    assert witness.look("pc", NOW + 5 * 3600).alarms == []
    stranded.write_bytes(b"other")
    assert kinds(witness.look("pc", NOW + 6 * 3600)) == ["pack"], "what was accepted is that content and no other"


def test_a_pruning_that_was_cut_off_has_taken_what_is_gone(repository: Repository, witness: Witness) -> None:
    repository.backup()
    witness.look("pc", NOW)
    witness.begin_pruning("pc")
    for pack in list((repository.path / "data").rglob("*/*")):
        pack.unlink()
    assert witness.look("pc", NOW + 3600).alarms == []
    next((repository.path / "index").iterdir()).unlink()
    assert kinds(witness.look("pc", NOW + 7200)) == ["index"], "once, and not for ever"


def test_a_clock_that_was_ahead_has_everything_read_again(repository: Repository, witness: Witness) -> None:
    repository.backup()
    witness.look("pc", NOW + 400 * DAY)
    told = witness.look("pc", NOW)
    assert told.hashed_bytes == told.bytes


def test_keys_and_configuration_are_never_ours_to_take(repository: Repository, witness: Witness) -> None:
    repository.backup()
    witness.look("pc", NOW)
    next((repository.path / "keys").iterdir()).unlink()
    (repository.path / "config").unlink()
    assert kinds(witness.look("pc", NOW + DAY, pruned=True)) == ["config", "key"]


def test_a_repository_that_vanishes_whole_is_missed(repository: Repository, witness: Witness) -> None:
    repository.backup()
    witness.look("pc", NOW)
    repository.path.rename(repository.path.with_name("gone"))
    assert {"snapshot", "pack", "index", "key", "config"} <= set(kinds(witness.look("pc", NOW + 1)))


def test_nothing_is_followed_out_of_the_repository(repository: Repository, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("x")
    (repository.path / "data" / "ab").symlink_to(secret)
    os.mkfifo(repository.path / "snapshots" / "pipe")
    seen = {one.path: one.size for one in listed(str(repository.path))}
    assert "data/ab/file" not in seen
    assert seen["data/ab"] == seen["snapshots/pipe"] == -1


def test_the_newest_is_by_the_servers_clock(repository: Repository) -> None:
    assert newest(str(repository.path)) == (0, None)
    first, second = repository.backup(), repository.backup()
    os.utime(first, (NOW, NOW))
    os.utime(second, (NOW - 5, NOW - 5))
    (repository.path / "snapshots" / "not-a-hash").write_text("")
    assert newest(str(repository.path)) == (2, NOW)
    assert newest(str(repository.path / "nowhere")) == (0, None)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["backup", "cycle", "flip", "delete"]), max_size=12), st.randoms())
def test_an_alarm_means_a_fault_and_a_fault_an_alarm(steps: list[str], luck: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        repository = Repository(Path(folder) / "srv")
        with Witness(f"{folder}/kept", f"{folder}/srv") as witness:
            seen: list[Path] = []
            broken: set[Path] = set()
            now = NOW
            for step in [*steps, "cycle"]:
                files = [path for path in seen if path not in broken]
                if step == "backup":
                    repository.backup()
                elif step == "cycle":
                    now += 3600
                    told = witness.look("pc", now)
                    assert bool(told.alarms) == bool(broken)
                    seen = [path for path in repository.path.rglob("*") if path.is_file()] + list(broken)
                elif files and step == "flip":
                    target = luck.choice(files)
                    content = target.read_bytes()
                    target.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
                    broken.add(target)
                elif files and step == "delete":
                    target = luck.choice(files)
                    target.unlink()
                    broken.add(target)
