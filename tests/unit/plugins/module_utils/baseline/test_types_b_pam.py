"""Controls of PAM: profiles of ours, others' modules in their places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._baseline.files import HostError
from ansible_collections.civicops.town.plugins.module_utils._baseline.model import ParameterError, Params
from ansible_collections.civicops.town.plugins.module_utils._baseline.pam import edited, fits, pam_lines
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.pam_module import PamModule
from tests.unit.plugins.module_utils.baseline.bed import Bed

UNIX = """Name: Unix authentication
Default: yes
Priority: 256
Auth-Type: Primary
Auth:
	[success=end default=ignore]	pam_unix.so nullok try_first_pass
Auth-Initial:
	[success=end default=ignore]	pam_unix.so nullok
Password-Type: Primary
Password:
	[success=end default=ignore]	pam_unix.so obscure use_authtok yescrypt
"""
BLOCK = """# here are the per-package modules (the "Primary" block)
{lines}
# here's the fallback if no module succeeds
{kind}	requisite	pam_deny.so
"""


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    """pam-auth-update: every profile that is on, by priority; what was changed by hand it leaves alone."""
    made = Bed(tmp_path)
    on = {"unix"}

    def update(argv: list[str]) -> str:
        on.update(word for word in argv[3:] if not word.startswith("-"))
        folder = made.root / "usr/share/pam-configs"
        texts = {name: (folder / name).read_text() for name in on if (folder / name).exists()}
        order = sorted(texts, key=lambda name: -int(texts[name].partition("Priority:")[2].split()[0]))
        for kind in ("auth", "account", "password"):
            lines = [line.strip() for name in order for line in section(texts[name], kind.capitalize())]
            made.put(
                f"/etc/pam.d/common-{kind}", BLOCK.format(kind=kind, lines="\n".join(f"{kind} {x}" for x in lines))
            )
            made.put(f"/var/lib/pam/{kind}", "Module: x\n" + "\n".join(lines) + "\n")
        return ""

    for module in ("pam_unix", "pam_faillock", "pam_pwhistory", "pam_wheel", "pam_faildelay"):
        made.put(f"/usr/lib/x86_64-linux-gnu/security/{module}.so", "")
    made.put("/usr/share/pam-configs/unix", UNIX)
    for name in ("common-session", "common-session-noninteractive"):
        made.put(f"/etc/pam.d/{name}", "")
    for name in ("session", "session-noninteractive", "seen"):
        made.put(f"/var/lib/pam/{name}", "")
    update(["", "", ""])
    made.answers["pam-auth-update --package --enable"] = update
    return made


def section(text: str, name: str) -> list[str]:
    lines = text.splitlines()
    if f"{name}:" not in lines:
        return []
    start = lines.index(f"{name}:") + 1
    return [line for line in lines[start : start + 1] if line.startswith("\t")]


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("pam_faillock", {"deny": "<=5", "unlock_time": ">=900"}),
        ("pam_pwhistory", {"remember": 24, "use_authtok": True, "enforce_for_root": True}),
        ("pam_faildelay", {"delay": ">=4000000"}),
        ("pam_unix", {"nullok": False}),
        ("pam_unix", {"sha512": True, "yescrypt": False}),
    ],
)
def test_pam_module(bed: Bed, module: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    bed.mended(PamModule, {"module": module, "arguments": arguments}, monkeypatch)


def test_what_counts_failures_stands_on_both_sides_of_the_password(bed: Bed) -> None:
    PamModule(Params({"module": "pam_faillock", "arguments": {"deny": "<=5"}})).apply(bed.host())
    modules = [(line.module, line.arguments[:1]) for line in pam_lines(bed.text("/etc/pam.d/common-auth"))]
    assert [name for name, dummy in modules] == ["pam_faillock", "pam_unix", "pam_faillock", "pam_deny"]
    assert modules[0][1] == ["preauth"]
    assert modules[2][1] == ["authfail"]


def test_arguments_may_stand_in_the_modules_own_file(bed: Bed) -> None:
    PamModule(Params({"module": "pam_faillock"})).apply(bed.host())
    params = {"module": "pam_faillock", "arguments": {"deny": "<=5", "unlock_time": ">=900"}}
    assert bed.read(PamModule, params).was == "pam_faillock without deny without unlock_time"
    bed.put("/etc/security/faillock.conf", "# deny = 3\ndeny = 3\nunlock_time=0\n")
    assert bed.read(PamModule, params).ok
    bed.put("/etc/security/faillock.conf", b"deny = \xff\xfe\n\0\0=\n")
    assert bed.read(PamModule, params).mends


def test_what_is_not_installed_is_never_named(bed: Bed) -> None:
    params = {"module": "pam_pwquality", "arguments": {"retry": 3}}
    assert bed.read(PamModule, params).absent
    with pytest.raises(HostError, match="not installed"):
        PamModule(Params(params)).apply(bed.host())


def test_files_that_were_changed_by_hand_are_for_people(bed: Bed) -> None:
    text = bed.text("/etc/pam.d/common-auth")
    bed.put("/etc/pam.d/common-auth", text.replace("auth [", "auth optional pam_echo.so\nauth [", 1))
    found = bed.read(PamModule, {"module": "pam_faillock"})
    assert "by hand" in found.manual
    assert not found.mends


def test_an_update_that_did_nothing_is_told(bed: Bed) -> None:
    bed.answers["pam-auth-update"] = ""
    del bed.answers["pam-auth-update --package --enable"]
    with pytest.raises(HostError, match="no pam_faillock"):
        PamModule(Params({"module": "pam_faillock"})).apply(bed.host())


def test_su(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.put("/etc/pam.d/su", "auth       sufficient pam_rootok.so\n# auth       required   pam_wheel.so\n@include x\n")
    bed.put("/etc/group", "root:x:0:\n")
    for name in ("/etc/gshadow", "/etc/group-", "/etc/gshadow-"):
        bed.put(name, "")

    def groupadd(argv: list[str]) -> str:
        bed.put("/etc/group", bed.text("/etc/group") + f"{argv[-1]}:x:900:\n")
        return ""

    bed.answers["groupadd"] = groupadd
    bed.mended(PamModule, {"module": "pam_wheel", "arguments": {"use_uid": True, "group": "nosu"}}, monkeypatch)
    bed.put("/etc/pam.d/su", "auth required pam_unix.so\n")
    with pytest.raises(HostError, match="lets root through"):
        PamModule(Params({"module": "pam_wheel"})).apply(bed.host())


def test_authselect(bed: Bed) -> None:
    for kind in ("auth", "account", "password"):
        (bed.root / f"etc/pam.d/common-{kind}").unlink()
    bed.put("/etc/pam.d/system-auth", "auth required pam_unix.so nullok\n")
    params = {"module": "pam_faillock", "arguments": {}}
    assert bed.read(PamModule, params).manual
    bed.put("/usr/bin/authselect", "")
    bed.answers["authselect current"] = "sssd with-sudo\n"
    assert bed.read(PamModule, params).mends
    assert bed.read(PamModule, {"module": "pam_unix", "arguments": {"nullok": False}}).mends
    bed.answers["authselect current"] = (2, "No existing configuration detected.\n")
    assert "not used" in bed.read(PamModule, params).manual


@pytest.mark.parametrize(
    ("name", "value", "now", "expected"),
    [
        ("deny", "<=5", "5", True),
        ("deny", "<=5", "0", False),
        ("deny", "<=5", "9" * 30, False),
        ("unlock_time", ">=900", "0", True),
        ("unlock_time", ">=900", "600", False),
        ("minlen", ">=14", None, False),
        ("dcredit", "-1", "-1", True),
        ("nullok", False, None, True),
        ("nullok", False, "", False),
        ("use_uid", True, "", True),
        ("use_uid", True, None, False),
    ],
)
def test_arguments(name: str, value: Any, now: str | None, expected: bool) -> None:
    assert fits(name, value, now) is expected


def test_lines_of_pam() -> None:
    found = pam_lines(
        "-auth [success=1 \\\n default=ignore] /lib/security/pam_x.so a=b c # d\ngarbage\n\udcff\n@include y\n"
    )
    assert [(line.kind, line.module, line.values) for line in found] == [("auth", "pam_x", {"a": "b", "c": ""})]


def test_a_packages_profile_keeps_what_is_not_ours() -> None:
    text = edited(UNIX, "pam_unix", {"nullok": False, "rounds": 5})
    assert "nullok" not in text
    assert "pam_unix.so obscure use_authtok yescrypt rounds=5" in text
    assert "pam_unix.so try_first_pass\n" in text


@pytest.mark.parametrize(
    "params",
    [
        {"module": "pam_evil"},
        {"module": "pam_unix", "arguments": [1]},
        {"module": "pam_unix", "arguments": {"a b": 1}},
        {"module": "pam_unix", "arguments": {"a": "x y"}},
    ],
)
def test_parameters_that_are_none(params: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        PamModule(Params(params))
