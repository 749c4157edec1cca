"""A host made of files and of commands that answer by them, on which a control is tried in every way."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.civicops.town.plugins.module_utils._baseline.host import Host
from ansible_collections.civicops.town.plugins.module_utils._baseline.model import Params, Reading
from ansible_collections.civicops.town.plugins.module_utils._baseline.reloads import RELOADS
from ansible_collections.civicops.town.plugins.module_utils._baseline.restore import RestorePoint
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import CommandError, Context

Answer = str | tuple[int, str] | Callable[[list[str]], str | tuple[int, str]]


class Bed:
    """The tree is below C(root); C(answers) by the first words of a command; C(ran) is what was run."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.point = folder / "point"
        self.point.mkdir(mode=0o700)
        self.root.mkdir(mode=0o755)
        self.answers: dict[str, Answer] = {}
        self.ran: list[str] = []
        self.units: dict[str, list[str]] = {}  # load, active, enabled
        self.masked: dict[str, str] = {}  # what a masked unit was before
        self.refused_units: set[str] = set()
        self.is_real_machine()

    def is_real_machine(self) -> None:
        self.put("/proc/1/cgroup", "0::/init.scope\n")
        self.put("/proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n")
        (self.root / "run/systemd/system").mkdir(parents=True)

    def is_container(self) -> None:
        self.put("/run/.containerenv", 'engine="podman-4.3.1"\n')

    def put(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        place = self.root / path.lstrip("/")
        for folder in reversed(place.parents):
            if not folder.exists():
                folder.mkdir(mode=0o755)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
        place.chmod(0o755 if "bin/" in path else mode)

    def text(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text()

    def tree(self) -> dict[str, tuple[bytes, int]]:
        return {
            os.path.join(folder, name): ((place := Path(folder, name)).read_bytes(), place.stat().st_mode)  # noqa: PTH118
            for folder, dummy, names in os.walk(self.root)
            for name in names
        }

    def run(self, argv: list[str], seconds: float) -> tuple[int, bytes]:
        if argv[:2] == ["/bin/sh", "-c"]:
            argv = argv[4:]
        command = " ".join([Path(argv[0]).name, *argv[1:]])
        self.ran.append(command)
        if command.startswith("systemctl"):
            return self._systemctl(argv[1:])
        for start, answer in self.answers.items():
            if command.startswith(start):
                found = answer(argv) if callable(answer) else answer
                status, text = found if isinstance(found, tuple) else (0, found)
                return status, text.encode()
        raise CommandError(f"{argv[0]}: not found")

    def _systemctl(self, words: list[str]) -> tuple[int, bytes]:
        words = [word for word in words if word not in ("--no-ask-password", "--no-pager")]
        if words[0] == "show":
            names = words[words.index("--") + 1 :]
            if "ConditionResult" in words[1]:
                result = "no" if names[0] in self.refused_units else "yes"
                return 0, f"ConditionResult={result}\nConditionTimestampMonotonic=5\n".encode()
            if "StateChange" in words[1]:
                return 0, str(self.answers["state change"]).encode()
            blocks = []
            for name in names:
                load, active, enabled = self.units.get(name, ["not-found", "inactive", ""])
                blocks.append(f"Id={name}\nLoadState={load}\nActiveState={active}\nUnitFileState={enabled}\n")
            return 0, "\n".join(blocks).encode()
        if words == ["daemon-reload"]:
            return 0, b""
        verb, unit = words[0], self.units.setdefault(words[-1], ["not-found", "inactive", ""])
        if unit[0] == "not-found":
            return 1, b"no such unit"
        if verb in ("start", "stop") and words[-1] not in self.refused_units:
            unit[1] = "active" if verb == "start" else "inactive"
        if verb in ("enable", "disable"):
            unit[2] = f"{verb}d"
        if verb == "mask":
            self.masked[words[-1]] = unit[2]
            unit[0], unit[2] = "masked", "masked"
        if verb == "unmask" and unit[0] == "masked":
            unit[0], unit[2] = "loaded", self.masked.get(words[-1], "disabled")
        return 0, b""

    def host(self, *, dry: bool = False) -> Host:
        ctx = Context(root=str(self.root), is_root=True, run_command=self.run)
        return Host(ctx, None if dry else RestorePoint(str(self.point), str(self.root)))

    def read(self, kind: Callable[[Params], Any], params: Mapping[str, Any]) -> Reading:
        found: Reading = kind(Params(dict(params))).current(self.host())
        assert len(found.was) <= 200
        return found

    def mended(self, kind: Callable[[Params], Any], params: Mapping[str, Any], monkeypatch: Any) -> Reading:
        """Found broken; check mode changes nothing; mended; nothing to do twice; undone. What is said at the end."""
        control = kind(Params(dict(params)))
        before, units = self.tree(), {name: list(unit) for name, unit in self.units.items()}
        dry = self.host(dry=True)
        assert control.current(dry).mends
        control.apply(dry)
        for name in asked(dry):
            RELOADS[name].check(dry)
            RELOADS[name].apply(dry)
        assert self.tree() == before
        assert {name: list(unit) for name, unit in self.units.items()} == units
        host = self.host()
        control = kind(Params(dict(params)))
        assert control.current(host).mends
        control.apply(host)
        for name in asked(host):
            RELOADS[name].check(host)
            RELOADS[name].apply(host)
        said = self.read(kind, params)
        assert said.ok or (said.stuck and not said.todo), said
        after = self.tree()
        place = "ansible_collections.civicops.town.plugins.module_utils._baseline.restore.run_command"
        monkeypatch.setattr(place, self.run)
        undone = RestorePoint(str(self.point), str(self.root)).undo()
        assert not undone.failed
        assert not undone.left
        assert self.tree() == before
        assert self.units == units
        assert after != before or self.ran
        return said


def asked(host: Host) -> list[str]:
    """The names of the reloads that were asked for."""
    return sorted(host.asked)
