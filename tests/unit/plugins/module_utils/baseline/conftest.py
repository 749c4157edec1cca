"""A small host on a temporary tree, and the life of a control on it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._baseline import restore
from ansible_collections.civicops.town.plugins.module_utils._baseline.host import Host
from ansible_collections.civicops.town.plugins.module_utils._baseline.model import Params, Reading
from ansible_collections.civicops.town.plugins.module_utils._baseline.restore import RestorePoint
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import CommandError, Context

Answer = tuple[int, str] | Callable[[list[str]], tuple[int, str]]
NOW = 1_800_000_000.0  # 2027-01-15


class Box:
    """A host: C(files) are written with C(put), commands answer from C(answers) by their first word."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "root"
        self.root.mkdir()
        self._points = tmp_path / "points"
        self._points.mkdir()
        self.answers: dict[str, Answer] = {}
        self.asked: list[list[str]] = []
        self.undone: list[list[str]] = []

    def put(self, path: str, text: str | bytes = "", mode: int = 0o644, owner: tuple[int, int] | None = None) -> Path:
        real = self.root / path.lstrip("/")
        real.parent.mkdir(parents=True, exist_ok=True)
        real.write_bytes(text if isinstance(text, bytes) else text.encode())
        real.chmod(mode)
        if owner:
            os.chown(real, *owner)
            real.chmod(mode)
        return real

    def folder(self, path: str, mode: int = 0o755, owner: tuple[int, int] | None = None) -> Path:
        real = self.root / path.lstrip("/")
        real.mkdir(parents=True, exist_ok=True)
        if owner:
            os.chown(real, *owner)
        real.chmod(mode)
        return real

    def link(self, path: str, target: str) -> None:
        real = self.root / path.lstrip("/")
        real.parent.mkdir(parents=True, exist_ok=True)
        real.symlink_to(target)

    def program(self, *names: str) -> None:
        for name in names:
            self.put(f"/usr/bin/{name}", "", 0o755)

    def text(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_bytes().decode("utf-8", "surrogateescape")

    def mode(self, path: str) -> int:
        return stat.S_IMODE((self.root / path.lstrip("/")).lstat().st_mode)

    def tree(self) -> dict[str, Any]:
        """Everything that can be seen of it, but times of directories."""
        found: dict[str, Any] = {}
        for path in sorted(self.root.rglob("*")):
            info = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
            found[str(path)] = (info.st_mode, info.st_uid, info.st_gid, content)
        return found

    def run(self, argv: list[str], seconds: float) -> tuple[int, bytes]:
        del seconds
        self.asked.append(argv)
        answer = self.answers.get(argv[0])
        if answer is None:
            raise CommandError(f"{argv[0]}: not found")
        status, output = answer(argv) if callable(answer) else answer
        return status, output.encode()

    def host(self, point: RestorePoint | None = None) -> Host:
        return Host(Context(root=str(self.root), is_root=True, now=NOW, run_command=self.run), point)

    def point(self) -> RestorePoint:
        folder = self._points / str(len(list(self._points.iterdir())))
        folder.mkdir()
        return RestorePoint(str(folder), str(self.root))

    def look(self, kind: Any, params: dict[str, Any], host: Host | None = None) -> Reading:
        return kind(Params(params)).current(host or self.host())  # type: ignore[no-any-return]

    def mend(self, kind: Any, params: dict[str, Any]) -> tuple[Reading, Reading, RestorePoint]:
        """Found, predicted without a trace, mended, and nothing left to do the second time."""
        before = self.tree()
        dry = self.host()
        control = kind(Params(params))
        found = control.current(dry)
        assert found.mends, found
        assert len(found.was) <= 200
        control.apply(dry)
        would = control.current(dry)
        assert not would.mends and (would.ok or would.stuck), would
        assert self.tree() == before, "check mode changes nothing"

        point = self.point()
        host = self.host(point)
        control = kind(Params(params))
        assert control.current(host) == found
        control.apply(host)
        after = control.current(host)
        assert not after.mends and (after.ok or after.stuck), after
        assert (after.ok, after.was) == (would.ok, would.was), "what check mode predicted"
        written = {path: pair[1] for path, pair in host.touched.items()}
        assert {path: one.content if one else None for path, one in written.items()} == {
            path: pair[1].content if pair[1] else None for path, pair in dry.touched.items()
        } or any(argv[0] in ("update-grub", "grubby") for argv in self.asked)

        again = kind(Params(params)).current(self.host())
        assert not again.mends, "the second time there is nothing to do"
        return found, after, point

    def cycle(self, kind: Any, params: dict[str, Any]) -> dict[str, Any]:
        """The same, and taken back byte for byte; what the tree was in between."""
        before = self.tree()
        dummy, dummy, point = self.mend(kind, params)
        between = self.tree()
        done = point.undo()
        assert (done.left, done.failed) == ([], [])
        assert self.tree() == before, "taken back"
        return {path[len(str(self.root)) :]: what for path, what in between.items()}


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    made = Box(tmp_path)

    def undo(argv: list[str], seconds: float) -> tuple[int, bytes]:
        del seconds
        made.undone.append(argv)
        return 0, b""

    monkeypatch.setattr(restore, "run_command", undo)
    return made
