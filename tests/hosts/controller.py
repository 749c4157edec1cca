"""The operator's side: ansible-playbook and civicops from the virtual environment, with one town's environment."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.hosts.tools import run

Done = subprocess.CompletedProcess[str]
ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent  # the virtual environment, whose python runs the tests


@dataclass
class Controller:
    """Runs commands as an operator of one town would; nothing of this user's own configuration takes part."""

    town: str
    inventories: Path
    state: Path
    sockets: Path  # short, since a socket's path may have 108 bytes at most
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What every command gets: towns, state, and a home of its own."""
        kept = {key: os.environ[key] for key in ("LANG", "LC_ALL", "CI", "TERM") if key in os.environ}
        home = self.state.parent / "home"
        home.mkdir(exist_ok=True)
        mine = {
            "HOME": str(home),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "LANG": kept.get("LANG", "C.UTF-8"),
            "CIVICOPS_INVENTORIES": str(self.inventories),
            "CIVICOPS_STATE": str(self.state),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.sockets),
            "ANSIBLE_NOCOLOR": "1",
        }
        return kept | mine | self.extra

    def run(
        self, *argv: str | Path, stdin: str | None = None, timeout: float = 300, env: dict[str, str] | None = None
    ) -> Done:
        """Run any program with the town's environment; the exit status is the caller's to judge."""
        return run(
            list(map(str, argv)),
            stdin=stdin,
            timeout=timeout,
            check=False,
            env=self.environment | (env or {}),
            cwd=ROOT,
        )

    def start(self, *argv: str | Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a program without waiting, as leader of a process group of its own, so that it can be killed."""
        return subprocess.Popen(
            list(map(str, argv)),
            env=self.environment | (env or {}),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def civicops(self, *argv: str, stdin: str | None = None, timeout: float = 300, **env: str) -> Done:
        """Run the `civicops` command."""
        return self.run(BIN / "civicops", *argv, stdin=stdin, timeout=timeout, env=env)

    def playbook(self, *argv: str | Path, stdin: str | None = None, timeout: float = 300, **env: str) -> Done:
        """Run `ansible-playbook` on the town's inventory, host keys checked against the town's known_hosts."""
        return self._ansible("ansible-playbook", *argv, stdin=stdin, timeout=timeout, env=env)

    def ansible(self, *argv: str, stdin: str | None = None, timeout: float = 300, **env: str) -> Done:
        """Run one task: `controller.ansible("web1", "-m", "ping")`."""
        return self._ansible("ansible", *argv, stdin=stdin, timeout=timeout, env=env)

    def _ansible(self, program: str, *argv: str | Path, stdin: str | None, timeout: float, env: dict[str, str]) -> Done:
        known = f"-o UserKnownHostsFile={self.state / self.town / 'known_hosts'} -o StrictHostKeyChecking=yes"
        ssh = {"ANSIBLE_HOST_KEY_CHECKING": "True", "ANSIBLE_SSH_COMMON_ARGS": known}
        inventory = self.inventories / self.town
        return self.run(BIN / program, "-i", inventory, *argv, stdin=stdin, timeout=timeout, env=ssh | env)
