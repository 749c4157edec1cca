"""Real servers for alerts: mail with STARTTLS and a login, webhooks over https, with a certificate made here."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from civicops.state import TownState
from civicops.town.model import Town

PASSWORD = "hunter2-not-to-be-seen"
TOKEN = "tok-not-to-be-seen"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for localhost that only a client which is told to will trust."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="session")
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Mails:
    """The mail server's handler: what arrived, and what it shall answer."""

    received: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)
    rcpt_answer: Callable[[str], str] = lambda address: "250 OK"
    data_answer: Callable[[EmailMessage], str] = lambda mail: "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        answer = self.rcpt_answer(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        answer = self.data_answer(mail)
        if answer.startswith("250"):
            self.received.append(mail)
            self.recipients += envelope.rcpt_tos
        return answer

    def login(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login)
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


def words(mail: EmailMessage) -> str:
    """A mail's text with the line ends of Python."""
    text: str = mail.get_content()
    return text.replace("\r\n", "\n")


class MailServer:
    """A mail server that can be stopped and started again on its port."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.mails, self.port, self._tls = Mails(), free_port(), tls
        self._controller: Controller | None = None
        self.start()

    def start(self) -> None:
        self._controller = Controller(
            self.mails,
            hostname="127.0.0.1",
            port=self.port,
            tls_context=self._tls,
            require_starttls=True,
            auth_required=True,
            authenticator=self.mails.login,
        )
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None


@pytest.fixture
def mail_server(server_tls: ssl.SSLContext) -> Iterator[MailServer]:
    server = MailServer(server_tls)
    yield server
    server.stop()


def write_private(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def smtp_ini(at: int, certificate: Path, **more: str) -> str:
    values = {
        "host": "127.0.0.1",
        "port": str(at),
        "user": "civicops",
        "password": PASSWORD,
        "from": "civicops@riverton.example",
        "ca_file": str(certificate / "cert.pem"),
    } | more
    return "[smtp]\n" + "".join(f"{key} = {value}\n" for key, value in values.items() if value)


@pytest.fixture
def by_mail(state: TownState, mail_server: MailServer, certificate: Path) -> MailServer:
    """The mail server, with the town's smtp.ini written for it."""
    write_private(state.directory() / "smtp.ini", smtp_ini(mail_server.port, certificate))
    return mail_server


@dataclass
class Post:
    """One request that a webhook got."""

    path: str
    body: bytes
    token: str | None


class HookServer:
    """A webhook's server: notes what it gets and answers as it is told, by path."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.posts: list[Post] = []
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.posts.append(Post(self.path, body, self.headers["Authorization"]))
                server.answers.get(self.path, lambda handler: status(handler, 200))(self)

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: str = "/hook") -> str:
        return f"https://localhost:{self.port}{path}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def status(handler: BaseHTTPRequestHandler, code: int, **headers: str) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.fixture
def hooks(server_tls: ssl.SSLContext) -> Iterator[HookServer]:
    server = HookServer(server_tls)
    yield server
    server.stop()


@pytest.fixture
def trusted(hooks: HookServer, state: TownState, certificate: Path) -> Callable[..., None]:
    """Write webhooks.ini with the test's certificate for these paths."""

    def write(*paths: str, more: str = f"token = {TOKEN}") -> None:
        sections = [f"[{hooks.url(path)}]\nca_file = {certificate / 'cert.pem'}\n{more}\n" for path in paths]
        write_private(state.directory() / "webhooks.ini", "\n".join(sections))

    return write


def make_town(**more: Any) -> Town:
    """A town called riverton."""
    base = {"id": "riverton", "name": "City of Riverton", "timezone": "America/New_York"}
    return Town.model_validate_json(json.dumps(base | more))


def alert(to: str, *kinds: str, quiet: str | None = None) -> dict[str, Any]:
    return {"to": to, "kind": list(kinds or ("failure", "halt"))} | ({"quiet_hours": quiet} if quiet else {})
