"""E-mail: one message to one recipient, over SMTP with TLS and a verified certificate (RFC 5321, 3207, 4954, 8314)."""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime

from civicops.alerts.channel import ANSWER_SECONDS, Deadline, Undelivered
from civicops.alerts.message import Message
from civicops.alerts.settings import MailSettings, Secret, is_loopback, mail_settings
from civicops.state import TownState
from civicops.text import printable

ALL_SECONDS = 60.0
"""How long the whole delivery of one mail may take."""
_POLICY = SMTP_POLICY.clone(max_line_length=150)
_THREADS = 20


class Mail:
    """The way to an e-mail address."""

    def __init__(self, address: str, state: TownState) -> None:
        self._address = address
        self._state = state

    @classmethod
    def serves(cls, address: str) -> bool:
        """Whether this is an e-mail address."""
        return "://" not in address

    def send(self, message: Message) -> None:
        """Hand the mail to the town's mail server.

        :raises Undelivered: it was not taken, or its answer was lost.
        """
        settings = mail_settings(self._state)
        mail = as_mail(message, settings.sender, self._address)
        with Deadline(ALL_SECONDS) as deadline:
            try:
                self._hand_over(mail, settings, deadline)
            except (OSError, smtplib.SMTPException, UnicodeError) as error:
                raise _reason(error, settings, deadline) from None

    def _hand_over(self, mail: EmailMessage, settings: MailSettings, deadline: Deadline) -> None:
        context = _context(settings)
        smtp: _Smtp = _SmtpTls(settings, deadline, context) if settings.security == "tls" else _Smtp(settings, deadline)
        try:
            if settings.security == "starttls":
                _start_tls(smtp, context, settings)
            if settings.user is not None and settings.password is not None:
                _log_in(smtp, settings.user, settings.password)
            smtp.send_message(mail, settings.sender, [self._address])
            with contextlib.suppress(OSError, smtplib.SMTPException):  # it was taken: how they part does not matter
                smtp.quit()
        finally:
            smtp.close()


def as_mail(message: Message, sender: str, to: str) -> EmailMessage:
    """The message as MIME; a thread per matter, so that mail programs show what belongs together."""
    domain = sender.rpartition("@")[2][-100:].lstrip(".-")
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = Address(f"civicops {message.town_name}"[:100], addr_spec=sender)
    mail["To"] = to
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(message.at)
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    threads = [f"<{part.thread}@{domain}>" for part in message.parts[:_THREADS]]
    if len(threads) == 1:
        mail["In-Reply-To"] = threads[0]
    mail["References"] = " ".join(threads)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text, charset="utf-8")
    return mail


class _Smtp(smtplib.SMTP):
    """A connection that ends with its deadline."""

    def __init__(self, settings: MailSettings, deadline: Deadline) -> None:
        self._settings, self._deadline = settings, deadline
        super().__init__(settings.host, settings.port, local_hostname=_own_name(), timeout=ANSWER_SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = self._deadline.connect((host, port), timeout)
        if self._settings.security == "none" and not is_loopback(sock.getpeername()[0]):
            sock.close()
            raise ConnectionError("security = none, and the server is not on this machine")
        return sock


class _SmtpTls(_Smtp):
    """The same over TLS from the first byte."""

    def __init__(self, settings: MailSettings, deadline: Deadline, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(settings, deadline)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._context.wrap_socket(super()._get_socket(host, port, timeout), server_hostname=host)


def _start_tls(smtp: smtplib.SMTP, context: ssl.SSLContext, settings: MailSettings) -> None:
    smtp.ehlo()
    if not smtp.has_extn("starttls"):
        raise Undelivered(f"{settings.host}:{settings.port} does not offer STARTTLS; nothing was sent to it")
    code, _ = smtp.starttls(context=context)
    if code != 220:
        raise Undelivered(f"{settings.host}:{settings.port} refused STARTTLS ({code}); nothing was sent to it")


def _log_in(smtp: smtplib.SMTP, user: str, password: Secret) -> None:
    """One try, by one mechanism: `smtplib`'s own login tries all, and three wrong answers can lock an account."""
    smtp.ehlo_or_helo_if_needed()
    offered = smtp.esmtp_features.get("auth", "").upper().split()
    smtp.user, smtp.password = user, password.reveal()
    for mechanism, answer in (("PLAIN", smtp.auth_plain), ("LOGIN", smtp.auth_login)):
        if mechanism in offered:
            smtp.auth(mechanism, answer)
            return
    raise smtplib.SMTPNotSupportedError


def _context(settings: MailSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Undelivered(f"{settings.ca_file}: can't be used as ca_file: {error.strerror or error}") from None


def _own_name() -> str:
    """What we call ourselves to the server: this machine's name, without asking any name server for it."""
    name = socket.gethostname()
    return name if re.fullmatch(r"[A-Za-z0-9.-]{1,253}", name) else "localhost"


def _reason(
    error: OSError | smtplib.SMTPException | UnicodeError, settings: MailSettings, deadline: Deadline
) -> Undelivered:
    """Why, in our words; the server's own stand there too, except for those about the login, which may repeat it."""
    server = f"{settings.host}:{settings.port}"
    match error:
        case _ if deadline.passed:
            return Undelivered(f"{server} took longer than {deadline.seconds:.0f} s")
        case smtplib.SMTPAuthenticationError():
            return Undelivered(
                f"{server} refused the login ({error.smtp_code}): see user and password in {settings.file}"
            )
        case smtplib.SMTPRecipientsRefused():
            code, words = next(iter(error.recipients.values()), (0, b""))
            return Undelivered(f"{server} refused the recipient: {code} {_said(words, settings)}")
        case smtplib.SMTPResponseException():
            refused = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500
            said = _said(error.smtp_error, settings)
            return Undelivered(f"{server} answered {error.smtp_code} {said}", refused=refused)
        case ssl.SSLCertVerificationError():
            return Undelivered(f"{server}: its certificate is not trusted: {error.verify_message}")
        case smtplib.SMTPServerDisconnected():
            return Undelivered(f"{server} closed the connection")
        case smtplib.SMTPNotSupportedError() | smtplib.SMTPException():
            return Undelivered(f"{server} offers no login by PLAIN or LOGIN; see user in {settings.file}")
        case OSError():
            return Undelivered(f"{server}: {error.strerror or 'no answer in time'}")
    return Undelivered(f"{server}: the mail can't be written in its form")


def _said(words: bytes | str, settings: MailSettings) -> str:
    text = words.decode("ascii", "replace") if isinstance(words, bytes) else str(words)
    if settings.password is not None:
        text = settings.password.redacted(text, settings.user or "")
    return printable(text, 200)
