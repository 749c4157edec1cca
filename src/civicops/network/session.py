"""One session with one device: log in, ask, and be sure that an answer is whole.

netmiko's class for the platform logs in, gets privileges and switches paging off. Answers are then read here: up to the
exact prompt, page by page where there is a pager.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

import paramiko
from netmiko import log as netmiko_log

from civicops.network.answers import Answers, DeviceError, Settings
from civicops.network.driver import Bounded, bounded
from civicops.network.platform import Config
from civicops.network.reach import Jump, host_keys, key_of, told
from civicops.network.screen import Screen, answer, lines_after_first
from civicops.network.wire import Limits
from civicops.text import printable

# How long nothing may come for a prompt to be the last that is said, and for a line that looks like one.
_SETTLED = 0.01
_PROVEN = 0.05
# How long a device may take to say its first word, where netmiko's class does not wait for one.
_FIRST = 3
_MOST_PAGES = 5_000
_PROMPT = re.compile(r"\S.{0,200}[#>$%\])]$|^[#>$%]$")
# What stands between the login and the prompt, and the key that goes on. None of them is an order to the device.
_GREETINGS = ((re.compile(r"(?i)press '?a'? to accept"), "a"), (re.compile(r"(?i)press any key"), " "))
# A refusal is short: a configuration with such a line in it is none.
_REFUSAL_LINES = 6
_REFUSAL_LENGTH = 1000


def ask(
    settings: Settings,
    commands: Sequence[str],
    must: Collection[str] = (),
    *,
    through: Jump | None = None,
    stop: threading.Event | None = None,
) -> Answers:
    """Ask one device, command by command.

    What is in `must` has to be answered. That, and any configuration, is proven to be whole: the device answers an
    empty line after it with its prompt and nothing else. A configuration that the device refuses is asked for as
    `Config.otherwise` says; the answer stands under the command that it was given to. `through` is the connection to
    `settings.jump`; without it, one is made for this session. Once `stop` is set, the session ends within a second.

    :raises DeviceError: it was not asked to the end.
    """
    started = time.monotonic()
    own = Jump(settings) if through is None and settings.jump is not None else None
    try:
        with _session(settings, through or own, stop) as (driver, talk):
            if settings.platform.enable and not driver.check_enable_mode():
                driver.enable()
            talk.find_prompt()
            for command in settings.platform.prepare:
                talk.ask(command)
            if settings.platform.prepare:
                talk.find_prompt()
            texts: dict[str, str] = {}
            refused: dict[str, str] = {}
            for command in commands:
                config = _config(command, settings)
                for one in (command, *(config.otherwise if config else ())):
                    text = talk.ask(one, proven=command in must or config is not None)
                    said = _refusal(text, settings)
                    if said is None:
                        texts[one] = text
                        break
                    refused[one] = said
                else:
                    if command in must:
                        raise DeviceError(
                            "refused", f"{command!r} is refused: {refused[command]}. Is the user allowed to see it?"
                        )
            return Answers(texts, refused, printable(talk.prompt, 200), time.monotonic() - started)
    except DeviceError:
        raise
    except Exception as error:
        raise told(error, settings.login) from None
    finally:
        if own is not None:
            own.close()


class _Talk:
    """Commands and answers, once somebody is logged in."""

    def __init__(self, driver: Bounded, settings: Settings) -> None:
        self._wire = driver.wire
        self._new = not driver.base_prompt  # netmiko's class has read nothing yet
        self._settings = settings
        self._platform = settings.platform
        self._pager = re.compile(settings.platform.pager) if settings.platform.pager else None
        self._screen = Screen(self._pager)
        self._end = settings.platform.line_end or driver.RETURN
        self._pages = 0
        self._empty: list[str] = []
        self.prompt = ""

    def find_prompt(self) -> None:
        """Learn the exact prompt, and what comes of an empty line: the same twice."""
        self._settle(_PROVEN)
        self.prompt = self._candidate()
        said: list[str] | None = None
        for _ in range(6):
            self._screen.take()
            self._wire.send(self._end)
            self._screen.feed(self._come())
            while not self._screen.fresh or not _PROMPT.search(self._screen.shown()):
                self._screen.feed(self._come())
            self._settle(_SETTLED)
            lines, before = lines_after_first(self._screen.take()), said
            if not self._screen.stands_at(self.prompt):
                self.prompt, said = self._screen.shown(), None
            elif lines == before:
                self._empty = lines
                return
            else:
                said = lines
        raise DeviceError("timeout", "its prompt is another one each time")

    def ask(self, command: str, proven: bool = False) -> str:
        self._screen = Screen(self._pager)
        self._wire.send(command + self._end)
        self._screen.feed(self._come())
        self._to_prompt()
        text = self._screen.take()
        if proven:
            text += self._proof()
        return answer(text, command, self.prompt)

    def _proof(self) -> str:
        """Press return at what looks like the prompt; what came though it was not the end is returned."""
        more = ""
        self._wire.send(self._end)
        while True:
            while not self._screen.fresh:
                self._screen.feed(self._come())
            self._to_prompt()
            text = self._screen.take()
            if lines_after_first(text) == self._empty and not self._wire.wait(_PROVEN):
                return more
            more += text

    def _to_prompt(self) -> None:
        screen = self._screen
        while True:
            if screen.stands_at(self.prompt):
                if not self._wire.wait(_SETTLED):
                    return
            elif screen.at_pager() and not self._wire.wait(_SETTLED):
                self._pages += 1
                if self._pages > _MOST_PAGES:
                    raise DeviceError("flood", f"its pager has more than {_MOST_PAGES:,} pages")
                screen.turn()
                self._wire.send(self._platform.pager_key)
            screen.feed(self._come())

    def _candidate(self) -> str:
        """Something that looks like a prompt, after pressing return."""
        pressed: set[str] = set()
        if self._new:
            if not self._screen.shown():
                self._screen.feed(self._wire.receive(_FIRST))
                self._settle(_PROVEN)
            self._new = False
        if not self._greeted(pressed):
            self._wire.send(self._end)
        while True:
            shown = self._screen.shown()
            if _PROMPT.search(shown):
                self._settle(_PROVEN)
                if self._screen.shown() == shown:
                    return shown
                continue
            self._greeted(pressed)
            self._screen.feed(self._come())
            self._screen.take()

    def _greeted(self, pressed: set[str]) -> bool:
        """Press the key that a greeting waits for, if it does and was not pressed before."""
        for greeting, key in _GREETINGS:
            if key not in pressed and greeting.search(self._screen.shown()):
                pressed.add(key)
                self._wire.send(key)
                return True
        return False

    def _come(self) -> bytes:
        data = self._wire.receive(self._settings.command_timeout)
        if not data:
            raise DeviceError("timeout", f"it said nothing for {self._settings.command_timeout:g} s")
        return data

    def _settle(self, seconds: float) -> None:
        while data := self._wire.receive(seconds):
            self._screen.feed(data)


@contextmanager
def _session(settings: Settings, jump: Jump | None, stop: threading.Event | None) -> Iterator[tuple[Bounded, _Talk]]:
    login = settings.login
    platform = settings.platform
    key = key_of(login)
    if settings.telnet and jump is not None:
        raise DeviceError("settings", "telnet through a jump host is not there: the device needs SSH")
    limits = Limits(time.monotonic() + settings.session_timeout, settings.most_bytes, stop)
    driver = bounded(platform.driver, settings.telnet)(
        host=login.address,
        port=login.port,
        username=login.user,
        password=login.password,
        secret=settings.enable_secret or "",
        device_type=f"{platform.driver}_telnet" if settings.telnet else platform.driver,
        pkey=key,
        sock=None if jump is None else jump.channel(login),
        conn_timeout=min(settings.connect_timeout, settings.session_timeout),
        auto_connect=False,
        # cisco_asa would set the terminal's width in configuration mode: a backup changes nothing.
        allow_auto_change=False,
    )
    try:
        with _login_watched(driver, min(4 * settings.connect_timeout, settings.session_timeout)):
            keys = host_keys(settings, login)
            driver.begin(limits, keys, settings.command_timeout, legacy=settings.legacy_algorithms)
        yield driver, _Talk(driver, settings)
    finally:
        _hang_up(driver)
        netmiko_log.removeFilter(driver._secrets_filter)


@contextmanager
def _login_watched(driver: Bounded, seconds: float) -> Iterator[None]:
    """paramiko waits without end for a device that leaves a request unanswered: the connection is closed then."""
    over = threading.Event()

    def end() -> None:
        over.set()
        _hang_up(driver)

    watch = threading.Timer(seconds, end)
    watch.daemon = True
    watch.start()
    try:
        yield
    except Exception:
        if over.is_set():
            raise DeviceError("timeout", f"the login took longer than {seconds:g} s") from None
        raise
    finally:
        watch.cancel()


def _hang_up(driver: Bounded) -> None:
    client = getattr(driver, "remote_conn_pre", None)
    for connection in (driver.remote_conn, client):
        if connection is not None:
            with suppress(OSError, EOFError, paramiko.SSHException):
                connection.close()


def _config(command: str, settings: Settings) -> Config | None:
    """The configuration that a command shows; None where it shows something else."""
    for config in (settings.platform.running, settings.platform.startup):
        if config is not None and config.command == command:
            return config
    return None


def _refusal(text: str, settings: Settings) -> str | None:
    """The line in which a device says no."""
    lines = text.strip("\n").split("\n")
    if len(lines) > _REFUSAL_LINES or len(text) > _REFUSAL_LENGTH:
        return None
    no = re.compile(settings.platform.refused)
    said = [line for line in lines if no.search(line)]
    if not said:
        return None
    line = max(said, key=len)
    for secret in settings.secrets:  # it may have come back from the device
        line = line.replace(secret, "********")
    return printable(line, 200)
