"""A message as it is sent: one matter, or a digest of what waited, in plain text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from civicops.alerts.matter import Matter
from civicops.alerts.notice import SUBJECT_LIMIT, TEXT_LIMIT, lines, one_line
from civicops.town.model import Town

DIGEST = "digest"
"""The kind of a message about more than one matter."""
_LISTED = 100


@dataclass(frozen=True)
class Part:
    """One matter of a message."""

    kind: str
    key: str
    subject: str
    text: str
    resolved: bool
    at: datetime
    """When it began, in the town's zone."""
    thread: str
    """A name of the matter that stays the same until it is resolved."""


@dataclass(frozen=True)
class Message:
    """What a recipient gets. Everything in it is bounded and free of characters that steer."""

    town: str
    town_name: str
    subject: str
    """At most 150 characters, the town's id in front."""
    text: str
    """At most 20,000 characters."""
    parts: tuple[Part, ...]
    at: datetime
    """When it is sent, in the town's zone."""
    id: str
    """The same when the same is sent again: 32 hexadecimal digits."""


def compose(town: Town, matters: Mapping[str, Matter], now: datetime) -> Message:
    """One message of all these matters (by their identities)."""
    parts = tuple(_part(town, identity, matter) for identity, matter in matters.items())
    first = parts[0]
    subject = first.subject if len(parts) == 1 else f"{len(parts)} messages: {first.subject}"
    return Message(
        town=town.id,
        town_name=one_line(town.name),
        subject=one_line(f"[{town.id}] {subject}"),
        text=_single(first) if len(parts) == 1 else _digest(parts),
        parts=parts,
        at=now.astimezone(town.zone),
        id=_hash(
            town.id, *(f"{part.thread} {matters[name].since} {part}" for name, part in zip(matters, parts, strict=True))
        ),
    )


def _part(town: Town, identity: str, matter: Matter) -> Part:
    subject, text = _WORDS[matter.telling](matter)
    return Part(
        kind=matter.kind,
        key=matter.key,
        subject=one_line(subject),
        text=lines(text),
        resolved=matter.telling == "resolved",
        at=matter.opened_at.astimezone(town.zone),
        thread=_hash(town.id, identity, matter.opened_at.isoformat()),
    )


def _reminder(matter: Matter) -> tuple[str, str]:
    return f"Still: {matter.subject}", matter.text


def _resolved(matter: Matter) -> tuple[str, str]:
    text = matter.closing_text
    if matter.told_at is None:
        text += f"\n\nIt came and went: {matter.subject}\n\n{matter.text}"
    return f"Resolved: {matter.closing_subject}", text


_WORDS: Mapping[str, Callable[[Matter], tuple[str, str]]] = {
    "problem": lambda matter: (matter.subject, matter.text),
    "reminder": _reminder,
    "resolved": _resolved,
}


def _single(part: Part) -> str:
    foot = f"\n\n-- \nSince {_when(part)}. {part.kind}: {part.key}"
    return lines(part.text, TEXT_LIMIT - len(foot)) + foot


def _digest(parts: tuple[Part, ...]) -> str:
    listed = [f"- {part.subject} (since {_when(part)}, {part.kind}: {part.key})" for part in parts[:_LISTED]]
    if len(parts) > _LISTED:
        listed.append(f"- and {len(parts) - _LISTED} more")
    top = lines("\n".join(listed), TEXT_LIMIT // 2)
    room, told = TEXT_LIMIT - len(top) - 2 * SUBJECT_LIMIT, []
    for part in parts:
        section = f"\n\n{part.subject}\n{'-' * min(len(part.subject), 72)}\n{part.text}"
        if len(section) > room:
            told.append("\n\nThe other texts do not fit here.")
            break
        told.append(section)
        room -= len(section)
    return top + "".join(told)


def _when(part: Part) -> str:
    return f"{part.at:%Y-%m-%d %H:%M %Z}"


def _hash(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:32]
