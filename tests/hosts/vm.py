"""A small Debian VM with a kernel and a boot loader of its own, in qemu's software emulation.

For what a container can't show: a kernel update, the entries of GRUB, a power cut, sysctl. It computes slowly: beside
other tests it is ready after half a minute.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from tests.hosts import podman
from tests.hosts.host import SETTLE, Host, private_key
from tests.hosts.images import (
    APT_UPDATE,
    Mirror,
    built,
    ensure_image,
    hash_of,
    image_key,
    install_script,
    security_source,
)
from tests.hosts.tools import cache_dir, ensure_packages, locked, run

# A VM takes minutes, and computes on what other tests compute on: its tests are run where they are asked for.
SWITCH = "CIVICOPS_VM"
wanted = pytest.mark.skipif(
    os.environ.get(SWITCH) != "1", reason=f"a VM takes minutes: set {SWITCH}=1 to run its tests"
)
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mke2fs": "e2fsprogs",
    "tar": "tar",
}
RELEASE = "bookworm"
PACKAGES = ("linux-image-cloud-amd64", "grub2-common", "grub-pc-bin", "initramfs-tools")
DISK_MIB = 3072  # a third of it is used
MEMORY_MIB = 768
READY_WITHIN = 180.0
PARTITION_SECTOR = 2048
SECTOR = 512

# The initial RAM disk holds what this disk needs and no more: a kernel update takes one minute instead of three.
# GRUB finds the root file system by its label, and there Debian's own grub.cfg and grubenv; Debian's default entry, the
# newest kernel, stays, without the wait for a key. Each boot tells its identity and its SSH key on the second port; it
# has one key alone, as making an RSA key takes a third of a boot.
PREPARE = f"""
mkdir -p /etc/default /boot/grub
cat > /etc/default/grub <<'END'
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX="console=ttyS0 mitigations=off"
GRUB_TERMINAL=serial
GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
END
{install_script(PACKAGES)}
cat > /etc/initramfs-tools/conf.d/small <<'END'
MODULES=list
COMPRESS=gzip
BUSYBOX=n
END
printf '%s\\n' virtio_pci virtio_blk ext4 > /etc/initramfs-tools/modules
update-initramfs -u
cp -r /usr/lib/grub/i386-pc /boot/grub/
cat > /tmp/early.cfg <<'END'
search --no-floppy --label root --set root
set prefix=($root)/boot/grub
END
grub-mkimage -O i386-pc -o /boot/grub/core.img -p /boot/grub -c /tmp/early.cfg \\
  biosdisk part_msdos ext2 search search_label normal configfile serial
for kernel in $(ls /lib/modules); do
  printf 'linux %s root=LABEL=root ro console=ttyS0\\ninitrd %s\\nboot\\n' \\
    /boot/vmlinuz-$kernel /boot/initrd.img-$kernel > /boot/grub/grub.cfg
done
grub-editenv /boot/grub/grubenv create
echo 'LABEL=root / ext4 errors=remount-ro 0 1' > /etc/fstab
printf '[Match]\\nName=en*\\n[Network]\\nDHCP=ipv4\\n' > /etc/systemd/network/10-dhcp.network
systemctl enable systemd-networkd
cat > /usr/local/sbin/tell-boot <<'END'
#!/bin/sh
{{ echo "begin $(cat /proc/sys/kernel/random/boot_id)"; cat /etc/ssh/ssh_host_*_key.pub; echo end; }} > /dev/ttyS1
END
chmod 755 /usr/local/sbin/tell-boot
cat > /etc/systemd/system/tell-boot.service <<'END'
[Unit]
Description=Tell the SSH keys on the second serial port
After=ssh.service
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/tell-boot
[Install]
WantedBy=multi-user.target
END
systemctl enable tell-boot
systemctl mask e2scrub_reap.service getty@tty1.service
sed -i 's|-A$|-q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key|' /etc/systemd/system/ssh-host-keys.service
"""
# update-grub asks where / lies, which only the running VM knows. No two VMs share an identity.
FIRST_BOOT = """
update-grub 2>&1
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
: > /etc/machine-id
sync
systemctl --no-block poweroff
"""
_numbers = count(1)


class VmUnavailable(RuntimeError):
    """The VM did not do what it was told; the message ends with the last lines of its console."""


def ensure_vm_image() -> Path:
    """The disk that every VM begins with, made once and cached beside the images: a minute."""
    ensure_packages(PROGRAMS, "a VM")
    base = ensure_image(RELEASE)
    public = private_key().with_suffix(".pub").read_text()
    key = hash_of(image_key(base), PACKAGES, PREPARE, FIRST_BOOT, public, DISK_MIB)
    disk, note = cache_dir() / "images" / "vm.qcow2", cache_dir() / "images" / "vm.key"
    with locked("image-vm"):
        if not (disk.exists() and note.exists() and note.read_text() == key):
            disk.parent.mkdir(exist_ok=True)
            note.unlink(missing_ok=True)
            _build(base, public, disk)
            note.write_text(key)
    return disk


def _build(base: str, public: str, disk: Path) -> None:
    """Make the disk from a file tree, without a loop device or a mount, and let it boot once."""
    work = cache_dir() / "images" / "vm.unfinished"
    shutil.rmtree(work, ignore_errors=True)
    tree = work / "tree"
    tree.mkdir(parents=True)
    raw, qcow = work / "disk.raw", work / "disk.qcow2"
    try:
        with built("vm", base, PREPARE) as builder:
            run(["podman", "export", "-o", str(work / "tree.tar"), builder], timeout=300)
        run(["tar", "-x", "--numeric-owner", "-C", str(tree), "-f", str(work / "tree.tar")], timeout=300)
        (tree / "etc/resolv.conf").write_text("nameserver 10.0.2.3\n")
        (tree / "etc/hosts").write_text("127.0.0.1 localhost\n")
        (tree / "etc/hostname").write_text("vm\n")
        (tree / "run/.containerenv").unlink(missing_ok=True)
        (tree / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
        (tree / "root/.ssh/authorized_keys").write_text(public)
        with raw.open("wb") as file:
            file.truncate(DISK_MIB << 20)
        # GRUB of bookworm can't read a file system with this feature, which newer mke2fs would give it.
        features = ["-O", "^metadata_csum_seed", "-E", f"offset={PARTITION_SECTOR * SECTOR}", "-L", "root"]
        size = f"{(DISK_MIB << 10) - PARTITION_SECTOR * SECTOR // 1024}k"
        run(["mke2fs", "-q", "-F", "-t", "ext4", *features, "-d", str(tree), str(raw), size], timeout=300)
        _boot_sectors(raw, tree / "boot/grub")
        run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(qcow)], timeout=300)
        vm = Vm.on_disk("build", qcow, podman.this_process())
        try:
            vm.run(FIRST_BOOT, timeout=120)
            vm.wait_off()
        finally:
            vm.remove()
        qcow.rename(disk)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _boot_sectors(raw: Path, grub: Path) -> None:
    """Write the partition table and GRUB before the partition, as grub-install would on a disk that it can see."""
    boot, core = (grub / "i386-pc/boot.img").read_bytes(), (grub / "core.img").read_bytes()
    if len(core) > (PARTITION_SECTOR - 1) * SECTOR:
        raise VmUnavailable(f"GRUB's image of {len(core)} bytes does not fit before the partition")
    sectors = (DISK_MIB << 20) // SECTOR - PARTITION_SECTOR
    linux = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", PARTITION_SECTOR, sectors)
    with raw.open("r+b") as file:
        file.write(boot[:440].ljust(446, b"\0") + linux + bytes(48) + b"\x55\xaa" + core)


def sweep() -> list[str]:
    """End the VMs that killed runs left behind, and remove their disks; never those of a living run."""
    dead = [place for place in _places() if not podman.is_alive((place / "owner").read_text())]
    for place in dead:
        _end(place)
    return [place.name for place in dead]


def _places() -> list[Path]:
    return [owner.parent for owner in sorted((cache_dir() / "vms").glob("*/owner"))]


def _end(place: Path) -> None:
    """Kill the qemu of this place if it runs (its command line names the place) and remove what it left."""
    with suppress(OSError, ValueError):
        pid = int((place / "pid").read_text())
        if str(place).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(place, ignore_errors=True)


@dataclass
class Vm(Host):
    """A host that is a VM: as Host, but `run` is over SSH too, and it has a port of 127.0.0.1 instead of an address.

    `vars` are what an inventory must say of it: Spec(vars=vm.vars). Its serial console is the file `console`.
    """

    place: Path = field(default_factory=Path)
    disk: Path = field(default_factory=Path)
    boot_seconds: float = 0.0
    _qemu: subprocess.Popen[bytes] | None = None
    _boots: int = 0

    @classmethod
    def launch(cls, name: str = "vm1") -> Vm:
        """Start a VM on a fresh copy-on-write disk and return when it is ready; `remove` it when done."""
        sweep()
        image = ensure_vm_image()
        disk = Path("disk.qcow2")
        vm = cls._at(f"{name}-{os.getpid()}-{next(_numbers)}", name, disk, podman.this_process())
        overlay = ["-f", "qcow2", "-b", str(image), "-F", "qcow2", str(vm.disk)]
        try:
            run(["qemu-img", "create", "-q", *overlay])
            vm.start_again()
            vm.run(f"echo {shlex.quote(name)} > /etc/hostname; hostname -F /etc/hostname")
        except BaseException:
            vm.remove()
            raise
        return vm

    @classmethod
    def on_disk(cls, name: str, disk: Path, owner: str) -> Vm:
        """Start a VM that writes to the given disk itself."""
        vm = cls._at(f"{name}-{os.getpid()}-{next(_numbers)}", name, disk, owner)
        try:
            vm.start_again()
        except BaseException:
            vm.remove()
            raise
        return vm

    @classmethod
    def _at(cls, identity: str, name: str, disk: Path, owner: str) -> Vm:
        place = cache_dir() / "vms" / identity
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        (place / "owner").write_text(owner)
        return cls(name, identity, RELEASE, "127.0.0.1", port=_free_port(), place=place, disk=place / disk)

    @property
    def machine(self) -> str:
        """This machine as qemu's network shows it to the guest: its loopback."""
        return "10.0.2.2"

    @property
    def console(self) -> Path:
        """What was written to the serial console, GRUB and kernel, over all boots."""
        return self.place / "console.log"

    @property
    def vars(self) -> dict[str, object]:
        """The variables of an inventory that Host has no need of."""
        return {"ansible_port": self.port}

    # --- asking -------------------------------------------------------------

    def run(
        self, script: str, *, stdin: str | None = None, timeout: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script as root, over a new SSH connection."""
        return self.ssh(f"sh -ec {shlex.quote(script)}", stdin=stdin, timeout=timeout, check=check)

    def boot_id(self) -> str:
        """The kernel's own name for this boot."""
        return self.run("cat /proc/sys/kernel/random/boot_id").stdout.strip()

    def started_at(self) -> int:
        """When the kernel started, in seconds since the epoch: later after each boot."""
        return int(self.run("sed -n 's/^btime //p' /proc/stat").stdout)

    def kernel(self) -> str:
        """The release of the kernel that runs, such as 6.1.0-50-cloud-amd64."""
        return self.run("uname -r").stdout.strip()

    def entries(self) -> dict[str, str]:
        """GRUB's entries for single kernels, without recovery, newest first: release -> what grub-reboot takes."""
        text = self.read("/boot/grub/grub.cfg").decode()
        submenu = re.search(r"^submenu .* '(gnulinux-advanced-[^']+)' \{", text, re.MULTILINE)
        found = re.findall(r"menuentry .* '(gnulinux-(\S+)-advanced-[^']+)' \{", text)
        return {release: f"{submenu[1]}>{entry}" for entry, release in found} if submenu else {}

    def _told(self) -> list[tuple[str, tuple[str, ...]]]:
        """Boot identity and SSH keys of each boot so far, read at the second serial port and so beyond doubt."""
        with suppress(FileNotFoundError):
            text = (self.place / "told.log").read_text(errors="replace").replace("\r", "")
            found = re.findall(r"^begin (\S+)\n(.*?)^end$", text, re.MULTILINE | re.DOTALL)
            return [(boot, tuple(keys.splitlines())) for boot, keys in found]
        return []

    def with_security_updates(self) -> Vm:
        """Add the security archive and fetch its lists alone, as the VM reads lists slowly."""
        source = "/etc/apt/sources.list.d/security.list"
        self.write(source, security_source(RELEASE, Mirror.of_this_machine()))
        only = f"-o Dir::Etc::sourcelist={source} -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0"
        self.run(f"{APT_UPDATE} {only}", timeout=300)
        return self

    # --- coming and going ---------------------------------------------------

    def start_again(self) -> None:
        """Switch it on and return when it is ready."""
        log = (self.place / "qemu.log").open("ab")
        qemu = [
            "qemu-system-x86_64",
            "-accel",
            "tcg",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
        ]
        qemu += ["-m", str(MEMORY_MIB), "-pidfile", str(self.place / "pid")]
        qemu += ["-drive", f"file={self.disk},format=qcow2,if=virtio,discard=unmap"]
        qemu += ["-netdev", f"user,id=net,hostfwd=tcp:{self.address}:{self.port}-:22"]
        qemu += ["-device", "virtio-net-pci,netdev=net,romfile="]
        for name in ("console", "told"):
            qemu += ["-chardev", f"file,id={name},path={self.place / name}.log,append=on", "-serial", f"chardev:{name}"]
        qemu += ["-monitor", f"unix:{self.place / 'monitor'},server=on,wait=off"]
        with log:
            self._qemu = subprocess.Popen(qemu, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_ready()

    def wait_ready(self, within: float = READY_WITHIN) -> None:
        """Return when a boot that was not seen before has settled; raise with the console's end after `within`."""
        began = time.monotonic()
        deadline = began + within
        while len(told := self._told()) <= self._boots:
            if time.monotonic() > deadline or self._qemu is None or self._qemu.poll() is not None:
                raise VmUnavailable(f"{self.name} did not boot within {within:.0f} s; {self.last_words()}")
            time.sleep(0.2)
        self._boots, self.keys = len(told), told[-1][1]
        self._wait_banner(deadline)
        key = private_key().with_suffix(".pub").read_text()
        self.run(SETTLE, stdin=key, timeout=max(5.0, deadline - time.monotonic()))
        self.boot_seconds = time.monotonic() - began

    def last_words(self) -> str:
        """The end of the console and of what qemu said, for a message."""
        texts = [path.read_text(errors="replace")[-1500:] for path in self.place.glob("*.log") if path.stem != "told"]
        return "its console ends with:\n" + "\n".join(texts)

    def reboot(self) -> None:
        """Reboot and return when it is ready again, proven by a new boot identity."""
        self._boots = len(self._told())  # it may have been rebooted by others
        self.run("systemctl --no-block reboot", check=False)
        self.wait_ready()

    def stop(self) -> None:
        """Cut its power: what the guest has not written to its disk is lost."""
        if self._qemu:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None

    def power_cut(self) -> None:
        """Cut its power, switch it on again and return when it is ready."""
        self.stop()
        self.start_again()

    def wait_off(self, within: float = 60) -> None:
        """Return when the guest has switched itself off."""
        if self._qemu:
            self._qemu.wait(within)
            self._qemu = None

    def remove(self) -> None:
        """Remove the VM and its disk, whatever state it is in."""
        self.stop()
        _end(self.place)

    # --- faults -------------------------------------------------------------

    def monitor(self, command: str) -> None:
        """Give qemu's monitor a command."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(str(self.place / "monitor"))
            for text in (b"", command.encode() + b"\n"):
                line.sendall(text)
                answer = b""
                while not answer.endswith(b"(qemu) "):
                    answer += line.recv(4096)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop its processors: connections are accepted by qemu and never answered."""
        self.monitor("stop")
        try:
            yield
        finally:
            self.monitor("cont")

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Pull its network cable. A new connection is still accepted, by qemu, and never answered."""
        self.monitor("set_link net off")
        try:
            yield
        finally:
            self.monitor("set_link net on")

    def set_hostname(self, name: str | bytes) -> None:
        """Give the running kernel a host name."""
        text = name.decode() if isinstance(name, bytes) else name
        self.run(f"hostname {shlex.quote(text)}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
