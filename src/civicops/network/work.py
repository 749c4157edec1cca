"""Ask network devices, and keep what they said: many at a time, each with its own outcome."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from civicops.moments import stamp
from civicops.network.answers import Answers, DeviceError, Settings
from civicops.network.changes import Changes, changes
from civicops.network.config import answer_of, body, kept_text, normalise, signs, why_partial
from civicops.network.facts import facts as facts_of
from civicops.network.known import unsafe_name
from civicops.network.platform import Config, Platform, Sign
from civicops.network.pool import Asked, ask_all
from civicops.network.redact import SHORTEST_KNOWN, Fingerprint, fingerprinter
from civicops.network.store import New, Result, Store

# Configurations are kept when so many bytes of them wait, so that 200 devices of the largest kind don't fill the
# controller's memory.
_WAITING = 8 * 1024 * 1024
_WORDS = 500
LONGEST = 4 * 1024 * 1024
"""Characters of a configuration: several times what a town's largest firewall has, and little enough to be redacted in
seconds whatever it holds."""


@dataclass(frozen=True)
class Outcome:
    """How it went with one device. A configuration that was refused has a document and an error."""

    device: str
    facts: dict[str, Any] | None = None
    """The body of a device-facts document."""
    config: dict[str, Any] | None = None
    """The body of a device-config document."""
    error: DeviceError | None = None
    changed: bool = False
    words: str = ""
    """What has changed, in a few words."""
    diff: str = field(default="", repr=False)
    """Of the redacted texts; a device's words."""


def look(work: Sequence[Settings], done: Callable[[Outcome], None], *, threads: int) -> None:
    """Ask what devices are. `done` gets each device's outcome, as it comes."""

    def commands(settings: Settings) -> Asked:
        return list(dict.fromkeys(fact.command for fact in settings.platform.facts)), ()

    def take(settings: Settings, answers: Answers | DeviceError) -> None:
        try:
            if isinstance(answers, DeviceError):
                raise answers
            with _contained():
                outcome = Outcome(settings.device, facts=_told(settings, answers))
        except DeviceError as error:
            outcome = Outcome(settings.device, error=error)
        done(outcome)

    ask_all(work, commands, take, threads=threads)


def back_up(
    work: Sequence[Settings],
    store: Store,
    done: Callable[[Outcome], None],
    *,
    run: str,
    facts: bool,
    accept_shrunk: Collection[str],
    check: bool,
    threads: int,
) -> None:
    """Ask devices for their configurations, and keep those that are whole; with `facts`, ask too what they are.

    :param done: gets each device's outcome, some as they come and the rest in the end.
    :param check: keep nothing, and tell what would be kept.
    :raises StoreError: nothing can be kept.
    """
    keeping = _Keeping(store, run, done, facts=facts, accept_shrunk=accept_shrunk, check=check)
    askable = []
    for settings in work:
        if (why := unsafe_name(settings.device)) is None:
            askable.append(settings)
        else:
            done(Outcome(settings.device, error=DeviceError("settings", f"it was not asked, as {why}")))
    ask_all(askable, keeping.commands, keeping.take, threads=threads)
    keeping.keep()


@dataclass
class _Whole:
    """A configuration that waits to be kept."""

    settings: Settings
    answers: Answers
    new: New
    unsaved: bool | None
    signs: Mapping[Sign, bool | None]
    facts: dict[str, Any] | None


class _Keeping:
    def __init__(
        self,
        store: Store,
        run: str,
        done: Callable[[Outcome], None],
        *,
        facts: bool,
        accept_shrunk: Collection[str],
        check: bool,
    ) -> None:
        self._store, self._run, self._done = store, run, done
        self._facts, self._accept_shrunk, self._check = facts, accept_shrunk, check
        self._fingerprint: Fingerprint = fingerprinter(store.key(make=not check))
        self._waiting: list[_Whole] = []
        self._changed: dict[str, Changes] = {}
        self._bytes = 0

    def commands(self, settings: Settings) -> Asked:
        """What a device is asked, the configuration first, and which of that must be answered."""
        platform = settings.platform
        asked = [platform.running.command]
        if platform.startup is not None:
            asked.append(platform.startup.command)
        asked += [fact.command for fact in platform.facts if self._facts or fact.shown]
        return list(dict.fromkeys(asked)), (platform.running.command,)

    def take(self, settings: Settings, answers: Answers | DeviceError) -> None:
        """One device's answers: they wait, are kept, or have gone wrong."""
        try:
            if isinstance(answers, DeviceError):
                raise answers
            outcome = self._taken(settings, answers)
        except DeviceError as error:
            outcome = Outcome(settings.device, error=error)
        if outcome is not None:
            self._done(outcome)
        elif self._bytes > _WAITING:
            self.keep()

    def _taken(self, settings: Settings, answers: Answers) -> Outcome | None:
        """What was refused; None where it waits to be kept."""
        platform, device = settings.platform, settings.device
        with _contained():
            facts = _told(settings, answers) if self._facts else None
            said = answer_of(platform.running, answers.texts) or ""
            text = body(platform, said)
            why = why_partial(platform, said) or _too_long(text)
        if why is None:
            why = self._store.why_shrunk(device, _bytes(text), accept=self._accept_shrunk)
        if why is not None:
            return self._refused(settings, answers, text, why, facts)
        with _contained():
            whole = self._whole(settings, answers, text, facts)
        self._waiting.append(whole)
        self._bytes += len(whole.new.raw) + len(whole.new.startup or b"")
        return None

    def _whole(self, settings: Settings, answers: Answers, text: str, facts: dict[str, Any] | None) -> _Whole:
        platform = settings.platform
        startup = _startup(platform, answers.texts)
        new = New(
            device=settings.device,
            platform=platform.id,
            raw=_bytes(text),
            text=kept_text(platform, answers.texts, self._fingerprint, settings.secrets),
            words=self._words(settings),
            startup=_bytes(startup) if startup is not None else None,
        )
        return _Whole(settings, answers, new, _unsaved(platform, text, startup), signs(platform, text), facts)

    def _words(self, settings: Settings) -> Callable[[str | None, str], str]:
        """What tells a change, asked where there is one; and remembers it."""

        def words(old: str | None, new: str) -> str:
            change = self._changed[settings.device] = changes(settings.platform, old or "", new)
            return change.words() if old is not None else "first backup"

        return words

    def keep(self) -> None:
        """Keep all that waits."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting:
            return
        results = self._store.keep(
            [one.new for one in waiting], run=self._run, accept_shrunk=self._accept_shrunk, check=self._check
        )
        for one in waiting:
            result = results[one.settings.device]
            if result.refused is not None:
                text = one.new.raw.decode("utf-8", "surrogateescape")
                self._done(self._refused(one.settings, one.answers, text, result.refused, one.facts))
            else:
                self._done(self._kept(one, result))

    def _kept(self, one: _Whole, result: Result) -> Outcome:
        text = one.new.raw.decode("utf-8", "surrogateescape")
        kept = self._store.look(one.settings.device)
        change = self._changed.get(one.settings.device, Changes()) if result.changed else Changes()
        words = "" if not result.changed else "first backup" if result.first else change.words()
        document = self._document(one.settings, one.answers, text) | {
            "outcome": "whole",
            "sha256": sha256(_bytes(one.new.text)).hexdigest(),
            "changed": result.changed,
            "words": words[:_WORDS],
            "added": change.added,
            "removed": change.removed,
            "commit": result.commit,
            "whole_at": _stamp(kept.seen if kept else None),
            "changed_at": _stamp(kept.changed if kept else None),
            "unsaved": one.unsaved,
            "signs": one.signs,
        }
        return Outcome(
            one.settings.device,
            facts=one.facts,
            config=document,
            changed=result.changed,
            words=words,
            diff=result.diff,
        )

    def _refused(
        self, settings: Settings, answers: Answers, text: str, why: str, facts: dict[str, Any] | None
    ) -> Outcome:
        kept = self._store.look(settings.device)
        since = f"that of {kept.seen:%Y-%m-%dT%H:%M}Z is kept" if kept and kept.seen else "none was ever kept"
        document = self._document(settings, answers, text) | {
            "outcome": "refused",
            "reason": why,
            "whole_at": _stamp(kept.seen if kept else None),
            "changed_at": _stamp(kept.changed if kept else None),
        }
        error = DeviceError("partial", f"its configuration was not kept, as {why}; {since}")
        return Outcome(settings.device, facts=facts, config=document, error=error)

    @staticmethod
    def _document(settings: Settings, answers: Answers, text: str) -> dict[str, Any]:
        return {
            "reason": "",
            "platform": settings.platform.id,
            "tested": settings.platform.tested,
            "transport": "telnet" if settings.telnet else "ssh",
            "sha256": None,
            "bytes": len(_bytes(text)),
            "lines": text.count("\n"),
            "changed": False,
            "words": "",
            "added": 0,
            "removed": 0,
            "commit": None,
            "unsaved": None,
            "signs": dict.fromkeys(("telnet", "http", "https", "default_community", "time", "log")),
            "seconds": round(answers.seconds, 3),
        }


@contextmanager
def _contained() -> Iterator[None]:
    """What a device says may be what nobody has thought of: then it is that device's fault, and the others go on."""
    try:
        yield
    except Exception as error:
        raise DeviceError("fault", f"{type(error).__name__} over what it has said: please report it") from error


def _told(settings: Settings, answers: Answers) -> dict[str, Any]:
    """What the device is; without what it was logged in to with, which it may have been given to say."""
    told: dict[str, Any] = _without(facts_of(settings, answers), settings.secrets)
    return told


def _without(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(one, secrets) for name, one in value.items()}
    if isinstance(value, list):
        return [_without(one, secrets) for one in value]
    if isinstance(value, str):
        for secret in secrets:
            if len(secret) >= SHORTEST_KNOWN:
                value = value.replace(secret, "<secret>")
    return value


def _too_long(text: str) -> str | None:
    if len(text) <= LONGEST:
        return None
    return f"it has {len(text):,} characters; the longest that is kept has {LONGEST:,}"


def _startup(platform: Platform, texts: Mapping[str, str]) -> str | None:
    """The startup configuration, where the device gave a whole one."""
    config: Config | None = platform.startup
    if config is None or (said := answer_of(config, texts)) is None or why_partial(platform, said, config):
        return None
    return body(platform, said, config)


def _unsaved(platform: Platform, running: str, startup: str | None) -> bool | None:
    return None if startup is None else normalise(platform, running) != normalise(platform, startup)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _stamp(moment: datetime | None) -> str | None:
    return stamp(moment) if moment is not None else None
