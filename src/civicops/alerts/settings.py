"""Where mail goes out, and the secrets of mail and webhooks: INI files that only their owner can read.

They never stand in the town file. `STATE/TOWN/smtp.ini` is the town's own; without it, `$CIVICOPS_SMTP` names one for
the whole site. A town's own file replaces the site's as a whole, so that no password of one goes to the other's server.
`STATE/TOWN/webhooks.ini` has a section per webhook, named by the address that the town file has.
"""

from __future__ import annotations

import base64
import configparser
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from civicops.alerts.channel import Undelivered
from civicops.state import TownState
from civicops.text import printable
from civicops.town.scalars import Email

PORTS: Mapping[str, int] = {"starttls": 587, "tls": 465, "none": 25}
_SMTP_KEYS = {"host", "port", "security", "user", "password", "password_file", "from", "ca_file"}
_HOOK_KEYS = {"token", "url", "ca_file"}
_LARGEST = 64 * 1024
_HTTPS = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[!-~]*)?")
_EMAIL: TypeAdapter[str] = TypeAdapter(Email)


class Secret:
    """A word that is given out only where it is used: nothing that prints this object shows it."""

    __slots__ = ("_word",)

    def __init__(self, word: str) -> None:
        self._word = word

    def reveal(self) -> str:
        """The word itself."""
        return self._word

    def __repr__(self) -> str:
        return "Secret(...)"

    def redacted(self, text: str, user: str = "") -> str:
        """The text without the word, also as a server may give it back from a login."""
        encoded = [base64.b64encode(part.encode()).decode() for part in (self._word, f"\0{user}\0{self._word}")]
        for form in (self._word, *encoded, *(form.rstrip("=") for form in encoded)):
            text = text.replace(form, "[secret]")
        return text


@dataclass(frozen=True)
class MailSettings:
    """How mail leaves."""

    file: Path
    host: str
    port: int
    security: str
    """starttls, tls, or none (to this machine alone)."""
    sender: str
    user: str | None
    password: Secret | None
    ca_file: str | None


@dataclass(frozen=True)
class HookSettings:
    """What one webhook needs besides its address."""

    token: Secret | None = None
    url: Secret | None = None
    """The real address, where it is a secret itself, as with Slack."""
    ca_file: str | None = None


def mail_settings(state: TownState) -> MailSettings:
    """The town's, else the site's.

    :raises Undelivered: there are none, or they can't be used; the message says why and names no secret.
    """
    own, site = state.directory() / "smtp.ini", os.environ.get("CIVICOPS_SMTP")
    if os.path.lexists(own) or not site:
        path, missing = own, f"no mail server is set: write {own}, or set CIVICOPS_SMTP"
    else:
        path = Path(site)
        missing = f"CIVICOPS_SMTP: there is no {path}"
    found = _sections(path, _SMTP_KEYS, missing).get("smtp")
    if found is None:
        raise Undelivered(f"{path}: has no section [smtp]")
    security = found.get("security", "starttls")
    if security not in PORTS:
        raise Undelivered(f"{path}: security must be starttls, tls or none")
    host, port = found.get("host", ""), found.get("port", str(PORTS.get(security)))
    if not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", host):
        raise Undelivered(f"{path}: host must be the mail server's name or address")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise Undelivered(f"{path}: port must be a number from 1 to 65535")
    if security == "none" and not is_loopback(host):
        raise Undelivered(f"{path}: security = none is for a server on this machine alone, not for {host}")
    try:
        sender = _EMAIL.validate_python(found.get("from"))
    except ValidationError:
        raise Undelivered(f"{path}: from must be an e-mail address") from None
    password = _password(path, found)
    if (found.get("user") is None) != (password is None):
        raise Undelivered(f"{path}: user and password (or password_file) belong together")
    return MailSettings(path, host, int(port), security, sender, found.get("user"), password, _ca(path, found))


def hook_settings(state: TownState, address: str) -> HookSettings:
    """What `webhooks.ini` says of one address; nothing, where it has no such section or is not there.

    :raises Undelivered: it can't be used; the message says why and names no secret.
    """
    path = state.directory() / "webhooks.ini"
    found = _sections(path, _HOOK_KEYS, None).get(address, {})
    token, url = found.get("token"), found.get("url")
    if token is not None and not re.fullmatch(r"[!-~]{1,4096}", token):
        raise Undelivered(f"{path}: a token must be one word of ASCII characters")
    if url is not None and not _HTTPS.fullmatch(url):
        raise Undelivered(f"{path}: a url must be an https address")
    return HookSettings(Secret(token) if token else None, Secret(url) if url else None, _ca(path, found))


def is_loopback(host: str) -> bool:
    """Whether a name or an address means this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ca(path: Path, found: Mapping[str, str]) -> str | None:
    return str(path.parent / Path(found["ca_file"]).expanduser()) if "ca_file" in found else None


def _password(path: Path, found: Mapping[str, str]) -> Secret | None:
    if "password" in found and "password_file" in found:
        raise Undelivered(f"{path}: has both password and password_file; keep one")
    word = found.get("password")
    if "password_file" in found:
        file = path.parent / Path(found["password_file"]).expanduser()
        word = _private_text(file, f"{path}: password_file: there is no {file}").strip("\r\n")
    if word is None:
        return None
    if not re.fullmatch(r"[ -~]{1,1000}", word):
        raise Undelivered(f"{path}: the password must be one line of ASCII characters; others can't be sent safely")
    return Secret(word)


def _sections(path: Path, known: set[str], missing: str | None) -> dict[str, dict[str, str]]:
    """The file's sections; an absent file without a `missing` line has none. Errors never repeat a line of it."""
    if missing is None and not os.path.lexists(path):
        return {}
    parser = configparser.ConfigParser(interpolation=None, default_section="\0", empty_lines_in_values=False)
    try:
        parser.read_string(_private_text(path, missing or ""))
    except configparser.Error as error:
        raise Undelivered(f"{path}: {_fault(error)}") from None
    sections = {name: dict(parser.items(name)) for name in parser.sections()}
    for name, values in sections.items():
        for key in values.keys() - known:
            raise Undelivered(f"{path}: [{printable(name, 200)}] has an unknown key {printable(key, 60)}")
    return sections


def _fault(error: configparser.Error) -> str:
    """What is wrong, without the words of the file, as the error itself would tell them."""
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f"line {error.lineno} stands above the first [section]"
    if isinstance(error, configparser.ParsingError):
        return f"line {error.errors[0][0]} is neither [section] nor key = value"
    return f"line {getattr(error, 'lineno', None)} repeats a section or a key"


def _private_text(path: Path, missing: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Undelivered(missing) from None
    except OSError as error:
        raise Undelivered(f"{path}: can't be read: {error.strerror}; it must be a file, not a link") from None
    with os.fdopen(descriptor, "rb") as stream:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o077:
            raise Undelivered(f"{path}: must be a file of the user who runs civicops, closed to others: chmod 600")
        data = stream.read(_LARGEST + 1)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Undelivered(f"{path}: is not UTF-8") from None
    if len(data) > _LARGEST:
        raise Undelivered(f"{path}: is larger than {_LARGEST:,} bytes")
    return text
