"""What the modules are given, and the program that they send."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_work import bundle
from ansible_collections.civicops.town.plugins.module_utils._patch import night
from ansible_collections.civicops.town.plugins.module_utils._patch.chain import PARTS
from ansible_collections.civicops.town.plugins.module_utils._patch.lengths import OptionError, seconds
from ansible_collections.civicops.town.plugins.module_utils._patch.options import limits_of, policy_of, work_of
from ansible_collections.civicops.town.plugins.module_utils._patch.specs import selection_spec, work_spec
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "value"),
    [("90s", 90.0), ("5m", 300.0), ("1h30m", 5400.0), ("7d", 604800.0), (" 2m ", 120.0), ("90", 90.0), (90, 90.0),
     ("0s", 0.0)],
)  # fmt: skip
def test_lengths(text: Any, value: float) -> None:
    assert seconds("x", text) == value


@pytest.mark.parametrize(
    "text", ["", "m", "5 m", "-5m", "1.5h", "5w", "5m!", None, True, [], "²", "٣m", "1e3", "5M", "9" * 400]
)
def test_what_is_no_length_is_named(text: Any) -> None:
    with pytest.raises(OptionError, match=r"lock_wait is .*give a length such as"):
        seconds("lock_wait", text)


@given(st.text(max_size=20))
def test_a_length_is_a_number_or_an_error(text: str) -> None:
    try:
        assert seconds("x", text) >= 0
    except OptionError as error:
        assert len(str(error)) < 300


def params(**more: Any) -> dict[str, Any]:
    spec = selection_spec() | work_spec()
    return {name: one.get("default") for name, one in spec.items()} | more


def test_defaults_are_what_the_docs_say() -> None:
    limits, policy, work = limits_of(params()), policy_of(params()), work_of(params())
    assert (limits.lists_max_age, limits.backup_max_age, limits.clock_skew) == (7 * 86400.0, None, 300.0)
    assert (limits.block_users, limits.repair, policy.values()["scope"]) == (False, False, "security")
    assert work == {"probes": [], "probe_grace": 120.0, "lock_wait": 120, "reboot_seconds": 300.0}


def test_probes_are_read_before_anything_is_begun() -> None:
    told = work_of(params(probes=[{"kind": "port", "port": 22, "timeout": "1m", "name": None}]))
    assert told["probes"] == [{"kind": "port", "port": 22, "timeout": 60.0}]
    for probe, line in (({"kind": "ping"}, r"probes\[1\]: a probe's kind is 'ping'"), ({"kind": "port", "timeout": "x"},
                        r"probes\[1\].timeout is 'x'")):  # fmt: skip
        with pytest.raises(OptionError, match=line):
            work_of(params(probes=[{"kind": "port", "port": 22}, probe]))


# --- the program -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("program") / bundle.PROGRAM
    place.write_bytes(bundle.program(night, PARTS))
    return Path(place)


def test_the_program_runs_alone_and_says_what_it_lacks(program: Path) -> None:
    environment = {"CIVICOPS_WORK": str(program.parent), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-I", str(program)], env=environment, cwd="/", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, f"{program.parent}/request.json is not there\n")


def test_the_program_holds_its_parts_and_nothing_else(program: Path) -> None:
    with zipfile.ZipFile(program) as archive:
        names = archive.namelist()
    assert {"__main__.py", "civicops/__init__.py", "civicops/_patch/night.py", "civicops/_host_work/wrapper.py"} <= {
        *names
    }
    assert len(names) == len(set(names))
    parts = {name.split("/")[1] for name in names if name.count("/") == 2}
    assert parts == {"_host_info", "_host_work", "_patch"}
    assert program.stat().st_size < 200_000


@pytest.mark.skipif(sys.version_info < (3, 9), reason="feature_version")
def test_every_part_is_python_3_9(program: Path) -> None:
    """By its grammar; annotations are texts, as each file says first."""
    with zipfile.ZipFile(io.BytesIO(program.read_bytes())) as archive:
        for name in archive.namelist():
            text = archive.read(name).decode()
            tree = ast.parse(text, name, feature_version=(3, 9))
            assert not [node for node in ast.walk(tree) if isinstance(node, ast.Match)], name
            if len(tree.body) > 1 and name != "__main__.py":
                assert "from __future__ import annotations" in text, name


def test_a_part_without_a_text_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loader:
        def get_source(self, name: str) -> None:
            return None

    monkeypatch.setattr(night, "__loader__", Loader())
    with pytest.raises(ValueError, match="night"):
        bundle.program(night, PARTS)
