"""`civicops devices` from outside."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.network.kept import CONFIG, START, new
from tests.unit.towns import MakeTown

from civicops.cli.main import run
from civicops.network.platform import find
from civicops.network.sealed import Sealer
from civicops.network.store import New, Store
from civicops.state import TownState


@dataclass(frozen=True)
class Told:
    """What a command said, and its exit status."""

    status: object
    out: str
    err: str


Civicops = Callable[..., Told]


@pytest.fixture
def civicops(
    make_town: MakeTown,
    state: TownState,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Civicops:
    """The command, for a town called riverton with a vault password."""
    make_town()
    monkeypatch.setenv("CIVICOPS_INVENTORIES", str(tmp_path / "inventories"))
    vault = state.directory("vault") / "riverton"
    vault.write_text("password\n")
    vault.chmod(0o600)

    def command(*arguments: str) -> Told:
        with pytest.raises(SystemExit) as end:
            run(["devices", *arguments])
        said = capsys.readouterr()
        return Told(end.value.code or 0, said.out, said.err)

    return command


@pytest.fixture
def kept(civicops: Civicops, state: TownState) -> Civicops:
    """The same, where three devices were kept: `core` changed once, `odd` is of a platform that nobody knows."""
    sealer = Sealer.from_identities([f"riverton@{state.root}/vault/riverton"])
    texts = [CONFIG, CONFIG.replace("desk 7\n", "the mayor\n").replace("hostname core", "hostname \x1b[31mcore")]
    for number, text in enumerate(texts):
        store = Store(state, sealer.seal, now=lambda at=number: START + timedelta(hours=at))  # type: ignore[misc]
        odd = replace(new("odd", "x\n", words="what \x1b[2J it is"), platform="odd\x1bos")
        core = replace(new("core", text, words=f"change {number}"), startup=b"startup\n")
        store.keep([core, odd, new("edge")], run=f"network-{number}")
    return civicops


def test_the_list(kept: Civicops) -> None:
    told = kept("riverton")
    assert told.status == 0
    size, odd_size = len(new("edge").raw), len(new("odd", "x\n").raw)
    rows = [" ".join(line.split()) for line in told.out.splitlines()]
    assert rows[0] == "device platform whole changed versions bytes lines"
    assert rows[1].startswith("core cisco_ios tested 2027-03-14 03:00Z 2027-03-14 03:00Z 2 ")
    assert rows[2] == f"edge cisco_ios tested 2027-03-14 03:00Z 2027-03-14 02:00Z 1 {size} 51"
    assert rows[3] == f"odd odd os unknown 2027-03-14 03:00Z 2027-03-14 02:00Z 1 {odd_size} 3"
    assert "\x1b" not in told.out


def test_the_list_as_json(kept: Civicops) -> None:
    core, edge, odd = json.loads(kept("riverton", "--json").out)
    assert [core["device"], edge["device"], odd["device"]] == ["core", "edge", "odd"]
    assert core["versions"] == ["20270314T020000Z", "20270314T030000Z"]
    assert (core["tested"], odd["tested"]) == (True, None)
    assert (edge["seen"], edge["changed"]) == ("2027-03-14T03:00:00.000000Z", "2027-03-14T02:00:00.000000Z")


def test_a_town_without_devices(civicops: Civicops, state: TownState) -> None:
    assert civicops("riverton").out == "riverton has no device's configuration yet: civicops run network riverton\n"
    assert json.loads(civicops("riverton", "--json").out) == []
    told = civicops("riverton", "verify")
    assert (told.status, told.out) == (2, "")
    assert "has no device's configuration to verify" in told.err
    assert not (state.root / "network/configs").exists()


def test_the_diff(kept: Civicops) -> None:
    told = kept("riverton", "diff", "core")
    assert told.status == 0
    assert "- description desk 7\n+ description the mayor\n" in told.out
    assert "\x1b" not in told.out
    assert "+hostname  [31mcore\n" in told.out
    assert kept("riverton", "diff", "core", "--since", "2027-03-14T02:30").out == told.out
    assert kept("riverton", "diff", "core", "--since", "2027-03-14T04:30+01:00").out == "core: no change\n"
    assert kept("riverton", "diff", "core", "--since", "2027-03-15").out == "core: no change\n"
    whole = kept("riverton", "diff", "core", "--last", "2").out
    assert whole.startswith("@@ -0,0 +1,49 @@\n")
    assert json.loads(kept("riverton", "diff", "core", "--json").out)["diff"].count("\n+") == 2


def test_the_history(kept: Civicops, state: TownState) -> None:
    told = kept("riverton", "history", "core")
    lines = [line.split("  ") for line in told.out.splitlines()]
    assert [line[0] for line in lines] == ["2027-03-14 03:00Z", "2027-03-14 02:00Z"]
    assert [line[2:] for line in lines] == [
        ["20270314T030000Z", "core: change 1"],
        ["20270314T020000Z", "core: change 0"],
    ]
    assert "odd: what  [2J it is\n" in kept("riverton", "history", "odd").out
    commits = json.loads(kept("riverton", "history", "core", "--json").out)
    assert [one["run"] for one in commits] == ["network-1", "network-0"]
    assert commits[0]["id"].startswith(lines[0][1])


def test_verify(kept: Civicops, state: TownState) -> None:
    told = kept("riverton", "verify")
    assert (told.status, told.err) == (0, "")
    assert told.out == "riverton: 4 raw file(s) of 3 device(s) decrypt, and are what was kept\n"
    assert kept("riverton", "verify", "--all").out.startswith("riverton: 6 raw file(s) of 3 device(s)")
    (state.root / "network/raw/core/20270314T020000Z.running").write_bytes(b"x")
    assert kept("riverton", "verify").status == 0
    told = kept("riverton", "verify", "--all")
    assert (told.status, told.out) == (5, "")
    assert told.err.startswith("core: 20270314T020000Z.running: it does not decrypt: ")
    told = kept("riverton", "verify", "--all", "--json")
    assert told.status == 5
    document = json.loads(told.out)
    assert (document["good"], document["checked"]) == (False, 6)
    assert [(one["device"], one["file"]) for one in document["problems"]] == [("core", "20270314T020000Z.running")]


def test_verify_with_another_password(kept: Civicops, state: TownState, tmp_path: Path) -> None:
    (state.root / "vault/riverton").rename(tmp_path / "right")
    told = kept("riverton", "verify")
    assert told.status == 2
    assert f"put the town's vault password into {state.root}/vault/LABEL" in told.err
    (tmp_path / "wrong").write_text("wrong\n")
    told = kept("riverton", "verify", "--vault-id", f"riverton@{tmp_path}/wrong")
    assert told.status == 5
    assert len(told.err.splitlines()) == 4
    assert kept("riverton", "verify", "--vault-id", f"riverton@{tmp_path}/right").status == 0
    assert "give LABEL@FILE" in kept("riverton", "verify", "--vault-id", "riverton").err


def test_export(kept: Civicops, tmp_path: Path) -> None:
    output = tmp_path / "core.cfg"
    told = kept("riverton", "export", "core", "--output", str(output))
    assert (told.status, told.err) == (0, "")
    assert b"hunter2" in output.read_bytes()
    assert output.read_bytes().startswith(b"hostname \x1b[31mcore\n")
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert "hunter2" not in told.out
    assert find("cisco_ios")[0].restore.strip() in told.out
    older = tmp_path / "older.cfg"
    kept("riverton", "export", "core", "--output", str(older), "--version", "20270314T020000Z")
    assert older.read_bytes() == new("core").raw
    startup = tmp_path / "startup.cfg"
    document = kept("riverton", "export", "core", "--startup", "--output", str(startup), "--json").out
    assert startup.read_bytes() == b"startup\n"
    assert json.loads(document)["version"] == "20270314T030000Z"
    assert "no way back is written down" in kept("riverton", "export", "odd", "--output", str(tmp_path / "odd")).out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["riverton", "look"], "'look' is none of list, diff, history, verify, export"),
        (["riverton", "diff"], "diff wants a DEVICE"),
        (["riverton", "verify", "core"], "it takes no DEVICE"),
        (["riverton", "diff", "nobody"], "riverton has no configuration of 'nobody'"),
        (["riverton", "history", "../core"], "has no configuration of"),
        (["riverton", "diff", "core", "--since", "yesterday"], "--since yesterday: give a day"),
        (["riverton", "diff", "core", "--last", "0"], "--last"),
        (["riverton", "export", "core"], "export wants --output FILE"),
        (["riverton", "export", "core", "--output", "-"], "give a new file"),
        (["riverton", "export", "core", "--output", "/dev/stdout"], "give a new file"),
        (["riverton", "export", "core", "--output", "/nowhere/x"], "its directory is not there"),
        (["riverton", "export", "core", "--output", "NEW", "--version", "x"], "no raw version 'x'"),
        (["riverton", "export", "edge", "--output", "NEW", "--startup"], "no startup configuration"),
        (["elm"], 'there is no town "elm"'),
    ],
)
def test_it_is_bad_input(kept: Civicops, tmp_path: Path, arguments: list[str], told: str) -> None:
    said = kept(*(str(tmp_path / "new") if one == "NEW" else one for one in arguments))
    assert said.status == 2
    assert told in " ".join(said.err.replace("│", " ").split())
    assert said.out == ""
    assert not (tmp_path / "new").exists()


def test_an_export_overwrites_nothing(kept: Civicops, tmp_path: Path) -> None:
    there, link = tmp_path / "there", tmp_path / "link"
    there.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    for path in (there, link):
        assert "give a new file" in kept("riverton", "export", "core", "--output", str(path)).err
    assert there.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_file_is_not_exported(kept: Civicops, state: TownState, tmp_path: Path) -> None:
    Store(state).raw_file("core").write_bytes(b"x")
    said = kept("riverton", "export", "core", "--output", str(tmp_path / "new"))
    assert said.status == 2
    assert said.err.startswith("civicops: core: 20270314T030000Z.running: it does not decrypt: ")
    assert not (tmp_path / "new").exists()


def test_no_secret_on_any_output(kept: Civicops, tmp_path: Path) -> None:
    said = [
        kept("riverton"),
        kept("riverton", "--json"),
        kept("riverton", "diff", "core", "--last", "9"),
        kept("riverton", "history", "core"),
        kept("riverton", "verify", "--all"),
        kept("riverton", "export", "core", "--output", str(tmp_path / "new")),
    ]
    assert not any("hunter2" in one.out + one.err for one in said)
    assert "password\n" not in "".join(one.out + one.err for one in said)


def test_as_a_process_of_its_own(kept: Civicops, tmp_path: Path) -> None:
    program = "from civicops.cli.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", program, "devices", "riverton", "verify"],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("riverton: 4 raw file(s)")


def test_new_is_not_shown_with_its_secrets() -> None:
    assert "hunter2" not in repr(new("core")) + repr(New("core", "x", b"hunter2", "hunter2", "", b"hunter2"))
