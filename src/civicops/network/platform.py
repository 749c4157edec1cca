"""What is known of a kind of network device: data, a file for each in `platforms/`, named as in `netmiko_platform`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

PLATFORMS = Path(__file__).with_name("platforms")

# What a command's answer tells, by the parts of a device-facts document that it fills.
About = Literal["system", "inventory", "stack", "interfaces", "addresses", "neighbours", "power", "temperature", "poe"]
# What is judged from a configuration alone: each an expression that some line of it matches.
Sign = Literal["telnet", "http", "https", "default_community", "time", "log"]


class PlatformError(Exception):
    """A platform's file is not as it should be, or there is none of that name; the message says which and why."""


def _compiles(expression: str) -> str:
    try:
        re.compile(expression)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return expression


Regex = Annotated[str, AfterValidator(_compiles)]
"""A Python regular expression, searched for in one line. What a device says is hostile: an expression must take time in
proportion to the line's length (one `.*` at most, and nothing unanchored that runs far before it fails)."""


@cache
def compiled(expression: str) -> re.Pattern[str]:
    """The expression, compiled once; there are more of them than `re` remembers."""
    return re.compile(expression)


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Command(_Data):
    """A question about what the device is. A device that refuses it is asked nothing else instead; that is told."""

    command: str
    about: About | None = "system"
    """None: it is asked for git alone. A command that tells of several things stands there several times."""
    template: str | None = None
    """The command's name in ntc-templates, where that is not the command itself."""
    patterns: Mapping[str, Regex] = {}
    """Single fields, each with an expression whose first group is its value. They go before those of a template. `^`
    and `$` are the ends of a line."""
    record: Regex | None = None
    """The line with which each record of several lines begins: the patterns are taken of each, and no template."""
    rows: Regex | None = None
    """For a table of which a row is a line: each match is a row, its named groups are the fields. No template then."""
    none: Regex = (
        r"(?i)^.{0,60}\b(?:is|are) (?:currently )?not (?:enabled|running|active|configured|supported|present)\b"
        r"|^total \w+ entries displayed *: *0$|^.{0,40}\bdisabled\.?$"
    )
    """A line that says that there is nothing of it: an answer too, though no row."""
    shown: bool = False
    """Whether the answer stands above the configuration in git, as comments: what it says seldom changes by itself."""
    keep: tuple[Regex, ...] = ()
    """Lines of a shown answer that are kept. None: all."""
    drop: tuple[Regex, ...] = ()
    """Lines of a shown answer that are left out: clocks, counters, loads."""


class Config(_Data):
    """How a configuration is asked for, and how a whole one looks."""

    command: str
    begins: Regex | None = None
    """The first line that is kept; what stands above it is the device's talk."""
    ends: Regex | None = None
    """The last line that is not blank. None: the device ends its configuration with nothing of its own."""
    braces: bool = False
    """Whether each line that ends with `{` has a line `}`: so a whole one is told where there is no end marker."""
    otherwise: tuple[str, ...] = ()
    """Commands to try where the device refuses the first: other releases of its software call it so."""


class Block(_Data):
    """Several lines from `begins` to `ends`. Of a secret both stay, but for what a group `secret` of theirs takes."""

    begins: Regex
    ends: Regex
    holds: Regex | None = None
    """Of a volatile block: what each line in between must be, so that nobody hides others there."""


class Scope(_Data):
    """Rules for the lines from the one after `begins` to the one before `ends`: what is a secret there alone."""

    begins: Regex
    ends: Regex
    secrets: tuple[Regex, ...]


class Absent(_Data):
    """A sign of what is on unless the configuration has such a line."""

    absent: Regex


class Life(_Data):
    """Where the end of its software's support is told: a product of endoflife.date."""

    product: str
    cycle: Regex
    """What a version begins with; its groups, joined by points, are the product's cycle. Others have no end there."""

    def cycle_of(self, version: str) -> str | None:
        """The cycle that a version is of; None where it is none that the product has."""
        found = compiled(self.cycle).match(version)
        return ".".join(found.groups()) if found else None


class Platform(_Data):
    """A kind of network device."""

    id: str
    title: str
    vendor: str
    driver: str
    """netmiko's device type, whose class logs in and sets the session up."""
    aliases: tuple[str, ...] = ()
    """More values of `netmiko_platform` that mean this one."""
    recordings: tuple[str, ...] = ()
    """Real devices, model and software, whose recorded sessions it was tested with. None: it is untested."""
    templates: str | None = None
    """The platform's name in ntc-templates."""
    comment: str = "! "
    """What a comment begins with in its configurations."""
    line_end: str | None = None
    """What ends a line that is sent to it. None: what netmiko's driver ends lines with, by SSH or by telnet."""
    enable: bool = False
    """Whether it shows its configuration in privileged mode alone."""
    prepare: tuple[str, ...] = ()
    """Commands that set the session up, beside those of netmiko's driver. None of them may change the device."""
    pager: Regex | None = None
    """What it shows where it waits for a key before the next page."""
    pager_key: str = " "
    refused: Regex = r"(?i)^\s*(%|\^\s*$|error:|(invalid|unknown) (input|command)|syntax error|command (fail|not ))"
    """A line of an answer that says that it does not know the command or does not allow it."""
    running: Config
    startup: Config | None = None
    facts: tuple[Command, ...] = ()
    secrets: tuple[Regex, ...] = ()
    """Lines with secrets. Each group named `secret`, `secret2` ... is replaced by its fingerprint."""
    unstable: tuple[Regex, ...] = ()
    """The same, for secrets that the device encrypts anew each time it shows them: these get no fingerprint."""
    scopes: tuple[Scope, ...] = ()
    blocks: tuple[Block, ...] = ()
    unstable_blocks: tuple[Block, ...] = ()
    volatile: tuple[Regex, ...] = ()
    """Lines that change though nobody changed the configuration; left out of git."""
    volatile_blocks: tuple[Block, ...] = ()
    """The same, of several lines; first and last go too."""
    continues: Regex | None = None
    """The end of a line that goes on in the next one: it is taken out, and so is the white space that follows."""
    significant: Mapping[str, Regex] = {}
    """What a change is called that touches such a line, as in "users" or "access lists"."""
    section: Regex | None = None
    """A line that opens a section, such as an interface, with a group `name`: changes below it are told by that."""
    section_ends: Regex | None = None
    """The line that closes it. None: the first line that is not indented more than the one that opened it."""
    signs: Mapping[Sign, Regex | Absent | None] = {}
    """What is judged from the configuration; a sign that is not here is unknown for this platform."""
    life: Life | None = None
    """None: nobody is known who tells, for all such devices, how long their software is supported."""
    restore: str
    """The documented way back: what a person does with the kept configuration."""

    @property
    def tested(self) -> bool:
        return bool(self.recordings)


@cache
def platforms() -> Mapping[str, Platform]:
    """All platforms by their id.

    :raises PlatformError: a file is not as it should be.
    """
    return {path.stem: _read(path) for path in sorted(PLATFORMS.glob("*.yml"))}


@cache
def _names() -> Mapping[str, Platform]:
    named = {name: platform for platform in platforms().values() for name in platform.aliases}
    return named | dict(platforms())


def find(name: str) -> tuple[Platform, bool]:
    """The platform that a `netmiko_platform` names, and whether it is reached by telnet (`_telnet` at its end).

    :raises PlatformError: there is none of that name; the message lists those that there are.
    """
    telnet = name.endswith("_telnet")
    found = _names().get(name.removesuffix("_telnet"))
    if found is None:
        raise PlatformError(
            f"netmiko_platform {name[:60]!r} is none that is known here; there are: {', '.join(platforms())} "
            "(each with _telnet where there is no SSH)"
        )
    return found, telnet


def _read(path: Path) -> Platform:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Platform(id=path.stem, **data)
    except (yaml.YAMLError, TypeError, OSError) as error:
        raise PlatformError(f"{path.name}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PlatformError(f"{path.name}: {place}: {first['msg']}") from error
