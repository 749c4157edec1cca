"""Webhooks: a JSON document, posted over https, that chat programs understand too."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import urllib.error
import urllib.request
from typing import Any

from civicops.alerts.channel import ANSWER_SECONDS, Deadline, Undelivered
from civicops.alerts.message import DIGEST, Message, Part
from civicops.alerts.settings import HookSettings, hook_settings
from civicops.state import TownState

_REFUSALS = {400, 413, 422}
"""The statuses that speak of this very message."""
_CALLS = re.compile(r"@(?=(?:all|channel|here|everyone)\b)", re.IGNORECASE)


class Webhook:
    """The way to an https address."""

    def __init__(self, address: str, state: TownState) -> None:
        self._address = address
        self._state = state

    @classmethod
    def serves(cls, address: str) -> bool:
        """Whether this is an https address."""
        return address.startswith("https://")

    def send(self, message: Message) -> None:
        """Post the message; any status from 200 to 299 means that it was taken. Redirects are not followed.

        :raises Undelivered: it was not taken, or the answer was lost.
        """
        settings = hook_settings(self._state, self._address)
        context = _context(settings)
        request = urllib.request.Request(  # noqa: S310  https alone: the model and `hook_settings` say so
            settings.url.reveal() if settings.url else self._address,
            data=json.dumps(document(message)).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "civicops"},
            method="POST",
        )
        if settings.token is not None:
            request.add_unredirected_header("Authorization", f"Bearer {settings.token.reveal()}")
        with Deadline(ANSWER_SECONDS) as deadline:
            opener = urllib.request.build_opener(_Https(context, deadline), _NoRedirects())
            try:
                opener.open(request, timeout=ANSWER_SECONDS).close()  # the status says it all: no body is read
            except urllib.error.HTTPError as error:
                error.close()
                raise Undelivered(_status(error.code), refused=error.code in _REFUSALS) from None
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise Undelivered(_reason(error, deadline)) from None


def document(message: Message) -> dict[str, Any]:
    """What is posted. `subject` and `notices` are plain; `text` is for chat programs, so it escapes what they act on.

    Slack takes `&`, `<` and `>` for its own marks (its page "Formatting text for app surfaces"); `@channel` and the
    like, which Mattermost would obey, get a space.
    """
    only = message.parts[0] if len(message.parts) == 1 else None
    text = f"{message.subject}\n\n{message.text}"
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(char, entity)
    return {
        "town": message.town,
        "kind": only.kind if only else DIGEST,
        "key": only.key if only else DIGEST,
        "subject": message.subject,
        "text": _CALLS.sub("@ ", text),
        "resolved": all(part.resolved for part in message.parts),
        "at": message.at.isoformat(timespec="seconds"),
        "id": message.id,
        "notices": [_plain(part) for part in message.parts],
    }


def _plain(part: Part) -> dict[str, Any]:
    return {
        "kind": part.kind,
        "key": part.key,
        "subject": part.subject,
        "resolved": part.resolved,
        "since": part.at.isoformat(timespec="seconds"),
    }


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other that is not 2xx: the document and its token go nowhere else."""

    def redirect_request(self, *_: object) -> None:
        return None


class _Https(urllib.request.HTTPSHandler):
    """Connections that end with their deadline; proxies of the environment are used by urllib itself."""

    def __init__(self, context: ssl.SSLContext, deadline: Deadline) -> None:
        super().__init__(context=context)
        self._verified = context
        self._deadline = deadline

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, **options: Any) -> http.client.HTTPSConnection:
            made = http.client.HTTPSConnection(host, **options)
            made._create_connection = self._deadline.connect  # type: ignore[attr-defined]
            return made

        return self.do_open(connection, request, context=self._verified)


def _context(settings: HookSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Undelivered(f"{settings.ca_file}: can't be used as ca_file: {error.strerror or error}") from None


def _status(code: int) -> str:
    return f"answered {code}" + (", a redirect, which is not followed" if 300 <= code < 400 else "")


def _reason(error: Exception, deadline: Deadline) -> str:
    """Why, in our words: the error's own may hold the address, which can be a secret."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if deadline.passed or isinstance(cause, TimeoutError):
        return f"no answer within {deadline.seconds:.0f} s"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if match := re.match(r"Tunnel connection failed: ([0-9]{3})", str(cause)):
        return f"the proxy answered {match[1]}"
    return f"no sound answer ({type(cause).__name__})"
