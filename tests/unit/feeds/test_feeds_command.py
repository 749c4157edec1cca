"""`civicops feeds`: what it prints, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.feeds.samples import cves, kev, osv, osv_lines

from civicops.cli.main import run
from civicops.feeds.format import formats
from civicops.feeds.store import Index

pytestmark = pytest.mark.usefixtures("state")


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        run(["feeds", *arguments])
    return int(end.value.code or 0)


def test_a_directory_says_what_it_was_and_what_was_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kev.json").write_text(kev(*cves(3)))
    (tmp_path / "README.md").write_text("about these files")
    (tmp_path / "osv.jsonl").write_text(osv_lines(osv("DSA-1", ("Debian:12", "a", "$(x)"))))
    assert command("import", str(tmp_path)) == 2
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "kev: 3 entries of 2026-08-07 from kev.json",
        "left out: README.md: no feed that is known here",
    ]
    assert err.splitlines() == ["civicops: osv-debian: DSA-1: a: fixed: '$(x)' is no version"]
    (tmp_path / "osv.jsonl").unlink()
    assert command("import", str(tmp_path), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["imported"][0]["unchanged"] is True
    assert told["left_out"] == [{"file": "README.md", "why": "no feed that is known here"}]


def test_status_names_what_is_there_and_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kev.json").write_text(kev(*cves(3)))
    assert command("import", str(tmp_path / "kev.json")) == 0
    capsys.readouterr()
    assert command("status", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    (there,) = told["feeds"]
    assert (there["name"], there["origin"], there["count"], there["licence"]) == ("kev", "kev.json", 3, "CC0-1.0")
    assert {*told["missing"], "kev"} == {name for one in formats() for name in one.feeds}
    assert command("status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith(("kev ", "epss "))] == ["2026-08-07", "missing"]


@pytest.mark.parametrize("there", [True, False])
def test_what_is_no_feed_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: bool
) -> None:
    path = tmp_path / "letter\x1b[2J.txt"
    if there:
        path.write_text("Dear Sirs")
    assert command("import", str(path)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1 and "\x1b" not in err
    assert Index().status() == {}


def test_a_state_that_is_no_directory(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CIVICOPS_STATE", "/etc/passwd")
    assert command("status") == 2
    assert capsys.readouterr().err.startswith("civicops: /etc/passwd")


def test_an_empty_directory_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert command("import", str(tmp_path / "empty")) == 2
    assert "no feed in what was given" in capsys.readouterr().err
