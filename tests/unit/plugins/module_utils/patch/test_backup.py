"""The backup right before a transaction: whether it is complete is judged by its stamp, not by a command's word."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import CommandError
from ansible_collections.civicops.town.plugins.module_utils._patch import backup


def starting(monkeypatch: pytest.MonkeyPatch, stamp: Path, *, status: int = 0, touches: bool = True) -> None:
    def start(argv: list[str], seconds: float) -> tuple[int, bytes]:
        assert argv[-1] == "civicops-backup.service"
        assert seconds == 60.0
        if touches:
            stamp.touch()
        return status, b"Job for civicops-backup.service failed.\nmore" if status else b""

    monkeypatch.setattr(backup, "run_command", start)


def test_a_complete_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    starting(monkeypatch, tmp_path / "stamp")
    assert backup.take(str(tmp_path / "stamp"), 60.0) is None


@pytest.mark.parametrize("old", [True, False])
def test_one_that_left_no_stamp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, old: bool) -> None:
    starting(monkeypatch, tmp_path / "stamp", touches=False)
    if old:
        (tmp_path / "stamp").touch()
        monkeypatch.setattr(backup.time, "time", lambda: (tmp_path / "stamp").stat().st_mtime + 5)
    assert "is not complete" in (backup.take(str(tmp_path / "stamp"), 60.0) or "")


def test_one_that_failed_and_one_that_never_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    starting(monkeypatch, tmp_path / "stamp", status=1)
    assert "not complete: Job for civicops-backup.service failed. (" in (
        backup.take(str(tmp_path / "stamp"), 60.0) or ""
    )

    def hang(argv: list[str], seconds: float) -> tuple[int, bytes]:
        raise CommandError("systemctl: not done within 60 s")

    monkeypatch.setattr(backup, "run_command", hang)
    assert "has not ended: systemctl" in (backup.take(str(tmp_path / "stamp"), 60.0) or "")
