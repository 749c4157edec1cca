"""Hosts that were taken over: they may lie about themselves, and harm nobody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hosts.conftest import MakeTown
from tests.hosts.host import Host
from tests.hosts.test_checkup import answer, figures, page
from tests.hosts.town import Town

SCRIPT = "<script>alert(1)</script>"
ESCAPES = "\x1b[31m\x1b]0;owned\x07"
TEMPLATE = "{{ lookup('pipe', 'touch /tmp/civicops-owned') }}"
TRAVERSAL = "../../../../tmp/civicops-owned"
NEST = "[" * 50_000 + "]" * 50_000
STEERING = {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0), 0x202E]} - {"\n"}


def outside(town: Town) -> set[Path]:
    """Everything in the test's own directory but the town's state and the folder that Ansible makes at home."""
    ours = (town.state / town.name, town.folder / "home")
    return {path for path in town.folder.rglob("*") if not any(path.is_relative_to(one) for one in ours)}


def harmless(town: Town, *texts: str) -> None:
    """Nothing was run, and nothing that is shown steers a terminal."""
    assert not Path("/tmp/civicops-owned").exists()
    for text in texts:
        assert not set(text) & STEERING, "a control character reached the terminal"


def test_a_host_that_lies_about_everything(make_town: MakeTown, shared_hosts: dict[str, Host]) -> None:
    town = make_town("demo", {"evil": "bookworm"}, use=shared_hosts)
    evil = town.host("evil")
    evil.set_hostname("<b>x</b>{{7*7}}\x1b[31m\n../../x")
    evil.add_package_entry(SCRIPT)
    evil.add_package_entry(TEMPLATE, version=ESCAPES)
    evil.add_package_entry(TRAVERSAL)
    evil.add_package_entry(b"\xff\xfe-not-utf8", version=b"1\xc3")
    evil.add_package_entry("huge", version="9" * 10_000_000)
    evil.add_user(f"eve{SCRIPT}")
    evil.add_user(TEMPLATE)
    evil.add_user("back\u202edoor")
    evil.add_service("svc-\\x3cscript\\x3e", description=f"{SCRIPT}{TEMPLATE}")
    evil.write("/etc/os-release", f'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="{SCRIPT} {TEMPLATE} \u202e"\n')
    evil.write("/etc/ssh/banner", f"{ESCAPES}{SCRIPT}{TEMPLATE}\n" * 200)
    evil.append("/etc/ssh/sshd_config", "\nBanner /etc/ssh/banner\n")
    evil.run("systemctl reload ssh")
    before = outside(town)
    done = town.controller.civicops("checkup", "demo")
    told = figures(town)
    assert {name for name, host in told.items() if host["missed"] is None} >= {"bullseye", "bookworm", "trixie"}
    assert told["evil"]["figures"], told["evil"]["missed"]
    html = page(done)
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html, "it is shown, as text"
    assert "lookup(&#39;pipe&#39;" in html, "and not templated"
    harmless(town, html, done.stdout, done.stderr)
    assert outside(town) == before
    journal = next(town.state.glob("demo/runs/*/journal.jsonl"))
    assert "\x1b" not in journal.read_text()


def body(value: object) -> str:
    """A document's body as a module sends it."""
    return json.dumps(value)


ANSWERS = {
    "facts that would make the controller run commands": {
        "changed": True,
        "ansible_facts": {"ansible_connection": "local", "ansible_python_interpreter": "/tmp/civicops-owned"},
        "add_host": {"host_name": "x"},
        "document": body({"identity": {"hostname": "x"}}),
        "warnings": [ESCAPES],
        "deprecations": [{"msg": ESCAPES, "version": "1"}],
        "exception": ESCAPES,
    },
    "a document of the wrong types": {"document": body({"identity": [1, 2], "packages": "all", "users": {"root": 1}})},
    "a document that is a text": {"document": body(TEMPLATE)},
    "a document that is no JSON": {"document": f"{ESCAPES}{TEMPLATE}"},
    "a document that is no text": {"document": {"identity": {"hostname": "x"}}},
    "a document that ends early and goes on": {"document": '{"identity":{}},"town":"otherville","host":"bookworm"'},
    "numbers that are none": {"document": '{"host_time":NaN,"took_seconds":1e999}'},
    "no document": {"changed": False, "msg": f"{ESCAPES}{SCRIPT}"},
    "a failure with escapes": {"failed": True, "msg": f"{ESCAPES}{TEMPLATE}", "module_stderr": ESCAPES},
    "an unreachable that is none": {"unreachable": True, "msg": ESCAPES, "document": "{}"},
    "another town's document": {"document": body({"town": "otherville"}), "town": "otherville"},
    "a deep nest": {"document": '{"identity":@NEST@}'},
    "a deep nest around it": {"document": "{}", "more": "@NEST@"},
    "ten megabytes": {"document": body({"identity": {"hostname": "@HUGE@"}})},
    "no JSON": None,
}


@pytest.mark.parametrize("what", ANSWERS)
def test_a_python_that_answers_what_it_likes(make_town: MakeTown, shared_hosts: dict[str, Host], what: str) -> None:
    evil = shared_hosts["trixie"]
    town = make_town("demo", use={name: shared_hosts[name] for name in ("bookworm", "trixie")})
    text = "\x1b[31m{{ 7*7 }}" if ANSWERS[what] is None else json.dumps(ANSWERS[what])
    text = text.replace('"@NEST@"', NEST).replace("@NEST@", NEST).replace("@HUGE@", "A" * 10_000_000)
    evil.write("/root/answer", text)
    before = outside(town)
    evil.replace_python("#!/bin/sh\ncat > /dev/null\ncat /root/answer\n")
    try:
        done = town.controller.civicops("checkup", "demo", "--json")
    finally:
        evil.restore_python()
    assert done.returncode == 1, done.stderr
    assert answer(done)["hosts"] == {"bookworm": "ok", "trixie": "failed"}
    told = figures(town)
    assert told["bookworm"]["missed"] is None
    assert told["trixie"]["missed"], done.stdout
    assert not told["trixie"]["figures"]
    harmless(town, done.stderr, *(host["missed"] or "" for host in told.values()))
    assert outside(town) == before
    assert not (town.state / "otherville").exists()
    stored = sum(path.stat().st_size for path in (town.state / "demo").glob("ledger.sqlite*"))
    assert stored < 2_000_000, "a large answer does not fill the controller's disk"
    assert town.controller.civicops("ledger", "verify", "demo").returncode == 0
    html = page(town.controller.civicops("report", "demo"))
    assert "<script" not in html
    harmless(town, html)
