"""The door to the host: bounded, and never waiting."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_info import context
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import CommandError, Context, run_command


def test_a_long_file_is_cut_and_noted(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 2000)
    ctx = Context(root=str(tmp_path))
    assert len(ctx.read("/long", 1000)) == 1000
    assert ctx.unread_items == {"/long": "truncated: only the first 1000 bytes were read"}


def test_the_beginning_alone_is_no_cut(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 2000)
    ctx = Context(root=str(tmp_path))
    assert len(ctx.head("/long", 1000)) == 1000
    assert ctx.unread_items == {}


def test_a_pipe_in_place_of_a_file_does_not_make_us_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "authorized_keys")
    with pytest.raises(OSError, match="not a regular file"):
        Context(root=str(tmp_path)).read("/authorized_keys")


def test_bytes_that_are_no_utf8_become_text(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"a\xff\xfe\0b")
    assert Context(root=str(tmp_path)).read("/odd") == "a\ufffd\ufffd\ufffdb"


def test_a_command_has_no_terminal_no_input_and_the_c_locale() -> None:
    status, output = run_command(["/bin/sh", "-c", "read x; echo $LC_ALL $TZ; [ -t 0 ] || echo none; exit 3"], 5)
    assert (status, output) == (3, b"C UTC\nnone\n")


def test_a_slow_command_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(CommandError, match="no end after"):
        run_command(["/bin/sleep", "30"], 0.2)
    assert time.monotonic() - started < 5


def test_a_command_that_closes_its_output_and_stays_is_ended() -> None:
    with pytest.raises(CommandError, match="no end after"):
        run_command(["/bin/sh", "-c", "exec >&-; sleep 30"], 0.2)


def test_a_talkative_command_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "OUTPUT_LIMIT", 100_000)
    with pytest.raises(CommandError, match="bytes of output"):
        run_command(["/bin/sh", "-c", "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"], 5)


def test_a_missing_command_is_named() -> None:
    with pytest.raises(CommandError, match="/nowhere/tool"):
        run_command(["/nowhere/tool"], 1)


def test_reasons_are_in_an_administrators_words(tmp_path: Path) -> None:
    ctx = Context(root=str(tmp_path), is_root=False)
    ctx.unread_error("a", PermissionError(13, "Permission denied", f"{tmp_path}/etc/shadow"))
    ctx.unread_error("b", FileNotFoundError(2, "No such file or directory", f"{tmp_path}/etc/passwd"))
    assert ctx.unread_items == {"a": "needs root", "b": "No such file or directory: /etc/passwd"}


def test_a_command_that_was_started_early_is_not_run_twice(tmp_path: Path) -> None:
    ctx = Context()
    log = tmp_path / "log"
    words = ["/bin/sh", "-c", f"echo run >> {log}; echo answer"]
    ctx.start(words)
    assert ctx.run(words) == (0, "answer\n")
    assert log.read_text() == "run\n"
    assert ctx.started == {}


def test_what_was_started_and_never_asked_for_is_ended() -> None:
    ctx = Context()
    ctx.start(["/bin/sleep", "60"])
    (process,) = ctx.started.values()
    ctx.close()
    assert process.returncode is not None
