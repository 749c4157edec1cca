"""Controls of OpenSSH: what is in force counts, and ours is read first."""

from __future__ import annotations

import base64
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._baseline.files import HostError
from ansible_collections.civicops.town.plugins.module_utils._baseline.model import ParameterError, Params
from ansible_collections.civicops.town.plugins.module_utils._baseline.openssh import SERVER, settings, split
from ansible_collections.civicops.town.plugins.module_utils._baseline.reloads import RELOADS
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.ssh_client import SshClient
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.ssh_host_keys import SshHostKeys
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.ssh_moduli import SshModuli
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.sshd import Sshd, connection
from ansible_collections.civicops.town.plugins.module_utils._baseline.values import Wanted
from tests.unit.plugins.module_utils.baseline.bed import Bed

MAIN = "/etc/ssh/sshd_config"
INCLUDE = "Include /etc/ssh/sshd_config.d/*.conf\n"
DEFAULTS = {
    "permitrootlogin": "without-password", "x11forwarding": "no", "maxauthtries": "6", "logingracetime": "120",
    "ciphers": "chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr", "port": "22", "banner": "none",
    "pubkeyacceptedkeytypes": "ssh-ed25519,ssh-rsa", "maxstartups": "10:30:100",
}  # fmt: skip
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==\n"


def rsa(bits: int) -> str:
    """A public key of that length, and nobody's."""
    fields = [b"ssh-rsa", b"\1\0\1", b"\0" + (1 << (bits - 1)).to_bytes(bits // 8, "big")]
    blob = b"".join(struct.pack(">I", len(field)) + field for field in fields)
    return f"ssh-rsa {base64.b64encode(blob).decode()}\n"


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    made = Bed(tmp_path)
    made.put("/usr/sbin/sshd", "")
    made.put(MAIN, INCLUDE + "X11Forwarding yes\n")
    made.units["ssh.service"] = ["loaded", "active", "enabled"]
    made.answers["state change"] = "StateChangeTimestampMonotonic=99999999999999\n"
    made.answers["sshd -t"] = ""
    made.answers["sshd -T"] = lambda argv: sshd(made, argv)
    return made


def sshd(bed: Bed, argv: list[str]) -> str:
    """The first value that is read; a Match block for the user that is asked about goes before all."""
    user = argv[3].partition("user=")[2].partition(",")[0] if "-C" in argv else ""
    found: dict[str, str] = {}
    over: dict[str, str] = {}
    keys: list[str] = []
    for line in SERVER.lines(bed.host()):
        if line.key == "hostkey":
            keys.append(line.value)
        elif not line.match:
            found.setdefault(line.key, line.value)
        elif line.match == f"Match User {user}":
            over.setdefault(line.key, line.value)
    hostkeys = keys or [f"/etc/ssh/ssh_host_{kind}_key" for kind in ("rsa", "ecdsa", "ed25519")]
    lines = [f"{key} {value}" for key, value in {**DEFAULTS, **found, **over}.items()]
    return "\n".join([*lines, *(f"hostkey {path}" for path in hostkeys)]) + "\n"


@pytest.mark.parametrize(
    ("params", "main"),
    [
        ({"option": "x11forwarding", "value": "no"}, INCLUDE + "X11Forwarding yes\n"),
        ({"option": "X11Forwarding", "value": "no"}, "# no include\nX11Forwarding yes\n"),
        ({"option": "maxauthtries", "value": 4, "op": "max"}, INCLUDE),
        ({"option": "logingracetime", "value": 60, "op": "max"}, INCLUDE + "LoginGraceTime 0\n"),
        ({"option": "maxstartups", "value": "10:30:60", "op": "max"}, INCLUDE),
        ({"option": "permitrootlogin", "value": ["no", "prohibit-password"], "op": "one_of"}, "PermitRootLogin yes\n"),
        ({"option": "ciphers", "value": "aes256-ctr,chacha20-poly1305@openssh.com", "op": "subset"}, INCLUDE),
        ({"option": "pubkeyacceptedalgorithms", "value": "ssh-ed25519", "op": "subset"}, INCLUDE),
    ],
)
def test_sshd(bed: Bed, params: dict[str, Any], main: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.put(MAIN, main)
    bed.mended(Sshd, params, monkeypatch)
    assert "systemctl --no-ask-password reload ssh.service" in bed.ran
    assert bed.ran.index("sshd -t") < bed.ran.index("systemctl --no-ask-password reload ssh.service")


@pytest.mark.parametrize(
    ("params", "field", "words"),
    [
        ({"option": "permitrootlogin", "value": "prohibit-password"}, "ok", ""),
        ({"option": "permitrootlogin", "value": ["no", "prohibit-password"], "op": "one_of"}, "ok", ""),
        ({"option": "persourcepenalties", "value": "yes"}, "absent", "no persourcepenalties"),
        ({"option": "allowusers|allowgroups", "op": "present"}, "manual", "for people"),
        ({"option": "port", "value": "2222"}, "manual", "every line"),
    ],
)
def test_sshd_leaves_alone(bed: Bed, params: dict[str, Any], field: str, words: str) -> None:
    found = bed.read(Sshd, params)
    assert not found.mends
    assert getattr(found, field) is True or words in getattr(found, field)


def test_a_match_block_is_found_by_a_connection_of_its_own_and_told(bed: Bed) -> None:
    bed.put(MAIN, INCLUDE + "Match User backup\n X11Forwarding yes\nMatch exec /bin/true\n MaxAuthTries 9\n")
    found = bed.read(Sshd, {"option": "x11forwarding", "value": "no"})
    assert "user=backup" in found.was
    assert found.manual
    found = bed.read(Sshd, {"option": "maxauthtries", "value": 6, "op": "max"})
    assert found.was == "Match exec /bin/true: maxauthtries 9"
    assert found.manual


def test_a_file_that_is_read_before_ours_is_told(bed: Bed) -> None:
    bed.put("/etc/ssh/sshd_config.d/00-a.conf", "X11Forwarding yes\n")
    assert "00-a.conf is read before" in bed.read(Sshd, {"option": "x11forwarding", "value": "no"}).manual


def test_what_the_running_daemon_has_not_read_is_not_compliant(bed: Bed) -> None:
    bed.answers["state change"] = "StateChangeTimestampMonotonic=1\n"
    if time.monotonic() < 60:
        pytest.skip("the machine has just been started")
    found = bed.read(Sshd, {"option": "permitrootlogin", "value": "prohibit-password"})
    assert found.mends
    assert "has not read yet" in found.was


def test_sshd_that_takes_nothing_is_told_in_its_own_words(bed: Bed) -> None:
    bed.answers = {"sshd": (255, "/etc/ssh/sshd_config: line 3: Bad configuration option: Foo\nterminating\n")}
    with pytest.raises(HostError, match="line 3: Bad configuration option"):
        bed.read(Sshd, {"option": "permitrootlogin", "value": "no"})
    with pytest.raises(HostError, match="line 3: Bad configuration option"):
        RELOADS["ssh"].check(bed.host())


def test_includes_in_a_circle_end(bed: Bed) -> None:
    bed.put("/etc/ssh/sshd_config.d/x.conf", INCLUDE)
    with pytest.raises(HostError, match="or itself"):
        SERVER.lines(bed.host())


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("all", {}),
        ("User backup", {"user": "backup"}),
        ("User !root,ad* Address 10.1.0.0/16,!10.1.2.3", {"user": "ad1", "addr": "10.1.0.0"}),
        ("Group sftp", {"user": "alice"}),
        ("Group nobody-in-it", None),
        ("LocalPort 2222", {"lport": "2222"}),
        ("exec /bin/true", None),
        ("User \udcff", None),
        ("User", None),
    ],
)
def test_a_connection_for_a_match_line(bed: Bed, match: str, expected: dict[str, str] | None) -> None:
    bed.put("/etc/group", "sftp:x:7:alice,bob\n")
    base = {"user": "root", "host": "localhost", "addr": "127.0.0.1"}
    assert connection(bed.host(), match) == (None if expected is None else {**base, **expected})


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Port 22", ("port", "22")),
        ("  Banner=/etc/issue  ", ("banner", "/etc/issue")),
        ('Subsystem "sftp"', ("subsystem", "sftp")),
        ("# Port 22", ("", "")),
        ("", ("", "")),
        ("\udcff\udcfe", ("", "")),
    ],
)
def test_split(raw: str, expected: tuple[str, str]) -> None:
    assert split(raw) == expected


def test_settings_join_what_comes_several_times() -> None:
    assert settings("Port 22\nport 2222\nbanner none\n") == {"port": "22 2222", "banner": "none"}


@pytest.mark.parametrize(
    ("given", "value", "fits"),
    [
        ({"value": "VERBOSE"}, "verbose", True),
        ({"value": "/etc/Issue"}, "/etc/issue", False),
        ({"value": 4, "op": "max"}, "5", False),
        ({"value": 4, "op": "max"}, "garbage", False),
        ({"value": "10:30:60", "op": "max"}, "10:30:60", True),
        ({"value": "10:30:60", "op": "max"}, "10:30", False),
        ({"value": "a,b,c", "op": "subset"}, "a,c", True),
        ({"value": "a,b,c", "op": "subset"}, "c,a", False),
        ({"value": "a,b", "op": "subset"}, "", False),
        ({"value": "LANG LC_*", "op": "at_most_words"}, "LANG", True),
        ({"value": "LANG", "op": "at_most_words"}, "LANG COLOR", False),
        ({"op": "present"}, "none", False),
    ],
)
def test_values(given: dict[str, Any], value: str, fits: bool) -> None:
    assert Wanted(Params(given)).fits(value) is fits


@pytest.mark.parametrize("given", [{"value": "x", "op": "max"}, {"op": "eq"}, {"value": "x", "op": "like"}])
def test_values_that_are_none(given: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        Wanted(Params(given))


# -- moduli, keys, client ------------------------------------------------------------


def group(bits: int) -> str:
    return f"20230101000000 2 6 100 {bits - 1} 2 F0F0\n"


def test_moduli(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.put("/etc/ssh/moduli", "# Time Type\n" + group(2048) + group(3072) + "garbage\n" + group(4096))
    assert bed.mended(SshModuli, {"bits": 3072}, monkeypatch).was == "3 groups"
    bed.put("/etc/ssh/moduli", group(2048))
    assert bed.read(SshModuli, {}).manual
    (bed.root / "etc/ssh/moduli").unlink()
    assert bed.read(SshModuli, {}).ok


def test_host_keys(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.put(MAIN, INCLUDE + "HostKey /etc/ssh/ssh_host_rsa_key\nHostKey /etc/ssh/ssh_host_ed25519_key\n")
    for kind, text in (("ed25519", ED25519), ("rsa", rsa(2048))):
        bed.put(f"/etc/ssh/ssh_host_{kind}_key", "secret", 0o600)
        bed.put(f"/etc/ssh/ssh_host_{kind}_key.pub", text)
    params = {"types": ["ed25519", "rsa"], "rsa_bits": 3072}
    assert bed.mended(SshHostKeys, params, monkeypatch).was == "ed25519 256"
    assert bed.read(SshHostKeys, {"types": ["ecdsa"]}).manual


def test_host_keys_are_made_where_asked(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    def keygen(argv: list[str]) -> str:
        path = argv[argv.index("-f") + 1]
        bed.put(path, "secret", 0o600)
        bed.put(path + ".pub", ED25519)
        return ""

    bed.answers["ssh-keygen"] = keygen
    bed.mended(SshHostKeys, {"types": ["ed25519"], "make": True}, monkeypatch)
    with pytest.raises(ParameterError):
        SshHostKeys(Params({"types": ["dsa"]}))


def test_client(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    def ssh(argv: list[str]) -> str:
        own = bed.root / "etc/ssh/ssh_config.d/60-civicops.conf"
        lines = own.read_text().splitlines() if own.exists() else []
        return "\n".join(["hashknownhosts no", "macs a,b,c", *lines]) if not lines else "\n".join(lines)

    bed.put("/usr/bin/ssh", "")
    bed.put("/etc/ssh/ssh_config", "Include /etc/ssh/ssh_config.d/*.conf\nHost *\n    SendEnv LANG\n")
    bed.answers["ssh -G"] = ssh
    bed.answers["ssh -Q mac"] = "a\nb\n"
    bed.mended(SshClient, {"option": "HashKnownHosts", "value": "yes"}, monkeypatch)
    bed.point.joinpath("journal").unlink()
    bed.mended(SshClient, {"option": "macs", "value": "a,b,not-known", "op": "subset"}, monkeypatch)
