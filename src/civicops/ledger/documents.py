"""Documents: their envelope, their kinds, and the check that each must pass on its way into the ledger.

A kind is one file in `schemas/`, named `KIND-VERSION.json`; adding one is adding a file. Beside the rules of JSON
Schema it may hold `x-max-bytes`, the largest canonical body of that kind; 2 MiB where it does not.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any, Literal

from civicops.ledger.bounds import out_of_bounds
from civicops.text import printable

Status = Literal["accepted", "rejected", "pending"]

_SCHEMA_NAME = re.compile(r"civicops/([a-z][a-z0-9-]{0,40})/([1-9][0-9]{0,3})")
_SCHEMA_FILE = re.compile(r"([a-z][a-z0-9-]*)-([1-9][0-9]*)\.json")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_ENVELOPE_STRINGS = ("id", "town", "host", "run", "job", "collected_at")
_NAME_LIMIT = 255
_USUAL_MAX_BYTES = 2 * 1024 * 1024


class DocumentError(Exception):
    """A document that can't be accepted; the message is the reason that its rejection keeps."""


@dataclass(frozen=True)
class Document:
    """One document as it goes into the ledger. `body` is None for a rejection without a body."""

    kind: str
    version: int
    id: str
    town: str
    host: str
    target: str | None
    run: str
    job: str
    check: bool
    attempt: int
    collected_at: str
    body: Any
    status: Status = "accepted"
    reason: str | None = None


def canonical(body: Any) -> bytes:
    """The one way to write a body as bytes: the ledger's hashes are over these."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


@cache
def known_kinds() -> dict[str, int]:
    """Each kind and the newest version of it that this civicops reads."""
    kinds: dict[str, int] = {}
    for entry in resources.files("civicops.ledger").joinpath("schemas").iterdir():
        if match := _SCHEMA_FILE.fullmatch(entry.name):
            kinds[match[1]] = max(int(match[2]), kinds.get(match[1], 0))
    return kinds


@cache
def _checker(kind: str, version: int) -> tuple[Any, int]:
    from jsonschema_rs import Draft202012Validator

    path = resources.files("civicops.ledger").joinpath("schemas", f"{kind}-{version}.json")
    schema = json.loads(path.read_text(encoding="utf-8"))
    return Draft202012Validator(schema), int(schema.get("x-max-bytes", _USUAL_MAX_BYTES))


def check_body(kind: str, version: int, body: Any) -> None:
    """Check a body against its kind's size limit and schema.

    :raises DocumentError: with the first violation and where it is; the offending value itself is not repeated.
    """
    from jsonschema_rs import ValidationError

    validator, limit = _checker(kind, version)
    if (wrong := out_of_bounds(body)) is not None:
        raise DocumentError(wrong)
    try:
        size = len(canonical(body))
        if size > limit:
            raise DocumentError(f"the body has {size} bytes; the limit for {kind} is {limit}")
        validator.validate(body)
    except ValidationError as violation:
        # Keys come from the host, and a database may refuse what steers a terminal (NUL).
        place = "/".join(printable(part, 40) for part in violation.instance_path) or "(top)"
        rule = next(part for part in reversed(violation.schema_path) if isinstance(part, str))
        raise DocumentError(f"at {place[:200]}: breaks the rule {rule!r} of {kind}/{version}") from None
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"the body can't be checked: {type(error).__name__}") from error


def parse(data: bytes, town: str, *, now: datetime) -> Document:
    """Read one spooled document for the ledger of `town`; never raises: what is wrong becomes a rejection."""
    try:
        envelope = json.loads(data)
        if b"\\ud" in data.lower():
            envelope = _without_lone_surrogates(envelope)
        _check_envelope(envelope, town)
    except (ValueError, RecursionError, DocumentError) as error:
        return _unreadable(data, town, error, now)
    match = _SCHEMA_NAME.fullmatch(envelope["schema"])
    assert match is not None  # noqa: S101 - _check_envelope has seen to it
    kind, version = match[1], int(match[2])
    status: Status = "accepted"
    body, reason = envelope.get("body"), None
    try:
        if "refused" in envelope:
            raise DocumentError(str(envelope["refused"])[:1000])
        newest = known_kinds().get(kind)
        if newest is None:
            raise DocumentError(f"no such kind of document: {kind}")
        if version > newest:
            status, reason = "pending", f"this civicops reads {kind} up to version {newest}"
        else:
            check_body(kind, version, body)
    except DocumentError as error:
        status, reason, body = "rejected", str(error), _excerpt(data)
    return Document(
        kind=kind,
        version=version,
        status=status,
        reason=reason,
        body=body,
        target=envelope.get("target"),
        check=envelope["check"],
        attempt=envelope["attempt"],
        **{name: envelope[name] for name in _ENVELOPE_STRINGS},
    )


def _check_envelope(envelope: Any, town: str) -> None:
    if not isinstance(envelope, dict):
        raise DocumentError("the envelope is not an object")
    for name in (*_ENVELOPE_STRINGS, "schema"):
        value = envelope.get(name)
        # Only a document about no host at all, such as a run, has none.
        if not isinstance(value, str) or len(value) > _NAME_LIMIT or "\0" in value or (not value and name != "host"):
            raise DocumentError(f"the envelope's {name!r} is missing or no short text")
    target = envelope.get("target")
    if target is not None and not (isinstance(target, str) and len(target) <= _NAME_LIMIT):
        raise DocumentError("the envelope's 'target' is no short text")
    if not isinstance(envelope.get("check"), bool) or type(envelope.get("attempt")) is not int:
        raise DocumentError("the envelope's 'check' or 'attempt' is missing or of the wrong type")
    if not _SCHEMA_NAME.fullmatch(envelope["schema"]):
        raise DocumentError("the envelope's 'schema' is not civicops/KIND/NUMBER")
    if envelope["town"] != town:
        raise DocumentError("the document names another town")
    try:
        uuid.UUID(envelope["id"])
        zone = datetime.fromisoformat(envelope["collected_at"]).tzinfo
    except ValueError as error:
        raise DocumentError("the envelope's 'id' or 'collected_at' can't be read") from error
    # A moment in the future is kept: it is the controller's own clock, and that may have been set back since.
    if zone is None:
        raise DocumentError("the envelope's 'collected_at' has no zone")


def _unreadable(data: bytes, town: str, error: Exception, now: datetime) -> Document:
    reason = str(error) if isinstance(error, DocumentError) else f"not JSON: {type(error).__name__}"
    return Document(
        kind="unknown",
        version=0,
        # The same bytes taken in twice are one rejection.
        id=str(uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(data).hexdigest())),
        town=town,
        host="",
        target=None,
        run="",
        job="",
        check=False,
        attempt=1,
        collected_at=now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        body=_excerpt(data),
        status="rejected",
        reason=reason,
    )


def _excerpt(data: bytes) -> dict[str, Any]:
    """What is kept of a rejected document: enough to look into it, too little to fill a disk."""
    return {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "excerpt": data[:2000].decode("utf-8", "replace"),
    }


def _without_lone_surrogates(value: Any) -> Any:
    """JSON can hold halves of characters (`\\ud800`), which no database and no page can: each becomes U+FFFD."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("�", value)
    if isinstance(value, list):
        return [_without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_LONE_SURROGATE.sub("�", key): _without_lone_surrogates(item) for key, item in value.items()}
    return value
