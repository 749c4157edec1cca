"""Images of Debian releases, built from Debian's packages once and cached outside the clone."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.hosts import podman
from tests.hosts.tools import HostsUnavailable, cache_dir, locked, run

RELEASES = ("bullseye", "bookworm", "trixie")
# A release with more packages of its own archive; the part before the dash is the release.
VARIANTS = {"bookworm-dnf": ("dnf", "python3-dnf", "rpm", "createrepo-c")}
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
    if release in VARIANTS and not updates:
        return _variant(release)
    if release not in RELEASES:
        raise ValueError(
            f"no image for {release!r}: there are {', '.join((*RELEASES, *VARIANTS))}; these have no lists"
        )
    with locked(f"image-{release}"):
        mirror = Mirror.of_this_machine()
        name = f"localhost/civicops-{release}:latest"
        key = hash_of(release, PACKAGES, CUSTOMIZE, mirror)
        if _label(name, "civicops.key") != key:
            tar = _tar(release, key, mirror)
            run(["podman", "import", "--quiet", "--change", f"LABEL civicops.key={key}", str(tar), name], timeout=300)
            run(["podman", "image", "prune", "-f", "--filter", "label=civicops.key"], check=False)
        return _with_lists(release, name, key, mirror) if updates else name


def hash_of(*parts: object) -> str:
    """Sixteen characters that change with any of the parts: what an image was made from."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def image_key(image: str) -> str:
    """What an image of ours was made from."""
    return _label(image, "civicops.key")


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
    script = f"cat > /etc/apt/sources.list.d/security.list && {APT_UPDATE}"
    with built(f"{release}-updates", base, script, stdin=security_source(release, mirror)) as builder:
        _commit(builder, name, key)
    return name


def _variant(variant: str) -> str:
    """The release's image with the variant's packages, and no package lists."""
    base = ensure_image(variant.partition("-")[0])
    name, key = f"localhost/civicops-{variant}:latest", hash_of(image_key(base), VARIANTS[variant])
    with locked(f"image-{variant}"):
        if _label(name, "civicops.key") != key:
            with built(variant, base, install_script(VARIANTS[variant])) as builder:
                _commit(builder, name, key)
    return name


def install_script(packages: Iterable[str]) -> str:
    """Install packages and leave neither lists nor downloads."""
    install = "env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install"
    return f"{APT_UPDATE}; {install} {' '.join(packages)}; apt-get clean; rm -rf /var/lib/apt/lists/*"


@contextmanager
def built(name: str, base: str, script: str, *, stdin: str | None = None) -> Iterator[str]:
    """A container in which a script has changed the image, named for `podman commit` or `export`; removed after."""
    builder = f"civicops-build-{name}"
    run(["podman", "rm", "-f", "-i", builder])
    podman.ensure_network()
    try:
        run([*podman.launch(), "-i", "--name", builder, base, "sh", "-ec", script], stdin=stdin, timeout=600)
        yield builder
    finally:
        run(["podman", "rm", "-f", "-i", builder], check=False)


def _commit(builder: str, name: str, key: str) -> None:
    labels = [f"LABEL civicops.key={key}", f"LABEL civicops.made={int(time.time())}"]
    changes = [part for label in labels for part in ("--change", label)]
    run(["podman", "commit", "--quiet", *changes, builder, name], timeout=300)
