"""Accounts, homes, root's path and certificates."""

from __future__ import annotations

import base64
import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._baseline.host import HostError
from ansible_collections.civicops.town.plugins.module_utils._baseline.model import ParameterError, Params
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.account import CHECKS, Account
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.certificate import Certificate, not_after
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.home import Home
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.root_path import RootPath
from hypothesis import given
from hypothesis import strategies as st

from .conftest import NOW, Box

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of other users are made")
TODAY = int(NOW / 86400)
PASSWD = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/usr/sbin/nologin\njoe:x:1000:1000:Joe:/home/joe:/bin/bash\n"
SHADOW = f"root:$y$SECRET:{TODAY - 10}:0:99999:7:::\ndaemon:*:1:0:99999:7:::\njoe:$y$SECRET:{TODAY - 30}:0:99999:7:::\n"
GROUP = "root:x:0:\ndaemon:x:1:\njoe:x:1000:\nshadow:x:42:\n"


@pytest.fixture
def town(box: Box) -> Box:
    box.put("/etc/passwd", PASSWD)
    box.put("/etc/shadow", SHADOW, 0o640)
    box.put("/etc/group", GROUP)
    box.put("/usr/sbin/nologin", "", 0o755)
    box.put("/etc/.pwd.lock", "", 0o600)
    return box


VALUES = {"min_days": 1, "max_days": 365, "warn_days": 7, "inactive": 30, "inactive_default": 30}


def params(check: str, **more: Any) -> dict[str, Any]:
    return {"check": check, **({"value": VALUES[check]} if check in VALUES else {}), **more}


# Check, a file and what is added to it, what is told
FOR_PEOPLE = [
    ("uid0_only_root", "passwd", "toor:x:0:0::/root:/bin/sh\n", "toor"),
    ("only_root_gid0", "passwd", "eve:x:1001:0::/:/bin/sh\n", "eve"),
    ("only_root_gid0", "group", "wheel:x:0:\n", "group wheel"),
    ("no_empty_password", "shadow", "eve::1:0:99999:7:::\n", "eve"),
    ("no_empty_password", "passwd", "eve::1001:1000::/:/bin/sh\n", "eve"),
    ("shadowed", "passwd", "eve:$6$SECRET:1001:1000::/:/bin/sh\n", "eve"),
    ("unique_uid", "passwd", "eve:x:1000:1000::/:/bin/sh\n", "1000"),
    ("unique_gid", "group", "eve:x:1000:\n", "1000"),
    ("unique_name", "passwd", "joe:x:1001:1000::/:/bin/sh\n", "joe"),
    ("unique_group", "group", "joe:x:1001:\n", "joe"),
    ("group_exists", "passwd", "eve:x:1001:99::/:/bin/sh\n", "eve: group 99"),
    ("shadow_group_empty", "passwd", "eve:x:1001:42::/:/bin/sh\n", "eve"),
    ("last_change_past", "shadow", f"eve:$y$SECRET:{TODAY + 2}:0:99999:7:::\n", f"eve: day {TODAY + 2}"),
    ("no_legacy_plus", "passwd", "+:x:::::\n", "/etc/passwd: +"),
    ("root_access", "shadow", "root::1:0:99999:7:::\n", "root has an empty password"),
    ("system_locked", "shadow", "daemon:$y$SECRET:1:0:99999:7:::\n", "daemon"),
]


@pytest.mark.parametrize(("check", "name", "line", "told"), FOR_PEOPLE)
def test_what_is_for_people(town: Box, check: str, name: str, line: str, told: str) -> None:
    assert town.look(Account, params(check)).ok
    path = f"/etc/{name}"
    town.put(path, town.text(path) + line)
    reading = town.look(Account, params(check))
    assert (reading.was, reading.mends, bool(reading.manual)) == (told, False, True)
    assert town.look(Account, params(check, **{"except": [told.split(":")[0]]})).ok


def test_roots_group(town: Box) -> None:
    assert town.look(Account, params("root_gid0")).ok
    town.put("/etc/passwd", PASSWD.replace("root:x:0:0", "root:x:0:7"))
    assert town.look(Account, params("root_gid0")).was == "root's group is 7"


AGEING = [
    ("max_days", 4, "365"),
    ("min_days", 3, "1"),
    ("inactive", 6, "30"),
]


@pytest.mark.parametrize(("check", "field", "value"), AGEING)
def test_ageing(town: Box, check: str, field: int, value: str) -> None:
    between = town.cycle(Account, params(check))
    mode, dummy, dummy, content = between["/etc/shadow"]
    assert mode & 0o7777 == 0o640
    lines = [line.split(":") for line in content.decode().splitlines()]
    assert [line[field] for line in lines] == [value, SHADOW.splitlines()[1].split(":")[field], value]
    before = [line.split(":") for line in SHADOW.splitlines()]
    for old, new in zip(before, lines, strict=True):
        assert [one for number, one in enumerate(old) if number != field] == [
            one for number, one in enumerate(new) if number != field
        ]


def test_no_password_ever_shows(town: Box) -> None:
    town.put("/etc/shadow", SHADOW + "eve:$y$SECRET:bad:bad\n:::::::\n\0\xff:$6$SECRET::::::\n")
    for check in CHECKS:
        try:
            reading = town.look(Account, params(check))
        except HostError:
            continue
        assert "SECRET" not in repr(reading)
    host = town.host()
    Account(Params(params("max_days"))).apply(host)
    assert "SECRET" not in repr(host.diffs())


@pytest.mark.parametrize("check", ["max_days", "inactive"])
def test_nobody_is_locked_out_by_ageing(town: Box, check: str) -> None:
    """A key still logs root in, but PAM refuses an account whose password is expired."""
    town.put("/etc/shadow", f"root:$y$x:{TODAY - 4000}:0:{'99999' if check == 'max_days' else '365'}:7:::\n")
    reading = town.look(Account, params(check))
    assert (reading.mends, "expired at once" in reading.manual) == (False, True)
    town.put("/etc/shadow", town.text("/etc/shadow") + f"joe:$y$x:{TODAY}:0:99999:7:::\n")
    reading = town.look(Account, params(check))
    assert (reading.mends, bool(reading.stuck)) == (True, True)
    between = town.cycle(Account, params(check))
    assert between["/etc/shadow"][3].startswith(f"root:$y$x:{TODAY - 4000}:0:".encode())
    assert town.look(Account, params(check, **{"except": ["root", "joe"]})).ok


def test_ageing_of_a_password_that_never_was_changed(town: Box) -> None:
    town.put("/etc/shadow", "joe:$y$x::0:99999:7:::\n")
    assert town.cycle(Account, params("max_days"))["/etc/shadow"][3] == b"joe:$y$x::0:365:7:::\n"


def test_accounts_that_somebody_else_changes_are_left_alone(town: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(handle: int, how: int) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("fcntl.lockf", busy)
    with pytest.raises(HostError, match="somebody else"):
        Account(Params(params("max_days"))).apply(town.host(town.point()))


def test_shells_of_system_accounts(town: Box) -> None:
    assert town.look(Account, params("system_no_shell")).ok
    more = "www:x:33:33::/srv:/bin/sh\npostgres:x:105:105::/var/lib/postgresql:\nbackup:x:34:34::/b:/bin/sh\n"
    town.put("/etc/passwd", PASSWD + more + "nobody:x:65534:65534::/:/bin/sh\nsync:x:4:4::/:/bin/sync\n")
    town.put("/etc/shadow", SHADOW + "backup:$y$x:1:0:99999:7:::\n")
    town.put("/srv/.ssh/authorized_keys", "")
    given = params("system_no_shell", **{"except": ["postgres"]})
    reading = town.look(Account, given)
    assert reading.was == "nobody, www (key), backup (password)"
    between = town.cycle(Account, given)
    assert between["/etc/passwd"][3].decode() == PASSWD + more + (
        "nobody:x:65534:65534::/:/usr/sbin/nologin\nsync:x:4:4::/:/bin/sync\n"
    )


def test_defaults_of_new_accounts(town: Box) -> None:
    assert town.look(Account, params("inactive_default")).absent
    town.put("/etc/default/useradd", "SHELL=/bin/sh\n# INACTIVE=-1\nINACTIVE=-1\n")
    between = town.cycle(Account, params("inactive_default"))
    assert between["/etc/default/useradd"][3] == b"SHELL=/bin/sh\n# INACTIVE=-1\nINACTIVE=30\n"


def test_list_of_shells(town: Box) -> None:
    assert town.look(Account, params("nologin_not_in_shells")).ok
    town.put("/etc/shells", "/bin/sh\n/usr/sbin/nologin\n# /sbin/nologin\n")
    between = town.cycle(Account, params("nologin_not_in_shells"))
    assert between["/etc/shells"][3] == b"/bin/sh\n#/usr/sbin/nologin\n# /sbin/nologin\n"


@pytest.mark.parametrize("given", [{"check": "x"}, {"check": "max_days"}, {"check": "max_days", "value": -1}])
def test_parameters_that_are_none(given: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        Account(Params(given))


def test_a_host_without_accounts_is_no_fine_host(box: Box) -> None:
    for check in ("uid0_only_root", "no_empty_password", "max_days"):
        with pytest.raises(HostError):
            box.look(Account, params(check))


# -- homes ---------------------------------------------------------------------------


@needs_root
def test_homes(town: Box) -> None:
    assert town.look(Home, {"check": "exists"}).was == "joe: /home/joe"
    town.folder("/home/joe", 0o2755, (1000, 1000))
    assert town.look(Home, {"check": "exists"}).ok
    assert town.look(Home, {"check": "owner"}).ok
    between = town.cycle(Home, {"check": "mode"})
    assert between["/home/joe"][0] & 0o7777 == 0o2750
    town.folder("/home/joe", 0o755, (0, 0))
    assert town.look(Home, {"check": "owner"}).was == "/home/joe 0755 0:0"


@needs_root
def test_dot_files(town: Box) -> None:
    town.folder("/home/joe", 0o750, (1000, 1000))
    for name, mode in ((".profile", 0o666), (".netrc", 0o644), (".bash_history", 0o600), ("open", 0o666)):
        town.put(f"/home/joe/{name}", "", mode, (1000, 1000))
    town.link("/home/joe/.link", "/etc/passwd")
    between = town.cycle(Home, {"check": "dot_files"})
    assert between["/home/joe/.profile"][0] & 0o777 == 0o644
    assert between["/home/joe/.netrc"][0] & 0o777 == 0o600
    assert between["/home/joe/open"][0] & 0o777 == 0o666
    town.put("/home/joe/.rhosts", "", 0o600, (1000, 1000))
    town.put("/home/joe/.mine", "", 0o600, (0, 0))
    reading = town.look(Home, {"check": "dot_files"})
    assert (reading.mends, "a part" in reading.stuck) == (True, True)
    town.cycle(Home, {"check": "dot_files"})


@needs_root
def test_a_home_that_is_a_link_is_not_followed(town: Box) -> None:
    town.folder("/srv/x", 0o777)
    town.folder("/home")
    town.link("/home/joe", "../srv/x")
    assert town.look(Home, {"check": "mode"}).ok
    assert town.look(Home, {"check": "exists"}).was == "joe: /home/joe"


def test_homes_on_other_machines_are_not_touched(town: Box) -> None:
    town.put("/proc/self/mountinfo", "1 0 0:9 / /home rw - nfs4 server:/ rw\n")
    assert town.look(Home, {"check": "exists"}).ok


# -- root's path, certificates ----------------------------------------------------------


def test_root_path(town: Box) -> None:
    for path in ("/usr/sbin", "/usr/bin", "/opt/bin"):
        town.folder(path)
    town.link("/bin", "usr/bin")
    town.put("/etc/login.defs", "ENV_SUPATH\tPATH=/usr/sbin:/usr/bin:/bin:/none\n")
    town.put("/root/.profile", 'export PATH="$PATH:/opt/bin:~/bin"\n')
    assert town.look(RootPath, {}).ok
    town.folder("/opt/bin", 0o777)
    town.put("/etc/environment", "PATH=/usr/bin::.:/etc/passwd\n")
    reading = town.look(RootPath, {})
    assert not reading.mends
    for words in (
        "an empty step (/etc/environment)",
        ". (/etc/environment): not absolute",
        "/opt/bin (/root/.profile)",
    ):
        assert words in reading.was


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = bytes([len(body)]) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes([tag]) + size + body


def certificate(end: str, version: bool = True) -> bytes:
    kind = 0x17 if len(end) == 13 else 0x18
    validity = der(0x30, der(0x17, b"200101000000Z"), der(kind, end.encode()))
    head = [der(0xA0, der(2, b"\2"))] if version else []
    name = der(0x30, b"x" * 300)
    return der(0x30, der(0x30, *head, der(2, b"\1"), der(0x30, b""), name, validity, name), der(0x30, b""), der(3, b""))


def pem(data: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(data) + b"-----END CERTIFICATE-----\n"


def test_certificates(box: Box) -> None:
    given = {"paths": ["/etc/ssl/*.pem"], "days": 30}
    assert box.look(Certificate, given).absent
    box.put("/etc/ssl/key.pem", "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n")
    assert box.look(Certificate, given).absent
    box.put("/etc/ssl/a.pem", b"text\n" + pem(certificate("280101000000Z")) + pem(certificate("200101000000Z")))
    assert box.look(Certificate, given).was == "/etc/ssl/a.pem until 2028-01-01"
    box.put("/etc/ssl/b.pem", pem(certificate("20270120000000Z", version=False)))
    reading = box.look(Certificate, given)
    assert (reading.was, reading.mends) == ("/etc/ssl/b.pem until 2027-01-20", False)
    box.put("/etc/ssl/c.pem", pem(b"0\x82"))
    with pytest.raises(HostError, match="can't be read"):
        box.look(Certificate, given)


@given(
    st.one_of(
        st.binary(max_size=60), st.binary(max_size=20).map(lambda data: certificate("280101000000Z")[:-20] + data)
    )
)
def test_garbage_is_no_certificate(data: bytes) -> None:
    with contextlib.suppress(ValueError, OverflowError):
        assert not_after(data) > 0


def test_a_certificate_that_was_really_made(box: Box) -> None:
    real = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    if not real.exists():
        pytest.skip("no certificates here")
    with real.open("rb") as stream:
        box.put("/etc/ssl/real.pem", stream.read(20000))
    assert " until 20" in box.look(Certificate, {"paths": ["/etc/ssl/real.pem"], "days": 0}).was
