"""`ansible-test sanity` on what is tracked, without a network but the package index.

ansible-test wants the collection under `.../ansible_collections/civicops/town` (no symbolic link) and downloads a
get-pip.py for its virtual environments; both are arranged for under `.cache/`, in a home directory of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "sanity"
PIP = "24.2"  # the version that ansible-test of ansible-core 2.19 asks for
GET_PIP = f"""\
import subprocess, sys
subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"])
subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "pip=={PIP}"])
"""
# What these are not for, and why:
SKIPPED = {
    "shellcheck": "wants a program that is not a Python package; the shell in this repository is a few lines",
}
# Only what is part of the collection is judged by the collection's rules; the package has ruff and mypy.
PARTS = ("plugins", "roles", "playbooks", "meta", "changelogs", "galaxy.yml", "README.md", "LICENSE", "tests/sanity")


def main() -> int:
    """Copy, run, report; the exit status is ansible-test's."""
    tree = CACHE / "ansible_collections" / "civicops" / "town"
    shutil.rmtree(CACHE / "ansible_collections", ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *PARTS], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    # ansible-test asks git which files are the collection's; here the clone around it would say: none.
    (tree / ".gitignore").write_text("/tests/output/\n")
    subprocess.run("git init -q . && git add -A", cwd=tree, check=True, shell=True)  # noqa: S602
    home = CACHE / "home"
    bootstrap = home / ".ansible" / "test" / "cache" / f"get_pip_{PIP.replace('.', '_')}.py"
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    bootstrap.write_text(GET_PIP)
    command = [str(Path(sys.executable).parent / "ansible-test"), "sanity", "--local", "--color", "no"]
    for test in SKIPPED:
        command += ["--skip-test", test]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    environment = os.environ | {"HOME": str(home), "LC_ALL": "C.UTF-8"}
    return subprocess.run([*command, "--python", version], cwd=tree, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
