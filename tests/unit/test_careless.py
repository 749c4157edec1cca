"""What goes wrong on the engineer's side ends in one line that names it, and in the documented exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CIVICOPS = str(Path(sys.executable).with_name("civicops"))
HOSTS = "all:\n  vars: {{ansible_connection: local, ansible_python_interpreter: {python}}}\n  hosts: {hosts}\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A town called oak whose one host is this machine, seen by a Python that takes its time."""
    folder = tmp_path / "site/inventories/oak"
    (folder / "group_vars/all").mkdir(parents=True)
    (folder / "group_vars/all/town.yml").write_text("town: {id: oak, name: Oak, timezone: UTC}\n")
    slow = tmp_path / "slow-python"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    (folder / "hosts.yml").write_text(HOSTS.format(python=slow, hosts="{pc1: }"))
    (tmp_path / "home").mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "CIVICOPS_INVENTORIES": str(folder.parent),
        "CIVICOPS_STATE": str(tmp_path / "state"),
    }


def civicops(environment: dict[str, str], *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CIVICOPS, *arguments],
        env=environment | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    ("arguments", "more", "told"),
    [
        (["ledger", "verify", "oak", "--anchor-file", "/dev/null"], {}, "holds no anchor of oak"),
        (["report", "oak"], {"CIVICOPS_STATE": "/etc/passwd"}, "/etc/passwd: File exists"),
        (["report", "oak"], {"CIVICOPS_STATE": "~no-such-user/x"}, "set CIVICOPS_STATE"),
        (["report", "oak"], {"CIVICOPS_LEDGER_URL": "nonsense"}, "CIVICOPS_LEDGER_URL"),
        (["report", "oak", "--output", "/proc/x"], {}, "choose another --output"),
        (["checkup", "oak", "--output", "/proc/x"], {}, "choose another --output"),
        (["checkup", "oak", "--limit", ""], {}, "every host"),
        (["checkup", "oak", "--limit", ","], {}, "every host"),
        (["checkup", "oak", "--limit", "["], {}, "every host"),
        (["checkup", "oak", "--limit", "@/dev/null"], {}, "the file is empty"),
        (["checkup", "oak", "--limit", "@/nowhere"], {}, "@/nowhere"),
        (["checkup", "oak", "--limit", "--version"], {}, "--version"),
        (["checkup", "oak", "-K"], {}, "no password was given"),
        (["checkup", "elm"], {}, 'there is no town "elm"'),
        (["checkup", "../oak"], {}, "there is no town"),
        (["ledger", "anchor", "oak", "--append", "/nowhere/x"], {}, "/nowhere/x: can't be written"),
    ],
)
def test_it_is_bad_input(environment: dict[str, str], arguments: list[str], more: dict[str, str], told: str) -> None:
    done = civicops(environment, *arguments, **more)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_output_that_can_not_be_written_is_told(environment: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [CIVICOPS, "report", "oak"], env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith("civicops: ")
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("left", [0, 16_384, 65_536, 200_000])
def test_a_full_disk_is_told_and_breaks_nothing(environment: dict[str, str], small_disk: Path, left: int) -> None:
    environment["CIVICOPS_STATE"] = str(small_disk / "state")
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (1_000_000 - left))
    done = civicops(environment, "report", "oak")
    assert done.returncode in (0, 2), done.stderr
    if done.returncode:
        assert done.stderr.startswith("civicops: ")
        assert "Traceback" not in done.stderr
    filler.unlink()
    assert civicops(environment, "report", "oak").returncode == 0
    assert civicops(environment, "ledger", "verify", "oak").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_cancels_the_run(environment: dict[str, str], number: int) -> None:
    running = subprocess.Popen(
        [CIVICOPS, "checkup", "oak"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while not any("Ask the host" in path.read_text() for path in _journals(environment)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    running.send_signal(number)
    _, stderr = running.communicate(timeout=90)
    assert running.returncode == 4, stderr
    assert "Traceback" not in stderr
    assert "cancelled" in civicops(environment, "runs", "oak").stdout


def _journals(environment: dict[str, str]) -> list[Path]:
    return list(Path(environment["CIVICOPS_STATE"]).glob("oak/runs/*/journal.jsonl"))


def test_a_locale_that_is_not_there_does_not_matter(environment: dict[str, str]) -> None:
    for locale in ("C", "xx_YY.ISO-8859-1"):
        done = civicops(environment, "checkup", "oak", "--limit", "nobody", LC_ALL=locale)
        assert "locale" not in done.stderr
        assert "nobody" in done.stderr


def here(environment: dict[str, str], hosts: str) -> None:
    """Give the town hosts that are this machine."""
    inventory = Path(environment["CIVICOPS_INVENTORIES"]) / "oak/hosts.yml"
    inventory.write_text(HOSTS.format(python=sys.executable, hosts=hosts))


def test_a_host_whose_name_no_document_can_carry_has_failed(environment: dict[str, str]) -> None:
    here(environment, f"{{pc1: , {'x' * 256}: }}")
    done = civicops(environment, "checkup", "oak")
    assert done.returncode == 1, done.stderr
    assert "1 of 2 hosts answered" in done.stdout
    assert "has 256 characters" in done.stderr


def test_names_that_are_paths_or_markup_are_names(environment: dict[str, str], tmp_path: Path) -> None:
    here(environment, "{../../../x: , <b>x</b>: , a b: , '/etc/passwd': }")
    done = civicops(environment, "checkup", "oak")
    assert done.returncode == 0, done.stderr
    assert "4 of 4 hosts answered" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"site", "slow-python", "home", "state"}
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"oak"}
    (page,) = (tmp_path / "state/oak/reports").iterdir()
    assert "<b>x</b>" not in page.read_text()


def test_an_inventory_that_is_half_read_is_bad_input(environment: dict[str, str]) -> None:
    """Ansible warns and goes on with the hosts before the mistake: the run would be "done" without the others."""
    here(environment, '{pc1: , "[1": , pc2: }')
    done = civicops(environment, "checkup", "oak")
    assert done.returncode == 2, done.stdout
    assert "hosts.yml" in done.stderr


def test_a_host_that_never_ends_its_answer_is_given_up(environment: dict[str, str]) -> None:
    (Path(environment["CIVICOPS_INVENTORIES"]) / "oak/group_vars/all/limits.yml").write_text("inventory_timeout: 2\n")
    done = civicops(environment, "checkup", "oak")
    assert done.returncode == 1
    assert "0 of 1 hosts answered" in done.stdout
    assert "Timed out after 2 second(s)" in done.stderr
