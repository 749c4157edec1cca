"""What the hosts need on this machine, and running commands."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = {
    "podman": "podman",
    "runc": "runc",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "iptables": "iptables",
    "nft": "nftables",
    "mmdebstrap": "mmdebstrap",
    "nc": "netcat-openbsd",  # the proxy that a test puts before SSH
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}


class HostsUnavailable(RuntimeError):
    """This machine can't run hosts; the message says why, and what to do."""


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = 120,
    check: bool = True,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program without a shell; on failure raise with what it printed."""
    done = subprocess.run(
        list(argv),
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=timeout,
        check=False,
        encoding="utf-8",
        errors="surrogateescape",
        env=env,
        cwd=cwd,
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv[:6])} ...: exit {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    return done


def cache_dir() -> Path:
    """Where images and the test key live, outside the clone."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "civicops"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock that other processes of this machine respect; it falls with its process."""
    with (cache_dir() / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure_packages(programs: dict[str, str], purpose: str) -> None:
    """Install the Debian packages of the programs that are missing; without root say which."""
    missing = sorted({package for program, package in programs.items() if not shutil.which(program)})
    if not missing:
        return
    advice = f"{purpose} needs packages that are missing: sudo apt-get install --no-install-recommends "
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise HostsUnavailable(advice + " ".join(missing))
    done = apt_install(missing)
    if done.returncode:
        raise HostsUnavailable(f"{advice}{' '.join(missing)}\n{done.stderr.strip()[-2000:]}")


def apt_install(packages: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Install packages with fresh lists, asking nothing; one process at a time."""
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    install = ["env", "DEBIAN_FRONTEND=noninteractive", *apt, "install", "-y", "--no-install-recommends", *packages]
    with locked("apt"):
        run([*apt, "update"], timeout=300, check=False)
        return run(install, timeout=900, check=False)


def ensure_tools() -> None:
    """Make this machine able to run hosts, or raise HostsUnavailable with the one thing to do."""
    if os.geteuid() != 0:
        raise HostsUnavailable("real hosts need root (podman with systemd and a bridge network): run it with sudo")
    ensure_packages(PROGRAMS, "real hosts")
