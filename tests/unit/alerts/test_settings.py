"""The private INI files: who may read them, what they must say, and that no error repeats a secret."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from civicops.alerts.channel import Undelivered
from civicops.alerts.settings import Secret, hook_settings, mail_settings
from civicops.state import TownState

from .conftest import PASSWORD, TOKEN, smtp_ini, write_private

HOOK = "https://chat.example/hooks/it"


def _wrong(state: TownState) -> str:
    with pytest.raises(Undelivered) as caught:
        mail_settings(state)
    shown = f"{caught.value} {caught.value!r}"
    assert PASSWORD not in shown
    return str(caught.value)


@pytest.fixture
def ini(state: TownState, certificate: Path) -> Path:
    return write_private(state.directory() / "smtp.ini", smtp_ini(2525, certificate))


def test_what_is_read(state: TownState, ini: Path) -> None:
    found = mail_settings(state)
    assert (found.host, found.port, found.security, found.user) == ("127.0.0.1", 2525, "starttls", "civicops")
    assert found.password is not None
    assert found.password.reveal() == PASSWORD
    assert PASSWORD not in repr(found)


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_each_way_has_its_port(state: TownState, certificate: Path, security: str, port: int) -> None:
    text = smtp_ini(0, certificate, security=security, port="")
    write_private(state.directory() / "smtp.ini", text)
    assert mail_settings(state).port == port


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_open_to_others(state: TownState, ini: Path, mode: int) -> None:
    ini.chmod(mode)
    assert _wrong(state) == f"{ini}: must be a file of the user who runs civicops, closed to others: chmod 600"


def test_of_somebody_else(state: TownState, ini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.directory()
    if os.geteuid() == 0:
        os.chown(ini, 65534, 65534)
    else:
        pytest.skip("only root can give a file away")
    assert "must be a file of the user who runs civicops" in _wrong(state)


def test_a_link_or_a_pipe_is_no_file(state: TownState, ini: Path, tmp_path: Path) -> None:
    ini.rename(tmp_path / "elsewhere.ini")
    ini.symlink_to(tmp_path / "elsewhere.ini")
    assert "it must be a file, not a link" in _wrong(state)
    ini.unlink()
    os.mkfifo(ini, 0o600)
    assert "must be a file of the user" in _wrong(state)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"security": "ssl"}, "security must be starttls, tls or none"),
        ({"security": "none", "host": "mail.example"}, "is for a server on this machine alone, not for mail.example"),
        ({"host": ""}, "host must be"),
        ({"host": "mail.example\x1b[31m"}, "host must be"),
        ({"port": "0"}, "port must be"),
        ({"port": "99999"}, "port must be"),
        ({"from": "nobody"}, "from must be an e-mail address"),
        ({"from": ""}, "from must be an e-mail address"),
        ({"user": ""}, "user and password (or password_file) belong together"),
        ({"password": "pässword"}, "the password must be one line of ASCII characters"),
        ({"password_file": "x"}, "has both password and password_file"),
        ({"pasword": PASSWORD}, "has an unknown key pasword"),
        ({"user": "a\nuser = b"}, "repeats a section or a key"),
        ({"user": f"a\n{PASSWORD}"}, "is neither [section] nor key = value"),
    ],
)
def test_what_is_wrong_is_told_without_the_words(
    state: TownState, certificate: Path, more: dict[str, str], told: str
) -> None:
    write_private(state.directory() / "smtp.ini", smtp_ini(2525, certificate, **more))
    assert told in _wrong(state)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"password = {PASSWORD}\n", "line 1 stands above the first [section]"),
        ("[mail]\n", "has no section [smtp]"),
        ("[smtp]\n" + "#" * 70_000, "larger than"),
    ],
)
def test_files_of_another_form(state: TownState, text: str, told: str) -> None:
    write_private(state.directory() / "smtp.ini", text)
    assert told in _wrong(state)


def test_the_password_in_a_file_of_its_own(state: TownState, certificate: Path) -> None:
    write_private(state.directory() / "smtp.ini", smtp_ini(25, certificate, password="", password_file="smtp.password"))
    file = state.directory() / "smtp.password"
    assert f"password_file: there is no {file}" in _wrong(state)
    write_private(file, PASSWORD + "\n")
    found = mail_settings(state)
    assert found.password is not None
    assert found.password.reveal() == PASSWORD
    file.chmod(0o644)
    assert f"{file}: must be a file of the user" in _wrong(state)


def test_a_percent_sign_is_itself(state: TownState, certificate: Path) -> None:
    write_private(state.directory() / "smtp.ini", smtp_ini(25, certificate, password="100%(x)s;#"))
    found = mail_settings(state)
    assert found.password is not None
    assert found.password.reveal() == "100%(x)s;#"


def test_the_town_s_own_file_stands_for_itself(
    state: TownState, ini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    """No user or password of the site's file goes to the town's server, even where the town's file has none."""
    monkeypatch.setenv("CIVICOPS_SMTP", str(write_private(tmp_path / "site.ini", smtp_ini(25, certificate))))
    write_private(ini, smtp_ini(2525, certificate, user="", password=""))
    found = mail_settings(state)
    assert (found.port, found.user, found.password) == (2525, None, None)


def test_a_webhook_without_a_file_has_no_token(state: TownState) -> None:
    assert hook_settings(state, HOOK).token is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"[{HOOK}]\ntoken = two {TOKEN}\n", "a token must be one word"),
        (f"[{HOOK}]\nurl = http://x.example/{TOKEN}\n", "a url must be an https address"),
        (f"[{HOOK}]\n{TOKEN}\n", "line 2 is neither"),
    ],
)
def test_a_webhook_s_settings_that_are_wrong(state: TownState, text: str, told: str) -> None:
    write_private(state.directory() / "webhooks.ini", text)
    with pytest.raises(Undelivered) as caught:
        hook_settings(state, HOOK)
    assert told in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_secret_is_not_shown_as_a_server_may_repeat_it() -> None:
    secret = Secret("opensesame")
    said = "535 bad AUTH AGFsaQBvcGVuc2VzYW1l (b3BlbnNlc2FtZQ==, opensesame)"
    assert secret.redacted(said, "ali") == "535 bad AUTH [secret] ([secret], [secret])"
    assert "opensesame" not in f"{secret} {secret!r}"
