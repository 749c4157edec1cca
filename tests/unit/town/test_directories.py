"""Where towns are found, and which files are not read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from civicops.town import TownFileError, directories, find_towns, inventories_dir, load_town, town_dir
from civicops.town.loader import MAX_BYTES

GOOD = "town: {id: oak, name: Oak, timezone: UTC}\n"


def problem_of(path: Path) -> str:
    with pytest.raises(TownFileError) as caught:
        load_town(path)
    assert len(caught.value.problems) == 1
    return str(caught.value)


def test_a_town_knows_its_file(write_town: Any) -> None:
    directory = write_town(GOOD)
    town = load_town(directory)
    assert town.directory == directory
    assert town.path == directory / "group_vars/all/town.yml"
    assert town.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    assert load_town(town.path) == town


def test_the_inventories_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert inventories_dir() is None
    (tmp_path / "inventories").mkdir()
    assert inventories_dir() == Path("inventories")
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("CIVICOPS_INVENTORIES", str(tmp_path / "other"))
    assert inventories_dir() == tmp_path / "other"
    assert inventories_dir(tmp_path) == tmp_path
    monkeypatch.setenv("CIVICOPS_INVENTORIES", str(tmp_path / "gone"))
    with pytest.raises(TownFileError, match=r"gone: \$CIVICOPS_INVENTORIES is not a directory; name the directory"):
        inventories_dir()


def test_towns_are_directories_with_a_town_file_or_hosts(write_town: Any, tmp_path: Path) -> None:
    towns = write_town(GOOD).parent
    for name in (".git", "_old", "shared", "elm"):
        (towns / name).mkdir()
    for name in (".git", "_old", "elm"):
        (towns / name / "hosts.yml").touch()
    (towns / "README.md").touch()
    assert [path.name for path in find_towns(towns)] == ["elm", "oak"]
    assert town_dir("elm", towns) == towns / "elm"


@pytest.mark.parametrize("name", ["aok", "", ".", "..", "../towns/oak", "/etc", "oak/", "o\x1bk", "shared"])
def test_an_unknown_town_names_the_towns(name: str, write_town: Any) -> None:
    towns = write_town(GOOD).parent
    (towns / "shared").mkdir()
    with pytest.raises(TownFileError, match=r'there is no town "') as caught:
        town_dir(name, towns)
    assert "oak" in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_embedded_town_is_the_last_resort(write_town: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    towns = write_town(GOOD).parent
    embedded = tmp_path / "embedded"
    for root in (embedded, towns):
        (root / "localhost").mkdir(parents=True)
        (root / "localhost" / "hosts.yml").touch()
    monkeypatch.setattr(directories, "embedded_dir", lambda: embedded)
    assert town_dir("localhost", towns) == towns / "localhost"
    (towns / "localhost" / "hosts.yml").unlink()
    assert town_dir("localhost", towns) == embedded / "localhost"
    assert [path.name for path in find_towns(towns)] == ["oak"]
    monkeypatch.chdir(tmp_path)
    assert [path.name for path in find_towns()] == ["localhost"]


def test_no_file(tmp_path: Path) -> None:
    assert "town.yml: there is no such file; begin a town" in problem_of(tmp_path / "oak")


def test_another_extension(write_town: Any) -> None:
    file = write_town(GOOD) / "group_vars/all/town.yml"
    file.rename(file.with_suffix(".yaml"))
    assert "rename town.yaml to town.yml" in problem_of(file)


def test_a_file_in_another_place(tmp_path: Path) -> None:
    (tmp_path / "town.yml").write_text(GOOD)
    assert "not the place of a town file; it is TOWN/group_vars/all/town.yml" in problem_of(tmp_path / "town.yml")


def test_a_link_that_leads_out(write_town: Any, tmp_path: Path) -> None:
    file = write_town(GOOD) / "group_vars/all/town.yml"
    (tmp_path / "outside.yml").write_text(GOOD)
    file.unlink()
    file.symlink_to(tmp_path / "outside.yml")
    assert "a link that leads out of the town's directory" in problem_of(file)
    (file.parent / "real.yml").write_text(GOOD)
    file.unlink()
    file.symlink_to("real.yml")
    assert load_town(file).id == "oak"
    file.unlink()
    file.symlink_to("town.yml")
    assert "can't be read" in problem_of(file)


def test_a_calendar_that_is_a_link_out(write_town: Any, tmp_path: Path) -> None:
    directory = write_town(
        "town:\n  id: oak\n  name: Oak\n  timezone: UTC\n  maintenance: {freezes: [{id: a, kind: court, ics: c.ics}]}\n"
    )
    (tmp_path / "outside.ics").touch()
    (directory / "c.ics").symlink_to(tmp_path / "outside.ics")
    assert '"c.ics" leads out of the town\'s directory' in problem_of(directory)


def test_not_a_file(write_town: Any) -> None:
    directory = write_town(GOOD)
    file = directory / "group_vars/all/town.yml"
    file.unlink()
    os.mkfifo(file)
    assert "not a file" in problem_of(file)
    file.unlink()
    file.mkdir()
    assert "town.yml: can't be read: Is a directory" in problem_of(directory)


def test_too_large(write_town: Any) -> None:
    assert "larger than 1000000 bytes" in problem_of(write_town(GOOD + "#" * MAX_BYTES))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"town:\n  id: oak\n  name: Fr\xe9jus\n", 3),
        (GOOD.encode("utf-16"), 1),
        (b"town:\n  name: \xed\xa0\x80\n", 2),
    ],
    ids=["latin-1", "utf-16", "surrogate"],
)
def test_another_encoding(content: bytes, line: int, write_town: Any) -> None:
    assert f"town.yml:{line}: not UTF-8; save the file in the encoding UTF-8" in problem_of(write_town(content))
