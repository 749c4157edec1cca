"""Mail against a real SMTP server with STARTTLS and a login."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from civicops.alerts import Notice, deliver, mail, raise_notice, waiting
from civicops.state import TownState

from .conftest import PASSWORD, Mails, MailServer, alert, free_port, make_town, smtp_ini, words, write_private

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
TOWN = make_town(alerts=[alert("it@riverton.example")])
PROBLEM = Notice("failure", "run:patch", "Patch run failed", "pc1: no space left\n  /var 100 %")


def test_a_mail_is_what_mail_programs_expect(state: TownState, by_mail: MailServer) -> None:
    raise_notice(TOWN, state, PROBLEM, NOW)
    assert waiting(state) == 1
    done = deliver(TOWN, state, NOW)
    assert (done.sent, done.waiting, done.failed, done.problems) == (1, 0, 0, ())
    assert waiting(state) == 0
    (got,) = by_mail.mails.received
    assert by_mail.mails.recipients == ["it@riverton.example"]
    assert by_mail.mails.logins == [b"civicops"]
    assert got["Subject"] == "[riverton] Patch run failed"
    assert got["From"] == "civicops City of Riverton <civicops@riverton.example>"
    assert got["Date"].datetime == NOW
    assert got["Auto-Submitted"] == "auto-generated"
    assert (got.get_content_type(), got.get_content_charset()) == ("text/plain", "utf-8")
    assert words(got).startswith("pc1: no space left\n  /var 100 %\n")
    assert "Since 2026-11-23 10:00 EST. failure: run:patch" in words(got)


def test_what_belongs_together_is_one_thread(state: TownState, by_mail: MailServer) -> None:
    raise_notice(TOWN, state, PROBLEM, NOW)
    deliver(TOWN, state, NOW)
    raise_notice(TOWN, state, PROBLEM, NOW + timedelta(hours=1))
    assert deliver(TOWN, state, NOW + timedelta(hours=1)).sent == 0
    raise_notice(TOWN, state, PROBLEM, NOW + timedelta(hours=24))
    deliver(TOWN, state, NOW + timedelta(hours=24))
    over = Notice("failure", "run:patch", "Patch run", "All went well.", resolved=True)
    raise_notice(TOWN, state, over, NOW + timedelta(hours=25))
    deliver(TOWN, state, NOW + timedelta(hours=25))
    raise_notice(TOWN, state, PROBLEM, NOW + timedelta(hours=26))
    deliver(TOWN, state, NOW + timedelta(hours=26))
    told = by_mail.mails.received
    subjects = [mail["Subject"].removeprefix("[riverton] ") for mail in told]
    assert subjects == ["Patch run failed", "Still: Patch run failed", "Resolved: Patch run", "Patch run failed"]
    assert len({mail["References"] for mail in told[:3]}) == 1
    assert told[3]["References"] != told[0]["References"]
    assert len({mail["Message-ID"] for mail in told}) == 4


def test_words_of_a_host_stay_words(state: TownState, by_mail: MailServer) -> None:
    evil = "pc1\r\nBcc: everybody@riverton.example\r\n\r\n<b>hello</b>\x1b[31m\u202e" + "x" * 10_000_000
    raise_notice(TOWN, state, Notice("failure", evil, evil, evil + "\n.\nMAIL FROM:<x@y.example>\n\udc80"), NOW)
    assert deliver(TOWN, state, NOW).sent == 1
    (got,) = by_mail.mails.received
    assert by_mail.mails.recipients == ["it@riverton.example"]
    assert got["Bcc"] is None
    assert len(got["Subject"]) <= 150
    text = words(got)
    assert len(text) <= 20_001  # with the line end that mail adds
    assert not set(text + got["Subject"]) & set("\x1b\u202e\r\udc80")
    assert got.get_content_type() == "text/plain"


def test_a_line_with_a_dot_and_other_scripts_arrive_whole(state: TownState, by_mail: MailServer) -> None:
    text = ".\n..\nžluťoučký kůň 東京\n.end"
    raise_notice(TOWN, state, Notice("failure", "k", "Über 東京 " + "ü" * 200, text), NOW)
    assert deliver(TOWN, state, NOW).sent == 1
    (got,) = by_mail.mails.received
    assert words(got).startswith(text + "\n")
    assert got["Subject"].startswith("[riverton] Über 東京 üüü")
    assert len(got["Subject"]) <= 150


def test_a_server_that_is_down_gets_it_later(state: TownState, by_mail: MailServer) -> None:
    by_mail.stop()
    raise_notice(TOWN, state, PROBLEM, NOW)
    done = deliver(TOWN, state, NOW)
    assert (done.sent, done.waiting, done.failed) == (0, 1, 0)
    (line,) = done.problems
    assert line.startswith(f"it@riverton.example: 127.0.0.1:{by_mail.port}: Connection refused")
    by_mail.start()
    assert deliver(TOWN, state, NOW + timedelta(seconds=59)).sent == 0
    assert deliver(TOWN, state, NOW + timedelta(seconds=60)).sent == 1
    assert deliver(TOWN, state, NOW + timedelta(hours=5)).sent == 0


def test_given_up_after_seven_days_and_told(state: TownState, by_mail: MailServer) -> None:
    by_mail.stop()
    raise_notice(TOWN, state, PROBLEM, NOW)
    deliver(TOWN, state, NOW)
    done = deliver(TOWN, state, NOW + timedelta(days=7, seconds=1))
    assert (done.sent, done.waiting, done.failed) == (0, 0, 1)
    assert "given up, after seven days: Patch run failed" in done.problems[0]
    (dead,) = (state.root / "outbox/dead").iterdir()
    assert json.loads(dead.read_bytes())["subject"] == "Patch run failed"
    by_mail.start()
    raise_notice(TOWN, state, PROBLEM, NOW + timedelta(days=8))
    assert deliver(TOWN, state, NOW + timedelta(days=8)).sent == 1


def test_a_refused_recipient_holds_up_nobody(state: TownState, by_mail: MailServer) -> None:
    town = make_town(alerts=[alert("gone@riverton.example"), alert("it@riverton.example")])
    by_mail.mails.rcpt_answer = lambda address: "550 5.1.1 no such user" if address.startswith("gone") else "250 OK"
    raise_notice(town, state, PROBLEM, NOW)
    done = deliver(town, state, NOW)
    assert (done.sent, done.waiting) == (1, 1)
    (line,) = done.problems
    assert line.startswith("gone@riverton.example: ")
    assert "refused the recipient: 550 5.1.1 no such user; 1 notice waits" in line


@pytest.mark.parametrize("answer", ["451 4.3.0 later", "554 5.7.1 spam"])
def test_refused_data_is_tried_again(state: TownState, by_mail: MailServer, answer: str) -> None:
    by_mail.mails.data_answer = lambda mail: answer
    raise_notice(TOWN, state, PROBLEM, NOW)
    assert f"answered {answer}" in deliver(TOWN, state, NOW).problems[0]
    by_mail.mails.data_answer = lambda mail: "250 OK"
    assert deliver(TOWN, state, NOW + timedelta(minutes=1)).sent == 1


def test_one_notice_that_displeases_does_not_hold_up_the_others(state: TownState, by_mail: MailServer) -> None:
    by_mail.mails.data_answer = lambda mail: "554 spam" if "casino" in words(mail) else "250 OK"
    for number, text in enumerate(["fine", "casino", "fine too"]):
        raise_notice(
            TOWN, state, Notice("failure", f"k{number}", f"Subject {number}", text), NOW + timedelta(seconds=number)
        )
    done = deliver(TOWN, state, NOW)
    assert (done.sent, done.waiting, len(done.problems)) == (2, 1, 1)
    assert [mail["Subject"] for mail in by_mail.mails.received] == ["[riverton] Subject 0", "[riverton] Subject 2"]


def test_a_wrong_password_is_told_and_never_shown(
    state: TownState, by_mail: MailServer, certificate: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "wrong-" + PASSWORD
    write_private(state.directory() / "smtp.ini", smtp_ini(by_mail.port, certificate, password=secret))
    raise_notice(TOWN, state, PROBLEM, NOW)
    (line,) = deliver(TOWN, state, NOW).problems
    assert "refused the login (535)" in line
    kept = b"".join(path.read_bytes() for path in (state.root / "outbox").rglob("*") if path.is_file())
    assert secret not in line + "".join(capfd.readouterr()) + kept.decode()


def test_a_certificate_that_nobody_vouches_for_gets_neither_password_nor_mail(
    state: TownState, by_mail: MailServer, certificate: Path
) -> None:
    write_private(state.directory() / "smtp.ini", smtp_ini(by_mail.port, certificate, ca_file=""))
    raise_notice(TOWN, state, PROBLEM, NOW)
    (line,) = deliver(TOWN, state, NOW).problems
    assert "its certificate is not trusted" in line
    assert not by_mail.mails.received
    assert not by_mail.mails.logins


def test_a_certificate_of_another_name_is_refused(state: TownState, by_mail: MailServer, certificate: Path) -> None:
    write_private(state.directory() / "smtp.ini", smtp_ini(by_mail.port, certificate, host="127.0.0.2"))
    by_mail.stop()
    proxy = Controller(by_mail.mails, "127.0.0.2", by_mail.port, tls_context=_tls(certificate))
    proxy.start()
    try:
        raise_notice(TOWN, state, PROBLEM, NOW)
        assert "certificate is not trusted" in deliver(TOWN, state, NOW).problems[0]
    finally:
        proxy.stop()


def test_without_starttls_nothing_is_sent(state: TownState, certificate: Path) -> None:
    plain = Controller(mails := Mails(), "127.0.0.1", free_port())
    plain.start()
    try:
        write_private(state.directory() / "smtp.ini", smtp_ini(plain.port, certificate))
        raise_notice(TOWN, state, PROBLEM, NOW)
        assert "does not offer STARTTLS; nothing was sent" in deliver(TOWN, state, NOW).problems[0]
        write_private(
            state.directory() / "smtp.ini", smtp_ini(plain.port, certificate, security="none", user="", password="")
        )
        assert deliver(TOWN, state, NOW + timedelta(minutes=1)).sent == 1
        assert len(mails.received) == 1
    finally:
        plain.stop()


def test_tls_from_the_first_byte(state: TownState, certificate: Path) -> None:
    server = Controller(mails := Mails(), "127.0.0.1", free_port(), ssl_context=_tls(certificate))
    server.start()
    try:
        ini = smtp_ini(server.port, certificate, security="tls", user="", password="")
        write_private(state.directory() / "smtp.ini", ini)
        raise_notice(TOWN, state, PROBLEM, NOW)
        assert deliver(TOWN, state, NOW).problems == ()
        assert len(mails.received) == 1
    finally:
        server.stop()


def test_a_server_that_dribbles_is_left(state: TownState, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "ALL_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        threading.Thread(target=_dribble, args=(server,), daemon=True).start()
        write_private(state.directory() / "smtp.ini", smtp_ini(port, certificate))
        raise_notice(TOWN, state, PROBLEM, NOW)
        begin = time.monotonic()
        (line,) = deliver(TOWN, state, NOW).problems
        assert time.monotonic() - begin < 4
        assert "took longer than 1 s" in line


def test_the_site_s_server_serves_a_town_without_one_of_its_own(
    state: TownState, mail_server: MailServer, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raise_notice(TOWN, state, PROBLEM, NOW)
    (line,) = deliver(TOWN, state, NOW).problems
    assert f"no mail server is set: write {state.root}/smtp.ini, or set CIVICOPS_SMTP" in line
    site = write_private(tmp_path / "site.ini", smtp_ini(mail_server.port, certificate))
    monkeypatch.setenv("CIVICOPS_SMTP", str(site))
    assert deliver(TOWN, state, NOW + timedelta(minutes=1)).sent == 1


def test_a_mail_program_that_got_a_message_twice_can_see_it(state: TownState, by_mail: MailServer) -> None:
    """A crash after sending and before taking note of it: the same again, under the same Message-ID."""
    raise_notice(TOWN, state, PROBLEM, NOW)
    (file,) = (state.root / "outbox").glob("*/*.json")
    before = file.read_bytes()
    deliver(TOWN, state, NOW)
    file.write_bytes(before)
    deliver(TOWN, state, NOW)
    first, second = by_mail.mails.received
    assert first["Message-ID"] == second["Message-ID"]


def _tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


def _dribble(server: socket.socket) -> None:
    connection, _ = server.accept()
    try:
        while True:
            connection.sendall(b"2")
            time.sleep(0.1)
    except OSError:
        connection.close()
