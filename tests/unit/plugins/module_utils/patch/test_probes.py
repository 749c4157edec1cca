"""Whether a host is well: each kind of probe, and answers that are meant to hold us up."""

from __future__ import annotations

import http.server
import json
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._patch import probes
from ansible_collections.civicops.town.plugins.module_utils._patch.probes import Probe, look_at_all


def look(**options: Any) -> tuple[bool, str]:
    found: tuple[bool, str] = Probe.read(options).look()
    return found


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the path: a status and a body, a redirect, much, slowly."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        kind = self.path.partition("?")[0]
        if kind == "/slow":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for number in range(100):
                self.wfile.write(f"X-{number}: y\r\n".encode())
                time.sleep(0.3)
            return
        self.send_response({"/away": 302, "/broken": 503, "/query": 200 if "?a=b" in self.path else 400}.get(kind, 200))
        if kind == "/away":
            self.send_header("Location", "/")
        self.end_headers()
        if kind == "/huge":
            try:
                for _ in range(64):
                    self.wfile.write(b"x" * (1 << 20))
            except OSError:
                return
        self.wfile.write(b"Welcome to \xff Riverton")


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    one = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    one.daemon_threads = True
    threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True).start()
    yield one
    one.shutdown()
    one.server_close()


@pytest.mark.parametrize(
    ("path", "more", "well", "text"),
    [
        ("/", {}, True, "status 200"),
        ("", {"contains": "Riverton"}, True, "status 200"),
        ("/", {"contains": "Springfield"}, False, "the text that is wanted is not in the answer"),
        ("/away", {}, False, "status 302, 200 is wanted"),
        ("/away", {"status": 302}, True, "status 302"),
        ("/broken", {}, False, "status 503, 200 is wanted"),
        ("/query?a=b#there", {}, True, "status 200"),
        ("/huge", {}, True, "status 200"),
        ("/ä", {}, False, "UnicodeEncodeError"),
        ("/a b", {}, False, "InvalidURL"),
    ],
)
def test_http(server: Any, path: str, more: dict[str, Any], well: bool, text: str) -> None:
    url = f"http://127.0.0.1:{server.server_address[1]}{path}"
    found = look(kind="http", url=url, **more)
    assert found[0] is well
    assert text in found[1]


def test_a_server_that_answers_for_ever_is_not_waited_for(server: Any) -> None:
    began = time.monotonic()
    found = look(kind="http", url=f"http://127.0.0.1:{server.server_address[1]}/slow", timeout=1)
    assert found == (False, "no end after 1 s")
    assert time.monotonic() - began < 4


def test_the_proxy_of_the_environment_is_not_asked(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert look(kind="http", url=f"http://127.0.0.1:{server.server_address[1]}/")[0]


def test_tls_is_verified_unless_the_town_says_otherwise(server: Any, tmp_path: Path) -> None:
    pair = tmp_path / "pair.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-out",
        "c",
        "-keyout",
        "k",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    pair.write_text((tmp_path / "c").read_text() + (tmp_path / "k").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://127.0.0.1:{server.server_address[1]}/"
    well, text = look(kind="http", url=url)
    assert (well, "SSLCertVerificationError" in text) == (False, True)
    assert look(kind="http", url=url, verify_tls=False) == (True, "status 200")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/", "http:///", "", "http://x:y/", "http://[::/"])
def test_what_is_no_url_is_red(url: str) -> None:
    assert look(kind="http", url=url)[0] is False


def test_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
        assert look(kind="port", port=port) == (True, "accepts connections")
        assert look(kind="port", port=str(port), address="127.0.0.1")[0]
    well, text = look(kind="port", port=port, timeout=1)
    assert (well, text.partition(":")[0]) == (False, "ConnectionRefusedError")


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "port"},
        {"kind": "port", "port": 99999},
        {"kind": "port", "port": "ssh"},
        {"kind": "port", "port": [22]},
        {"kind": "command", "command": []},
        {"kind": "command", "command": ["/nonexistent"]},
        {"kind": "command", "command": ["a\0b"]},
        {"kind": "command"},
        {"kind": "http", "url": "http://127.0.0.1:1/", "status": "x"},
        {"kind": "query", "engine": "sqlite", "database": "/nonexistent", "query": "select 1"},
        {"kind": "query", "engine": "sqlite", "database": ":memory:", "query": "select 1; select 2"},
        {"kind": "query", "engine": "oracle", "database": "x", "query": "select 1"},
        {"kind": "query"},
    ],
)
def test_options_that_can_not_be_are_red_and_no_end_of_the_night(options: dict[str, Any]) -> None:
    well, text = Probe.read(options).look()
    assert well is False
    assert 0 < len(text) <= 300
    assert "no end after" not in text


@pytest.mark.parametrize(
    ("more", "well", "text"),
    [
        ({"command": ["true"]}, True, "exit 0"),
        ({"command": ["sh", "-c", "echo no >&2; exit 3"]}, False, "exit 3, 0 is wanted: no"),
        ({"command": ["sh", "-c", "exit 3"], "status": 3}, True, "exit 3"),
        ({"command": ["echo", "$HOME; reboot"], "contains": "$HOME; reboot"}, True, "exit 0"),
        ({"command": ["pwd"], "contains": "/\n"}, True, "exit 0"),
        ({"command": ["sleep", "9"], "timeout": 1}, False, "TimeoutExpired"),
    ],
)
def test_command(more: dict[str, Any], well: bool, text: str) -> None:
    found = look(kind="command", **more)
    assert found[0] is well
    assert text in found[1]


def test_sqlite_is_asked_without_being_written_to(tmp_path: Path) -> None:
    place = tmp_path / "a?b#c.db"
    with sqlite3.connect(place) as made:
        made.execute("create table t (name text)")
        made.execute("insert into t values ('Riverton')")
    made.close()
    question = {"kind": "query", "engine": "sqlite", "database": str(place)}
    assert look(**question, query="select name from t", contains="Riverton") == (True, "1 rows")
    assert look(**question, query="select name from t", contains="Springfield")[0] is False
    assert "readonly" in look(**question, query="delete from t")[1]
    began = time.monotonic()
    endless = "with recursive n(x) as (select 1 union all select x from n) select count(*) from n"
    threads = threading.active_count()
    assert look(**question, query=endless, timeout=1) == (False, "no end after 1 s")
    assert time.monotonic() - began < 4
    while threading.active_count() > threads and time.monotonic() - began < 30:
        time.sleep(0.05)
    assert threading.active_count() <= threads, "it works on for nobody"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a?b#c.db"]


@pytest.mark.parametrize(("engine", "program"), [("postgresql", "psql"), ("mariadb", "mysql")])
def test_servers_are_asked_without_a_shell(monkeypatch: pytest.MonkeyPatch, engine: str, program: str) -> None:
    asked: list[list[str]] = []
    answers = iter([(0, "1\n"), (2, "no such database\n")])

    def command(words: list[str], seconds: float) -> tuple[int, str]:
        asked.append(words)
        return next(answers)

    monkeypatch.setattr(probes, "_command", command)
    question = {"kind": "query", "engine": engine, "database": "d; x", "query": "select '$(reboot)'", "contains": "1"}
    assert look(**question) == (True, "answered")
    assert look(**question) == (False, "exit 2: no such database")
    assert program in asked[0]
    assert {"d; x", "select '$(reboot)'"} <= set(asked[0])


def test_unit_and_failed_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_command", lambda words, seconds: (0 if words[-1] == "a.service" else 3, "active\n"))
    assert look(kind="unit", unit="a.service") == (True, "active")
    assert look(kind="unit", unit="--all") == (False, "active")
    monkeypatch.setattr(probes.os.path, "isdir", lambda path: True)
    listed = "b.service loaded failed failed B\na.service loaded failed failed A and more\n\n"
    monkeypatch.setattr(probes, "_command", lambda words, seconds: (0, listed))
    assert probes.failed_units() == ["a.service", "b.service"]

    def silent(words: list[str], seconds: float) -> tuple[int, str]:
        raise subprocess.TimeoutExpired(words, seconds)

    monkeypatch.setattr(probes, "_command", silent)
    assert probes.failed_units() == []


def test_a_failed_unit_that_came_with_the_work_is_told_and_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    files = ["ssh.service enabled enabled", "old@.service static -"]
    failed: list[str] = []

    def command(words: list[str], seconds: float) -> tuple[int, str]:
        return 0, "\n".join(files if words == probes.UNIT_FILES else failed)

    monkeypatch.setattr(probes, "_command", command)
    monkeypatch.setattr(probes.os.path, "isdir", lambda path: True)
    monkeypatch.setattr(probes.time, "sleep", lambda seconds: None)
    before = probes.Health([], spare_new=True)
    assert before.before(0) == []
    recalled, strict = probes.Health([], spare_new=True), probes.Health([])
    recalled.recall(json.loads(json.dumps(before.kept())))
    strict.recall(before.values())
    files += ["auditd.service enabled enabled", "new@.service static -"]
    failed += ["auditd.service loaded failed", "new@1.service loaded failed", "run-x.scope loaded failed"]
    failed += ["ssh.service loaded failed", "old@2.service loaded failed"]
    harm = [f"the unit {unit} has failed" for unit in ("old@2.service", "run-x.scope", "ssh.service")]
    assert recalled.after(0) == harm
    assert recalled.values()["failed_units"]["after"] == sorted(line.split()[0] for line in failed)
    assert len(strict.after(0)) == len(failed)


@pytest.mark.parametrize(
    ("value", "name", "seconds"),
    [
        ({"kind": "port", "port": 443}, "port 443", 10.0),
        ({"kind": "http", "url": "https://x/", "timeout": 0.1, "name": "Site"}, "Site", 1.0),
        ({"kind": "command", "command": ["a", "b"], "timeout": 900}, "command a b", 60.0),
        ({"kind": "query", "engine": "sqlite", "database": "/x"}, "query sqlite /x", 10.0),
        ({"kind": "unit", "unit": "x.service", "system": "site"}, "unit x.service", 10.0),
    ],
)
def test_a_probe_is_named_and_bounded(value: dict[str, Any], name: str, seconds: float) -> None:
    probe = Probe.read(value)
    assert (probe.name, probe.seconds, probe.system) == (name, seconds, value.get("system"))


@pytest.mark.parametrize("value", [{}, {"kind": "ping"}, {"kind": None}, {"kind": "port", "timeout": "soon"}])
def test_what_is_no_probe_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"kind|float"):
        Probe.read(value)


# --- grace ----------------------------------------------------------------------------------------------------


class Script:
    """A probe that answers from a script, on a clock that only sleeping moves."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.text = ""
        self.looks = 0

    def look(self) -> tuple[bool, str]:
        self.looks += 1
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]), f"look {self.looks}"


@pytest.mark.parametrize(
    ("answers", "grace", "red", "looks"),
    [
        ([True], 10.0, {}, 1),
        ([False], 0.0, {"0": "look 1"}, 1),
        ([False, False, True], 10.0, {}, 3),
        ([False, False, True], 2.0, {"0": "look 2"}, 2),
        ([False], 5.0, {"0": "look 4"}, 4),
    ],
)
def test_what_is_red_is_asked_again_until_the_grace_is_over(
    monkeypatch: pytest.MonkeyPatch, answers: list[bool], grace: float, red: dict[str, str], looks: int
) -> None:
    now = [0.0]
    monkeypatch.setattr(probes.time, "monotonic", lambda: now[0])
    green, one = Script(True), Script(*answers)

    def sleep(seconds: float) -> None:
        now[0] += seconds

    assert look_at_all([one, green], grace, sleep) == red
    assert (one.looks, green.looks) == (looks, 1), "what is green is not asked again"


def test_nothing_to_look_at_is_well() -> None:
    assert look_at_all([], 60.0) == {}


def test_what_is_told_fits_its_document() -> None:
    probe = Probe("n" * 900, "port", None, 1.0, {}, text="x" * 9000)
    assert (len(probe.values()["name"]), len(probe.values()["text"])) == (255, 500)
