"""The client's program, asked by an administrator."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._backup import client, dumps, kept
from ansible_collections.civicops.town.plugins.module_utils._backup.config import Dump, parsed

PAY = Dump("pay", "command", command=("/bin/echo", "1234"))
Ask = Callable[..., int]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """A host that dumps two things, of which one was taken, and was larger."""
    (tmp_path / "dumps").mkdir()
    dumps.take(PAY, str(tmp_path / "dumps"), None)
    kept.write({"running": None, "runs": [], "complete": None, "dumps": {"pay": 900, "list": 7}}, str(tmp_path))
    values = [{"name": "pay", "kind": "command", "command": ["x"]}, {"name": "list", "kind": "ldap"}]
    monkeypatch.setattr(client, "KEPT", str(tmp_path))
    monkeypatch.setattr(client, "load", lambda: parsed({"paths": ["/etc"], "dumps": values}))
    real_read, real_write = kept.read, kept.write
    monkeypatch.setattr(kept, "read", lambda: real_read(str(tmp_path)))
    monkeypatch.setattr(kept, "write", lambda state: real_write(state, str(tmp_path)))

    def answer(*words: str) -> int:
        monkeypatch.setattr(client.sys, "argv", ["backup.pyz", *words])
        mask = os.umask(0o077)
        try:
            done: int = client.main()
            return done
        finally:
            os.umask(mask)

    return answer


def sizes(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / kept.STATE).read_text())["dumps"]
    return found


def test_a_dump_that_has_shrunk_is_accepted_and_good_the_next_time(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dumps.take(PAY, str(tmp_path / "dumps"), sizes(tmp_path)["pay"])["outcome"] == "shrunk"
    assert ask("accept", "pay") == 0
    assert capsys.readouterr().out == "pay: 5 bytes are good from now on; 900 were before\n"
    assert sizes(tmp_path) == {"pay": 5, "list": 7}
    assert dumps.take(PAY, str(tmp_path / "dumps"), sizes(tmp_path)["pay"])["outcome"] == "good"
    assert ask("accept", "pay") == 0, "twice does no harm"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("accept",), 2, "usage: backup.pyz [accept DUMP]"),
        (("accept", "pay", "list"), 2, "usage"),
        (("pay",), 2, "usage"),
        (("accept", "payroll"), 2, "there is no dump payroll; there are list, pay"),
        (("accept", "../pay"), 2, "there is no dump ../pay"),
        (("accept", "list"), 1, "not accepted: there is no dump list yet"),
    ],
)
def test_what_can_not_be_accepted_is_told(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, said: str
) -> None:
    assert ask(*words) == status
    assert said in capsys.readouterr().err
    assert sizes(tmp_path) == {"pay": 900, "list": 7}


def test_nothing_is_accepted_while_a_backup_is_made(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert ask("accept", "pay") == 1
    assert capsys.readouterr().err == "not accepted: a backup is being made already\n"
    assert sizes(tmp_path)["pay"] == 900
