"""The campaign's page keeps what was found before, also where only one part is run anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests import campaign


def test_a_part_that_is_run_anew_leaves_the_others_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken: list[str] = []
    parts = tuple(
        replace(part, run=lambda seed, size, name=part.name: ([f"{name} {seed} {size}"], broken))
        for part in campaign.PARTS
    )
    monkeypatch.setattr(campaign, "PARTS", parts)
    assert campaign.main(["--seed", "3"], tmp_path) == 0
    broken.append("night 4: web1 was worked on twice")
    assert campaign.main(["--only", "patch-nights", "--patch-nights", "7"], tmp_path) == 1
    page = (tmp_path / "campaign.md").read_text()
    assert [line for line in page.splitlines() if line.startswith(("checkups", "patch-nights", "gate"))] == [
        "checkups 3 200",
        "patch-nights 1 7",
        "gate 3 10000",
    ]
    assert page.count("**Broken promises: 0.**") == len(parts) - 1
    assert "- night 4: web1 was worked on twice" in page
