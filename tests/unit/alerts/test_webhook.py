"""Webhooks against a real https server."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from civicops.alerts import Notice, deliver, raise_notice, webhook
from civicops.state import TownState

from .conftest import TOKEN, HookServer, alert, make_town, status, write_private

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
PROBLEM = Notice("halt", "run:1 ring:early", "Ring early halted", "2 of 10 hosts failed")
Trusted = Callable[..., None]


def test_the_document(state: TownState, hooks: HookServer, trusted: Trusted) -> None:
    town = make_town(alerts=[alert(hooks.url())])
    trusted("/hook")
    raise_notice(town, state, PROBLEM, NOW)
    assert deliver(town, state, NOW).sent == 1
    (post,) = hooks.posts
    told = json.loads(post.body)
    assert post.token == f"Bearer {TOKEN}"
    assert told["text"].startswith("[riverton] Ring early halted\n\n2 of 10 hosts failed\n")
    assert told["notices"][0]["since"] == "2026-11-23T10:00:00-05:00"
    assert {key: told[key] for key in ("town", "kind", "key", "subject", "resolved", "at")} == {
        "town": "riverton",
        "kind": "halt",
        "key": "run:1 ring:early",
        "subject": "[riverton] Ring early halted",
        "resolved": False,
        "at": "2026-11-23T10:00:00-05:00",
    }


def test_what_waited_in_quiet_hours_comes_as_one(state: TownState, hooks: HookServer, trusted: Trusted) -> None:
    town = make_town(alerts=[alert(hooks.url(), quiet="22:00-06:00")])
    trusted("/hook")
    night = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)  # 22:00 in riverton
    for number in range(10):
        raise_notice(
            town,
            state,
            Notice("failure", f"k{number}", f"Subject {number}", f"Text {number}"),
            night + timedelta(seconds=number),
        )
    raise_notice(town, state, Notice("failure", "k3", "Subject 3", "", resolved=True), night + timedelta(hours=1))
    for hours in range(8):
        done = deliver(town, state, night + timedelta(hours=hours))
        assert (done.sent, done.waiting, done.problems) == (0, 9, ())
    assert deliver(town, state, night + timedelta(hours=8)).sent == 9
    (post,) = hooks.posts
    told = json.loads(post.body)
    assert (told["kind"], told["key"], len(told["notices"])) == ("digest", "digest", 9)
    assert told["subject"] == "[riverton] 9 messages: Subject 0"
    assert "Subject 3" not in told["text"]
    assert all(f"Text {number}" in told["text"] for number in range(10) if number != 3)


def test_a_large_digest_is_bounded(state: TownState, hooks: HookServer, trusted: Trusted) -> None:
    town = make_town(alerts=[alert(hooks.url())])
    trusted("/hook")
    for number in range(120):
        raise_notice(town, state, Notice("failure", f"k{number}", f"{number} " + "s" * 150, "t" * 20_000), NOW)
    assert deliver(town, state, NOW).sent == 120
    (post,) = hooks.posts
    assert len(json.loads(post.body)["text"]) < 20_200
    assert json.loads(post.body)["text"].endswith("The other texts do not fit here.")


def test_words_of_a_host_call_nobody_in_a_chat(state: TownState, hooks: HookServer, trusted: Trusted) -> None:
    town = make_town(alerts=[alert(hooks.url())])
    trusted("/hook")
    raise_notice(town, state, Notice("halt", "k", "<!channel> @channel", "<https://evil|click> & @All hands"), NOW)
    deliver(town, state, NOW)
    text = json.loads(hooks.posts[0].body)["text"]
    assert not set("<>") & set(text)
    assert "@channel" not in text
    assert "@All" not in text
    assert "&lt;https://evil|click&gt; &amp; @ All hands" in text


@pytest.mark.parametrize("code", [301, 302, 307, 308, 400, 404, 429, 500])
def test_any_other_status_waits(state: TownState, hooks: HookServer, trusted: Trusted, code: int) -> None:
    town = make_town(alerts=[alert(hooks.url()), alert(hooks.url("/fine"))])
    trusted("/hook", "/fine")
    hooks.answers["/hook"] = lambda handler: status(handler, code, Location=hooks.url("/elsewhere"))
    raise_notice(town, state, PROBLEM, NOW)
    done = deliver(town, state, NOW)
    assert (done.sent, done.waiting) == (1, 1)
    assert f"answered {code}" in done.problems[0]
    assert "/elsewhere" not in {post.path for post in hooks.posts}
    hooks.answers.clear()
    assert deliver(town, state, NOW + timedelta(minutes=1)).sent == 1


def test_a_stranger_s_certificate_gets_nothing(state: TownState, hooks: HookServer) -> None:
    town = make_town(alerts=[alert(hooks.url())])
    write_private(state.directory() / "webhooks.ini", f"[{hooks.url()}]\ntoken = {TOKEN}\n")
    raise_notice(town, state, PROBLEM, NOW)
    (line,) = deliver(town, state, NOW).problems
    assert "certificate is not trusted" in line
    assert TOKEN not in line
    assert not hooks.posts


def test_a_server_that_dribbles_holds_up_nobody(
    state: TownState, hooks: HookServer, trusted: Trusted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "ANSWER_SECONDS", 1.0)
    town = make_town(alerts=[alert(hooks.url("/slow")), alert(hooks.url("/fine"))])
    trusted("/slow", "/fine")
    hooks.answers["/slow"] = _dribble
    raise_notice(town, state, PROBLEM, NOW)
    begin = time.monotonic()
    done = deliver(town, state, NOW)
    assert time.monotonic() - begin < 4
    assert done.sent == 1
    assert "no answer within 1 s" in done.problems[0]


def test_an_endless_answer_is_not_read_to_its_end(state: TownState, hooks: HookServer, trusted: Trusted) -> None:
    town = make_town(alerts=[alert(hooks.url())])
    trusted("/hook")
    hooks.answers["/hook"] = _endless
    raise_notice(town, state, PROBLEM, NOW)
    begin = time.monotonic()
    assert deliver(town, state, NOW).sent == 1
    assert time.monotonic() - begin < 4


def test_an_address_that_is_a_secret_stands_in_the_private_file_alone(
    state: TownState, hooks: HookServer, trusted: Trusted
) -> None:
    town = make_town(alerts=[alert("https://hooks.slack.example/riverton")])
    secret = hooks.url("/services/T0/B0/not-to-be-seen")
    hooks.answers["/services/T0/B0/not-to-be-seen"] = lambda handler: status(handler, 404)
    ini = f"[https://hooks.slack.example/riverton]\nurl = {secret}\nca_file = cert.pem\n"
    write_private(state.directory() / "webhooks.ini", ini)
    raise_notice(town, state, PROBLEM, NOW)
    assert "can't be used as ca_file" in deliver(town, state, NOW).problems[0]
    trusted("/hook")
    text = (state.root / "webhooks.ini").read_text().splitlines()
    write_private(state.root / "webhooks.ini", ini.replace("ca_file = cert.pem", text[1]))
    (line,) = deliver(town, state, NOW + timedelta(minutes=1)).problems
    assert line.startswith("https://hooks.slack.example/riverton: answered 404")
    assert "not-to-be-seen" not in line
    assert [post.path for post in hooks.posts] == ["/services/T0/B0/not-to-be-seen"]


def test_the_proxy_of_the_environment_is_used_and_learns_no_token(
    state: TownState, hooks: HookServer, trusted: Trusted, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = make_town(alerts=[alert(hooks.url())])
    trusted("/hook")
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        threading.Thread(target=_tunnel, args=(proxy, hooks.port, heard), daemon=True).start()
        raise_notice(town, state, PROBLEM, NOW)
        assert deliver(town, state, NOW).problems == ()
    assert [post.token for post in hooks.posts] == [f"Bearer {TOKEN}"]
    assert heard[0].startswith(f"CONNECT localhost:{hooks.port} ".encode())
    assert TOKEN.encode() not in b"".join(heard)


def test_a_proxy_that_refuses_is_told(
    state: TownState, hooks: HookServer, trusted: Trusted, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = HookServer(None)  # it does not know CONNECT
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("no_proxy", "")
    town = make_town(alerts=[alert(hooks.url())])
    trusted("/hook")
    try:
        raise_notice(town, state, PROBLEM, NOW)
        assert "the proxy answered 501" in deliver(town, state, NOW).problems[0]
        assert not hooks.posts
        monkeypatch.setenv("no_proxy", "localhost")
        assert deliver(town, state, NOW + timedelta(minutes=1)).sent == 1
    finally:
        proxy.stop()


def test_the_token_of_one_address_goes_to_no_other(state: TownState, hooks: HookServer, trusted: Trusted) -> None:
    town = make_town(alerts=[alert(hooks.url("/a")), alert(hooks.url("/b"))])
    trusted("/a", "/b", more="")
    ini: Path = state.root / "webhooks.ini"
    write_private(ini, ini.read_text().replace("\n\n", f"\ntoken = {TOKEN}\n", 1))
    raise_notice(town, state, PROBLEM, NOW)
    assert deliver(town, state, NOW).sent == 2
    assert {post.path: post.token for post in hooks.posts} == {"/a": f"Bearer {TOKEN}", "/b": None}


def _dribble(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1")
    _write_for_ever(handler, b"x", 0.1)


def _endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    _write_for_ever(handler, b"x" * 65536, 0)


def _write_for_ever(handler: BaseHTTPRequestHandler, what: bytes, pause: float) -> None:
    try:
        while True:
            handler.wfile.write(what)
            handler.wfile.flush()
            time.sleep(pause)
    except OSError:
        handler.close_connection = True


def _tunnel(server: socket.socket, port: int, heard: list[bytes]) -> None:
    """A proxy for one CONNECT: what the client says is noted and passed on."""
    client, _ = server.accept()
    heard.append(client.recv(65536))
    with client, socket.create_connection(("127.0.0.1", port)) as behind:
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        while True:
            for ready in select.select([client, behind], [], [])[0]:
                if not (data := ready.recv(65536)):
                    return
                if ready is client:
                    heard.append(data)
                (behind if ready is client else client).sendall(data)
