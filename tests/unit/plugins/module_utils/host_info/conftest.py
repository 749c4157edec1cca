"""A host made of files and command answers, for collectors that read the real one through a Context."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import CommandError, Context

NOW = 1_763_900_000.0  # 2025-11-23T12:13:20Z

MakeHost = Callable[..., Context]


@pytest.fixture
def host(tmp_path: Path) -> MakeHost:
    def make(
        files: dict[str, str | bytes] | None = None, answers: dict[str, str] | None = None, **more: object
    ) -> Context:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        for name, content in (files or {}).items():
            path = root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            if "bin/" in name:
                path.chmod(0o755)

        def run(argv: list[str], seconds: float) -> tuple[int, bytes]:
            command = " ".join([Path(argv[0]).name, *argv[1:]])
            for start, answer in (answers or {}).items():
                if command.startswith(start):
                    return 0, answer.encode()
            raise CommandError(f"{argv[0]}: not found")

        return Context(**{"root": str(root), "is_root": True, "now": NOW, "run_command": run, **more})

    return make
