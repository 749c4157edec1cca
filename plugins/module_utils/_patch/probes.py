# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Whether a host is well: failed units, and what the town says of its systems. Looked at before and after."""

from __future__ import annotations

import codecs
import http.client
import os
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
import urllib.parse
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from .._host_info.context import COMMAND_ENVIRONMENT, clean
from .lengths import OptionError, seconds

IDNA = codecs.lookup("idna")  # host names are encoded by it, and Python itself may be replaced before one is
ANSWER_LIMIT = 1 << 20  # bytes of an answer that are looked at
LOOK_EVERY = 2.0
# What a look can raise, options that can't be among it: a port of 99999, a command without a word, two statements.
_RED = (
    OSError,
    ValueError,
    TypeError,
    IndexError,
    OverflowError,
    http.client.HTTPException,
    sqlite3.Error,
    sqlite3.Warning,
    subprocess.SubprocessError,
)
SYSTEMCTL = ["systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--no-pager", "--full"]
UNIT_FILES = ["systemctl", "list-unit-files", "--plain", "--no-legend", "--no-pager", "--full"]


@dataclass
class Probe:
    """One look at one thing. C(before) and C(after) are green, red or not_run."""

    name: str
    kind: str
    system: Optional[str]
    seconds: float
    options: Dict[str, Any]
    before: str = "not_run"
    after: str = "not_run"
    text: str = ""

    @classmethod
    def read(cls, value: Dict[str, Any]) -> Probe:
        """From what the role sends; raises ValueError."""
        kind = value.get("kind")
        if kind not in _LOOKS:
            raise ValueError(f"a probe's kind is {kind!r}; there are {', '.join(_LOOKS)}")
        options = {name: item for name, item in value.items() if name not in ("name", "kind", "system", "hosts")}
        seconds = float(options.pop("timeout", None) or 10.0)
        name = value.get("name") or _named(str(kind), options)
        return cls(str(name), str(kind), value.get("system"), min(max(seconds, 1.0), 60.0), options)

    def look(self) -> Tuple[bool, str]:
        """Whether it is well, and what was found; by a thread, as a server that answers a byte now and then, and a
        query, know no limit of time that is for the whole of it."""
        found: List[Tuple[bool, str]] = []
        thread = threading.Thread(target=lambda: found.append(self._look()), daemon=True)
        thread.start()
        thread.join(self.seconds + 1.0)
        return found[0] if found else (False, f"no end after {self.seconds:.0f} s")

    def _look(self) -> Tuple[bool, str]:
        try:
            return _LOOKS[self.kind](self.options, self.seconds)
        except KeyError as error:
            return False, f"the probe lacks {error}"
        except _RED as error:
            return False, f"{type(error).__name__}: {error}"[:300]

    def values(self) -> Dict[str, Any]:
        return {
            "name": self.name[:255],
            "kind": self.kind,
            "system": self.system,
            "before": self.before,
            "after": self.after,
            "text": self.text[:500],
        }


def _named(kind: str, options: Dict[str, Any]) -> str:
    words = options.get("command") or [options.get("url") or options.get("unit") or options.get("port") or ""]
    if kind == "query":
        words = [options.get("engine"), options.get("database")]
    return " ".join([kind, *map(str, words)])[:200]


def requested(given: Sequence[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """The probes of a module's option, as C(Probe.read) takes them; raises OptionError."""
    found = []
    for number, one in enumerate(given):
        plain = {name: value for name, value in one.items() if value is not None}
        if "timeout" in plain:
            plain["timeout"] = seconds(f"probes[{number}].timeout", plain["timeout"])
        try:
            Probe.read(plain)
        except (ValueError, TypeError) as error:
            raise OptionError(f"probes[{number}]: {error}") from None
        found.append(plain)
    return found


def failed_units() -> List[str]:
    """Names of systemd's failed units; none where there is no systemd."""
    return sorted(_first_words(SYSTEMCTL))[:1000]


def _first_words(command: Sequence[str]) -> Set[str]:
    """The first word of each line that systemctl prints; none where there is no systemd."""
    if not os.path.isdir("/run/systemd/system"):
        return set()
    try:
        done = _command(command, 15.0)
    except (OSError, subprocess.SubprocessError):
        return set()
    return {line.split()[0] for line in done[1].splitlines() if line.strip()}


def look_at_all(probes: Sequence[Probe], grace: float, sleep: Callable[[float], None] = time.sleep) -> Dict[str, str]:
    """What every probe found, by its place in the sequence as text: empty where it is well.

    Those that are red are asked again until the grace (seconds) is over: services take their time to start.
    """
    end = time.monotonic() + grace
    red: Dict[str, str] = {}
    left = list(enumerate(probes))
    while True:
        red = {}
        again = []
        for number, probe in left:
            well, text = probe.look()
            probe.text = text
            if not well:
                red[str(number)] = text
                again.append((number, probe))
        if not again or time.monotonic() >= end:
            return red
        left = again
        sleep(LOOK_EVERY)


class Health:
    """How a host is before and after work on it: its probes, and systemd's failed units.

    With C(spare_new) a unit that has failed and whose file was not there before is told, and is no harm: nothing that
    ran has ended.
    """

    def __init__(self, probes: Sequence[Probe], *, spare_new: bool = False) -> None:
        self.probes = list(probes)
        self.units: Dict[str, List[str]] = {"before": [], "after": []}
        self.spare_new = spare_new
        self._files: Set[str] = set()

    def kept(self) -> Dict[str, Any]:
        """What another process needs, to C(recall) it."""
        return dict(self.values(), unit_files=sorted(self._files))

    def recall(self, values: Dict[str, Any]) -> None:
        """What an earlier stage has found, by its C(values) or C(kept)."""
        self._files = set(values.get("unit_files", ()))
        for probe, told in zip(self.probes, values["probes"]):
            probe.before = told["before"]
        self.units["before"] = list(values["failed_units"]["before"])

    def before(self, grace: float) -> List[str]:
        """Look before the work, red ones again until the grace (seconds) is over: what is not well, in words."""
        red = look_at_all(self.probes, grace)
        for number, probe in enumerate(self.probes):
            probe.before = "red" if str(number) in red else "green"
        self.units["before"] = failed_units()
        self._files = _first_words(UNIT_FILES) if self.spare_new else set()
        return [f"{self.probes[int(number)].name}: {text}" for number, text in red.items()]

    def after(self, grace: float) -> List[str]:
        """Look after the work: what is not well and was before, in words."""
        red = look_at_all(self.probes, grace)
        for number, probe in enumerate(self.probes):
            probe.after = "red" if str(number) in red else "green"
        failed = failed_units()
        if set(failed).difference(self.units["before"]):
            time.sleep(LOOK_EVERY)  # a unit that is started anew after a failure is given a moment
            failed = failed_units()
        self.units["after"] = failed
        found = [
            f"{self.probes[int(number)].name}: {text}"
            for number, text in red.items()
            if self.probes[int(number)].before != "red"
        ]
        since = [unit for unit in failed if unit not in self.units["before"]]
        new = _first_words(UNIT_FILES) - self._files if since and self.spare_new else set()
        return found + [f"the unit {unit} has failed" for unit in since if not {unit, _template(unit)} & new]

    def values(self) -> Dict[str, Any]:
        return {"probes": [probe.values() for probe in self.probes], "failed_units": dict(self.units)}


def _template(unit: str) -> str:
    """The name of the file of an instance: that of the unit itself where it is none."""
    name, at, rest = unit.partition("@")
    return f"{name}@.{rest.rpartition('.')[2]}" if at else unit


def _command(command: Sequence[str], seconds: float) -> Tuple[int, str]:
    done = subprocess.run(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        env=COMMAND_ENVIRONMENT,
        cwd="/",
        check=False,
    )
    return done.returncode, clean(done.stdout[:ANSWER_LIMIT])


def _port(options: Dict[str, Any], seconds: float) -> Tuple[bool, str]:
    address = str(options.get("address") or "127.0.0.1")
    with socket.create_connection((address, int(options["port"])), timeout=seconds):
        return True, "accepts connections"


def _http(options: Dict[str, Any], seconds: float) -> Tuple[bool, str]:
    """One request, without following redirects; never by a proxy, as the question is to this host."""
    url = urllib.parse.urlsplit(str(options["url"]))
    if url.scheme not in ("http", "https") or not url.hostname:
        return False, "the url is neither http nor https"
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        context = ssl.create_default_context()
        if options.get("verify_tls") is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=seconds, context=context)
    else:
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=seconds)
    try:
        target = urllib.parse.urlunsplit(("", "", url.path or "/", url.query, ""))
        connection.request("GET", target, headers={"User-Agent": "civicops", "Connection": "close"})
        answer = connection.getresponse()
        body = clean(answer.read(ANSWER_LIMIT))
    finally:
        connection.close()
    wanted = int(options.get("status") or 200)
    if answer.status != wanted:
        return False, f"status {answer.status}, {wanted} is wanted"
    return _contains(options, body, f"status {answer.status}")


def _run_command(options: Dict[str, Any], seconds: float) -> Tuple[bool, str]:
    command = [str(word) for word in options["command"]]
    status, output = _command(command, seconds)
    wanted = int(options.get("status") or 0)
    if status != wanted:
        return False, f"exit {status}, {wanted} is wanted: {output.strip()[-200:]}"
    return _contains(options, output, f"exit {status}")


def _query(options: Dict[str, Any], seconds: float) -> Tuple[bool, str]:
    engine, database, query = str(options["engine"]), str(options["database"]), str(options["query"])
    if engine == "sqlite":
        place = urllib.parse.quote(os.path.abspath(database))
        connection = sqlite3.connect(f"file:{place}?mode=ro", timeout=seconds, uri=True)
        # Whoever has asked waits no longer then: without this, its thread would work on for as long as we run.
        end = time.monotonic() + seconds + 2.0
        connection.set_progress_handler(lambda: time.monotonic() > end, 100_000)
        try:
            rows = connection.execute(query).fetchmany(1000)
        finally:
            connection.close()
        return _contains(options, "\n".join("|".join(map(str, row)) for row in rows), f"{len(rows)} rows")
    if engine == "postgresql":
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", query]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
    elif engine == "mariadb":
        command = ["mysql", "-N", "-B", "-D", database, "-e", query]
    else:
        return False, f"no such engine: {engine}"
    status, output = _command(command, seconds)
    if status != 0:
        return False, f"exit {status}: {output.strip()[-200:]}"
    return _contains(options, output, "answered")


def _unit(options: Dict[str, Any], seconds: float) -> Tuple[bool, str]:
    status, output = _command(["systemctl", "is-active", "--", str(options["unit"])], seconds)
    return status == 0, output.strip()[:100] or f"exit {status}"


def _contains(options: Dict[str, Any], output: str, otherwise: str) -> Tuple[bool, str]:
    wanted = options.get("contains")
    if wanted is None or str(wanted) in output:
        return True, otherwise
    return False, f"{otherwise}, and the text that is wanted is not in the answer"


_LOOKS: Dict[str, Callable[[Dict[str, Any], float], Tuple[bool, str]]] = {
    "port": _port,
    "http": _http,
    "command": _run_command,
    "query": _query,
    "unit": _unit,
}
