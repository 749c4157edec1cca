# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What a host backs up, as the role has written it: the one file that the program reads."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

FOLDER = "/etc/civicops/backup"
CONFIG = "config.json"
KEPT = "/var/lib/civicops/backup"
KINDS = ("postgresql", "mysql", "sqlite", "ldap", "command")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_NEEDS = {"sqlite": "path", "command": "command"}


class ConfigError(ValueError):
    """The configuration is wrong; the message names the key and the remedy."""


@dataclass(frozen=True)
class Dump:
    """One source that is written to a file before the backup, and judged: never a bare pipe."""

    name: str
    kind: str
    database: str = ""  # empty: all of the server's
    path: str = ""
    command: Tuple[str, ...] = ()
    user: str = ""
    end: str = ""  # what the last lines of a whole dump hold
    seconds: int = 3600
    min_bytes: int = 1
    shrink_percent: int = 50  # smaller than the last good one by more than this is told


@dataclass(frozen=True)
class Config:
    """What is backed up, and what is found odd."""

    paths: Tuple[str, ...]
    excludes: Tuple[str, ...] = ()
    dumps: Tuple[Dump, ...] = ()
    canaries: Tuple[Tuple[str, str], ...] = ()  # path, sha256
    left_out: Tuple[str, ...] = ()  # where other file systems are mounted that are not saved, on purpose
    host: str = ""  # as whose the snapshots are told
    one_file_system: bool = True
    change_percent: int = 30
    change_files: int = 50
    period: int = 86400  # seconds, the longest between two starts of the timer
    late_after: int = 86400 + 7200


def read(text: str) -> Config:
    """From the file's text.

    :raises ConfigError: it is wrong.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{CONFIG} is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{CONFIG} holds no mapping")
    return parsed(values)


def load(folder: str = FOLDER) -> Config:
    """What this host has been told. Raises OSError, ConfigError."""
    with open(os.path.join(folder, CONFIG), encoding="utf-8") as stream:
        return read(stream.read())


def parsed(values: Dict[str, Any]) -> Config:
    """From the role's options. Raises ConfigError."""
    given = dict(values)
    paths = tuple(_path(one, "paths") for one in given.pop("paths", ()))
    dumps = tuple(_dump(one) for one in given.pop("dumps", ()))
    names = [one.name for one in dumps]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"dumps: the name {twice[0]} is used twice; give each its own")
    if not paths and not dumps:
        raise ConfigError("paths and dumps are empty, so nothing would be backed up: name at least one path")
    excludes = tuple(str(one) for one in given.pop("excludes", ()))
    if broken := [one for one in excludes if "\n" in one or not one]:
        raise ConfigError(f"excludes: {broken[0]!r:.60} is no pattern of one line")
    canaries = tuple((_path(path, "canaries"), str(sha256)) for path, sha256 in given.pop("canaries", ()))
    left_out = tuple(_path(one, "left_out") for one in given.pop("left_out", ()))
    return Config(paths, excludes, dumps, canaries, left_out, **_known(given, Config, "the backup"))


def _path(value: Any, key: str) -> str:
    text = str(value)
    if not text.startswith("/") or "\n" in text or "\0" in text:
        raise ConfigError(f"{key}: {text!r:.80} is no absolute path")
    return text


def _dump(value: Any) -> Dump:
    if not isinstance(value, dict):
        raise ConfigError(f"dumps: {value!r:.60} is no mapping of name, kind and more")
    given = {key: item for key, item in value.items() if item not in (None, "", [], ())}
    name = str(given.pop("name", ""))
    if not _NAME.fullmatch(name):
        raise ConfigError(f"dumps: the name {name!r:.60} is none of small letters, digits, dot, dash and underscore")
    kind = str(given.pop("kind", ""))
    if kind not in KINDS:
        raise ConfigError(f"dumps: {name} has the kind {kind!r:.40}; there are {', '.join(KINDS)}")
    if (need := _NEEDS.get(kind)) and not given.get(need):
        raise ConfigError(f"dumps: {name} is of kind {kind} and has no {need}")
    command = tuple(str(word) for word in given.pop("command", ()))
    if "path" in given:
        given["path"] = _path(given["path"], f"dumps: {name}")
    try:
        re.compile(str(given.get("end", "")))
    except re.error as error:
        raise ConfigError(f"dumps: {name}: end is no regular expression: {error}") from error
    if str(given.get("database", "")).startswith("-"):
        raise ConfigError(f"dumps: {name}: a database's name does not begin with a dash")
    return Dump(name, kind, command=command, **_known(given, Dump, f"dumps: {name}"))


def _known(given: Dict[str, Any], kind: Any, where: str) -> Dict[str, Any]:
    fields = kind.__dataclass_fields__
    if odd := sorted(set(given) - set(fields)):
        raise ConfigError(f"{where}: there is no {odd[0]}; there are {', '.join(sorted(fields))}")
    for key, value in given.items():
        wanted = type(fields[key].default)
        if not isinstance(value, wanted) or (wanted is int and (isinstance(value, bool) or value < 0)):
            raise ConfigError(f"{where}: {key} is {value!r:.60}; wanted is {_WORDS[wanted]}")
    return given


_WORDS = {int: "a number, 0 or more", str: "text", bool: "true or false", tuple: "a list"}


def written(config: Dict[str, Any]) -> str:
    """The file's text: equal options give equal text."""
    return json.dumps(config, indent=1, sort_keys=True) + "\n"


def repository(host: str, port: int, user: str, password: str) -> str:
    """restic's address of the repository, which holds the password: a file that root alone may read.

    :raises ConfigError: a part can't be put into an address.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", user):
        raise ConfigError(
            f"name: {user!r:.80} is no name of a repository; wanted are up to 64 letters, digits, dots, dashes and "
            "underscores, and a letter or digit first"
        )
    if not re.fullmatch(r"[A-Za-z0-9._~-]{20,200}", password):
        raise ConfigError(
            "server_password: wanted are 20 to 200 letters, digits, dots, dashes, underscores and tildes, as "
            "`openssl rand -hex 24` makes them"
        )
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]", host):
        raise ConfigError(f"server: {host!r:.80} is no host name and no address (IPv6 in brackets)")
    return f"rest:https://{user}:{password}@{host}:{port}/{user}/"


def place_of(text: str) -> str:
    """A repository's address without its password: which one it is."""
    return re.sub(r"//[^@]*@", "//", text.strip())


def secrets_of(text: str) -> List[str]:
    """What must never be told of a repository's address."""
    found = re.match(r"rest:https://[^:]*:([^@]*)@", text)
    return [found[1]] if found else []


def without(text: str, secrets: List[Optional[str]]) -> str:
    """A message without any of the secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "********")
    return text
