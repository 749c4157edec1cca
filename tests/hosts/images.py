"""Images of Debian releases, built from Debian's packages once and cached outside the clone."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.hosts import podman
from tests.hosts.tools import HostsUnavailable, cache_dir, locked, run

RELEASES = ("bullseye", "bookworm", "trixie")
OPS_PASSWORD = "correct horse battery"
LISTS_MAX_AGE = 7 * 86400
APT_UPDATE = "apt-get -qq -o APT::Update::Error-Mode=any update"

PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "python3",
    "python3-apt",
    "sudo",
    "iproute2",
    "ca-certificates",
    "procps",
    "kmod",
    "cron",
    "passwd",
    "netcat-openbsd",
)

# Host keys are made at the first start, so that no two hosts share one; apt's own timers stay off, so that nothing
# but the test changes a host; `ops` may use sudo with a password, `clerk` may not.
CUSTOMIZE = f"""
rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap
cat > "$1/etc/systemd/system/ssh-host-keys.service" <<'UNIT'
[Unit]
Description=Make this host's SSH keys at its first start
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A
[Install]
WantedBy=multi-user.target
UNIT
chroot "$1" systemctl enable ssh-host-keys.service
chroot "$1" systemctl disable apt-daily.timer apt-daily-upgrade.timer
chroot "$1" useradd --create-home --shell /bin/bash --groups sudo ops
chroot "$1" useradd --create-home --shell /bin/bash clerk
echo 'ops:{OPS_PASSWORD}' | chroot "$1" chpasswd
"""


@dataclass(frozen=True)
class Mirror:
    """Where this machine's own apt gets Debian from."""

    main: str
    security: str

    @classmethod
    def of_this_machine(cls, folder: Path = Path("/etc/apt")) -> Mirror:
        """The first address of apt's sources is the archive, the first one with a security suite is that."""
        entries = list(_entries(folder))
        main = next((uri for uri, suites in entries if "-security" not in suites), None)
        if main is None:
            raise HostsUnavailable(f"no Debian archive found in {folder}: images are built from Debian's packages")
        security = next((uri for uri, suites in entries if "-security" in suites), None)
        return cls(main, security or re.sub(r"/debian/?$", "/debian-security", main))


def _entries(folder: Path) -> Iterable[tuple[str, str]]:
    """Yield (address, suites) of every binary source, in deb822 and in one-line form."""
    for file in sorted(folder.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", file.read_text()):
            fields = dict(re.findall(r"^(\w[\w-]*):[ \t]*(.+)$", stanza, re.MULTILINE))
            if "deb" in fields.get("Types", "").split() and "debian" in fields.get("URIs", ""):
                yield fields["URIs"].split()[0], fields.get("Suites", "")
    for file in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]:
        if file.exists():
            yield from re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(\S*debian\S*)\s+(\S+)", file.read_text(), re.MULTILINE)


def security_source(release: str, mirror: Mirror) -> str:
    """The line for sources.list.d that adds the release's security archive."""
    return f"deb {mirror.security} {release}-security main\n"


def ensure_image(release: str, *, updates: bool = False) -> str:
    """Return the name of the release's image, building and importing it where it is missing or outdated.

    With `updates` the lists of main and of the security archive are present, and security updates are pending.
    """
    if release not in RELEASES:
        raise ValueError(f"no image for {release!r}: there are {', '.join(RELEASES)}")
    with locked(f"image-{release}"):
        mirror = Mirror.of_this_machine()
        name = f"localhost/civicops-{release}:latest"
        key = hashlib.sha256(repr((release, PACKAGES, CUSTOMIZE, mirror)).encode()).hexdigest()[:16]
        if _label(name, "civicops.key") != key:
            tar = _tar(release, key, mirror)
            run(["podman", "import", "--quiet", "--change", f"LABEL civicops.key={key}", str(tar), name], timeout=300)
            run(["podman", "image", "prune", "-f", "--filter", "label=civicops.key"], check=False)
        return _with_lists(release, name, key, mirror) if updates else name


def ensure_images(releases: Iterable[str] = RELEASES) -> None:
    """All images that a town needs, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ensure_image, releases))


def _label(image: str, label: str) -> str:
    done = run(["podman", "image", "inspect", "--format", f'{{{{index .Labels "{label}"}}}}', image], check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _tar(release: str, key: str, mirror: Mirror) -> Path:
    """The release's file tree as a tar file, from the cache or newly built."""
    folder = cache_dir() / "images"
    folder.mkdir(exist_ok=True)
    tar, note = folder / f"{release}.tar", folder / f"{release}.key"
    if tar.exists() and note.exists() and note.read_text() == key:
        return tar
    unfinished = folder / f"{release}.unfinished.tar"
    options = ["--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io", f"--include={','.join(PACKAGES)}"]
    run(["mmdebstrap", *options, f"--customize-hook={CUSTOMIZE}", release, str(unfinished), mirror.main], timeout=900)
    note.unlink(missing_ok=True)
    unfinished.rename(tar)
    note.write_text(key)
    return tar


def _with_lists(release: str, base: str, key: str, mirror: Mirror) -> str:
    """The variant with package lists, made in a container from the base and refreshed weekly."""
    name = f"localhost/civicops-{release}-updates:latest"
    made = _label(name, "civicops.made")
    if _label(name, "civicops.key") == key and made and time.time() - int(made) < LISTS_MAX_AGE:
        return name
    builder = f"civicops-build-{release}"
    run(["podman", "rm", "-f", "-i", builder])
    podman.ensure_network()
    script = f"cat > /etc/apt/sources.list.d/security.list && {APT_UPDATE}"
    command = [*podman.launch(), "-i", "--name", builder, base, "sh", "-ec", script]
    try:
        run(command, stdin=security_source(release, mirror), timeout=300)
        labels = [f"LABEL civicops.key={key}", f"LABEL civicops.made={int(time.time())}"]
        changes = [part for label in labels for part in ("--change", label)]
        run(["podman", "commit", "--quiet", *changes, builder, name], timeout=300)
    finally:
        run(["podman", "rm", "-f", "-i", builder], check=False)
    return name
