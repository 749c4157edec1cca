"""Findings about recovery: what is wrong is found, and nothing is told as fine that was not seen to be so."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit import backups

from civicops.assess.finding import Told
from civicops.assess.recovery import FINDINGS, judge
from civicops.assess.recovery_known import FACTS_STALE, STALE, TESTED, Host, Recovery
from civicops.assess.recovery_time import day, lasting, measured, proofs, together
from civicops.ledger.documents import check_body
from civicops.town.model import System

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
STAMP = "2026-11-30T01:05:00Z"
RUN = {
    "started_at": "2026-11-30T01:00:00Z",
    "ended_at": STAMP,
    "seconds": 300,
    "outcome": "complete",
    "reason": "",
    "snapshot": "ab" * 32,
    "files": 1234,
    "bytes": 10 << 30,
    "added_bytes": 50,
    "unread_files": 0,
    "manifest_sha256": "cd" * 32,
    "manifest_files": 1234,
    "without_hash": 0,
    "changes": None,
    "dumps": [{"name": "payroll", "kind": "postgresql", "outcome": "good", "bytes": 5, "reason": ""}],
    "alarms": [],
}
CLIENT = {
    "server": "vault:8000",
    "timer": None,
    "service": None,
    "running": None,
    "last": RUN,
    "complete": RUN,
    "outcomes": {"complete": 1},
    "reachable": True,
    "reachable_why": "",
    "period_seconds": 86400,
    "late_after_seconds": 90000,
    "dumps": ["payroll"],
    "escrow": {"state": "known", "checked": "2026-06-01T00:00:00Z", "place": "the clerk's safe"},
    "left_out": [],
}
KEPT = {"name": "pc", "newest": STAMP, "late": False, "snapshots": 1, "files": 1, "bytes": 1} | {
    "read_all_since": None,
    "alarms": 0,
}
SERVER = {
    "town": "riverton",
    "clients": [KEPT],
    "certificate": None,
    "free_bytes": 1,
    "serving": True,
    "looked_at": STAMP,
    "copy": {
        "to": "far:8000",
        "ended_at": STAMP,
        "clients": [{"name": "pc", "copied_at": STAMP, "newest": STAMP, "snapshots": 1}],
    },
    "storage": {"filesystem": "ext4", "own": True, "size_bytes": 1 << 40},
    "domain": None,
}
DRILL: dict[str, Any] = backups.DRILL | {
    "files": {"compared": 8325, "equal": 8325, "different": 0, "missing": 0, "without_hash": 0, "examples": []},
    "bytes": 5 << 30,
    "restore_seconds": 600,
    "databases": [backups.DRILL["databases"][0] | {"seconds": 840}],
}
KEY = {"type": "ssh-ed25519", "bits": 256, "comment": None, "options": []}


def facts(name: str, *, sshd: str = "no") -> dict[str, Any]:
    """A host with an administrator of its own, who has a key of his own; PostgreSQL runs on it."""
    sha256 = f"{name:A<43}"
    user = {"name": f"adm-{name}", "uid": 1000, "power_groups": ["sudo"], "password": {"state": "set"}}
    return {
        "host_time": None,
        "seen_as_root": True,
        "unread": [],
        "users": [{"name": "root", "uid": 0, "power_groups": [], "password": {"state": "locked"}}, user],
        "sudo": {"rules": [{"who": "%sudo", "grant": "(ALL) ALL", "nopasswd": False}], "user_aliases": {}},
        "ssh": {
            "host_keys": [],
            "authorized_keys": [KEY | {"sha256": sha256, "user": f"adm-{name}"}],
            "settings": {"passwordauthentication": sshd, "kbdinteractiveauthentication": sshd},
        },
        "services": {
            "columns": ["unit", "enabled", "active", "sub"],
            "rows": [["postgresql@15-main.service", True, "active", "running"]],
        },
        "sockets": None,
    }


def status(client: dict[str, Any] | None, server: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    return {"host_time": None, "seen_as_root": True, "client": client, "server": server, "alarms": []} | more


def bodies() -> dict[str, Any]:
    """All that is known of a town in which everything is as it should be; tests change it."""
    return copy.deepcopy(
        {
            "pc": {"status": status(CLIENT, None), "drill": DRILL, "facts": facts("pc")},
            "vault": {"status": status(None, SERVER), "facts": facts("vault")},
        }
    )


SYSTEMS = (System(id="payroll", name="Payroll", rto_hours=4, rpo_hours=24),)


def town(told: dict[str, Any], *, age: timedelta = timedelta(hours=1), moment: datetime = NOW) -> Recovery:
    limits = {"status": STALE, "facts": FACTS_STALE, "drill": TESTED}
    kinds = {"status": "backup-status", "facts": "host-facts", "drill": "drill"}
    hosts = {}
    for name, documents in told.items():
        for key, body in documents.items():
            check_body(kinds[key], 1, body)
        made = {key: Told(body, moment - age, age > limits[key]) for key, body in documents.items()}
        hosts[name] = Host(name, True, **made)
    return Recovery(moment, hosts, SYSTEMS, {"system_payroll": ["pc"]})


def states(of: Recovery) -> dict[tuple[str, str], str]:
    return {(one.id.removeprefix("recovery-"), name): one.state for one in judge(of) for name in one.about}


FINE = {
    ("no-backup", "pc"),
    ("deletable", "pc"),
    ("same-place", "vault"),
    ("second-copy", "vault"),
    ("survives", "pc"),
    ("untested", "pc"),
    ("no-dump", "pc"),
    ("left-out", "pc"),
    ("escrow", "pc"),
    ("time", "Payroll"),
    ("point", "pc"),
}


def test_what_is_as_it_should_be_is_told_with_why() -> None:
    told = judge(town(bodies()))
    assert {one.state for one in told} == {"fine"}
    assert {(one.id.removeprefix("recovery-"), name) for one in told for name in one.about} == FINE
    why = {one.id: one.evidence for one in told}
    assert why["recovery-deletable"] == (
        "its own password adds to vault and deletes nothing there, and no key opens both"
    )
    assert why["recovery-survives"].startswith("what vault keeps survives: it is in no directory, takes keys only")
    assert why["recovery-time"] == "wanted 4 h; measured 34 minutes for 412,331 rows"
    assert why["recovery-no-dump"] == "PostgreSQL runs (postgresql@15-main.service), and is dumped"


def test_each_finding_says_what_it_is() -> None:
    assert len({finding.id for finding in FINDINGS}) == len(FINDINGS)
    for finding in FINDINGS:
        assert finding.__doc__
        assert finding.title
        assert finding.remedy.endswith(".")
        assert all(one.startswith(("CIS v8 11.", "NIST 800-53 ", "CJIS ")) for one in finding.frameworks)


Change = Callable[[dict[str, Any]], Any]


def at(*path: Any, value: Any) -> Change:
    def change(told: dict[str, Any]) -> None:
        for key in path[:-1]:
            told = told[key]
        told[path[-1]] = value

    return change


def without(*path: Any) -> Change:
    def change(told: dict[str, Any]) -> None:
        for key in path[:-1]:
            told = told[key]
        del told[path[-1]]

    return change


def both(*changes: Change) -> Change:
    def change(told: dict[str, Any]) -> None:
        for one in changes:
            one(told)

    return change


PC = ("pc", "status", "client")
VAULT = ("vault", "status", "server")
DUMPS = both(
    at(*PC, "last", value=RUN | {"dumps": [RUN["dumps"][0] | {"kind": "sqlite"}]}),
    at(*PC, "complete", value=RUN | {"dumps": []}),
)
SAME_KEY = at("vault", "facts", "ssh", "authorized_keys", value=[KEY | {"sha256": f"{'pc':A<43}", "user": "adm-vault"}])
CLERK = {"name": "clerk", "uid": 1001, "power_groups": ["adm"], "password": {"state": "locked"}}


@pytest.mark.parametrize(
    ("change", "finding", "words"),
    [
        (at(*PC, value=None), ("no-backup", "pc"), "the ledger knows no backup of it"),
        (at(*PC, "complete", value=None), ("no-backup", "pc"), "no backup has been complete yet"),
        (at(*PC, "late_after_seconds", value=3600), ("no-backup", "pc"), "another is overdue"),
        (
            at("pc", "status", "alarms", value=[{"kind": "repository", "text": "x"}]),
            ("no-backup", "pc"),
            "no repository of it any more",
        ),
        (SAME_KEY, ("deletable", "pc"), "the key pcAAAAAAAAAA… (without a name) opens it, and vault as adm-vault"),
        (at("vault", "facts", "ssh", "settings", "passwordauthentication", value="yes"), ("survives", "pc"),
         "nothing is sure to survive but the copy at far:8000, where others look after that: vault takes logins by "
         "password over SSH"),
        (both(at(*VAULT, "copy", value=None), at(*VAULT, "domain", value="corp.example")), ("survives", "pc"),
         "nothing is sure to survive: vault is in the directory corp.example"),
        (at("pc", "status", "server", value=SERVER), ("survives", "pc"), "it keeps its own backups"),
        (at(*VAULT, "domain", value="corp.example"), ("survives", "pc"), "vault is in the directory corp.example"),
        (at("pc", "facts", "users", 1, "name", value="adm-vault"), ("survives", "pc"),
         "administrators of vault have a password elsewhere too: adm-vault on pc"),
        (at(*VAULT, "storage", "own", value=False), ("same-place", "vault"), "the disk that the server itself"),
        (at(*VAULT, "storage", "filesystem", value="tmpfs"), ("same-place", "vault"), "in memory"),
        (at("pc", "status", "server", value=SERVER), ("same-place", "pc"), "it keeps its own backups"),
        (at(*PC, "server", value="127.0.0.1:8000"), ("same-place", "pc"), "it keeps its own backups"),
        (at(*PC, "server", value="::1:8000"), ("same-place", "pc"), "it keeps its own backups"),
        (at(*VAULT, "copy", value=None), ("second-copy", "vault"), "what lies here lies nowhere else"),
        (at(*VAULT, "copy", "ended_at", value="2026-11-27T00:00:00Z"), ("second-copy", "vault"), "older than 48 h"),
        (at(*VAULT, "copy", "clients", value=[]), ("second-copy", "vault"), "the copy at far:8000 lacks pc"),
        (at(*VAULT, "copy", "clients", 0, "copied_at", value="2026-11-01T00:00:00Z"), ("second-copy", "vault"),
         "older than 48 h: of pc"),
        (without("pc", "drill"), ("untested", "pc"), "no restore was ever tried"),
        (both(at("pc", "drill", "outcome", value="failed"), at("pc", "drill", "reason", value="7 files")),
         ("untested", "pc"), "the restore of 2026-11-30 failed: 7 files"),
        (DUMPS, ("no-dump", "pc"), "no good dump of it is in the backup"),
        (at(*PC, "left_out", value=["/srv/far", "/home"]), ("left-out", "pc"), "not saved: /srv/far, /home"),
        (at(*PC, "escrow", "state", value="none"), ("escrow", "pc"), "nobody has said"),
        (at(*PC, "escrow", "state", value="differs"), ("escrow", "pc"), "is not the one in use"),
        (at(*PC, "escrow", "checked", value="2025-10-01T00:00:00Z"), ("escrow", "pc"), "425 days ago"),
        (at("pc", "drill", "restore_seconds", value=7200), ("time", "Payroll"), "wanted 4 h; measured 4.23 h"),
        (at(*PC, "period_seconds", value=2 * 86400), ("point", "pc"), "a backup comes every 48 h"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found(change: Change, finding: tuple[str, str], words: str) -> None:
    told = bodies()
    change(told)
    every = [one for one in judge(town(told)) if one.state == "found"]
    found = {(one.id.removeprefix("recovery-"), name): one for one in every for name in one.about}
    assert words in found[finding].evidence


@pytest.mark.parametrize(
    ("change", "findings"),
    [
        (at("pc", "status", value=status(None, None, seen_as_root=False)), [("no-backup", "pc"), ("point", "pc")]),
        (both(without("pc", "status"), without("pc", "facts")), [("no-backup", "pc")]),
        (both(at(*PC, value=None), at("pc", "facts", "backup_tools", value=[{"name": "veeam", "seen_as": []}])),
         [("no-backup", "pc")]),
        (at(*PC, "complete", "ended_at", value="2027-01-01T00:00:00Z"), [("no-backup", "pc")]),
        (at(*VAULT, "clients", value=[]), [("deletable", "pc"), ("survives", "pc")]),
        (without("vault", "facts"), [("deletable", "pc"), ("survives", "pc")]),
        (without("pc", "facts"), [("deletable", "pc"), ("survives", "pc"), ("no-dump", "pc")]),
        (at("vault", "facts", "sudo", value=None), [("deletable", "pc"), ("survives", "pc")]),
        (at("vault", "facts", "unread", value=[{"item": "ssh.authorized_keys.ann", "reason": "2 lines"}]),
         [("deletable", "pc")]),
        (at("vault", "facts", "ssh", "settings", "authorizedkeyscommand", value="/x"), [("deletable", "pc")]),
        (at("vault", "facts", "ssh", "settings", value=None), [("survives", "pc")]),
        (at("pc", "facts", "users", 1, "password", value=None), [("survives", "pc")]),
        (without(*VAULT, "domain"), [("survives", "pc")]),
        (without(*VAULT, "storage"), [("same-place", "vault")]),
        (without(*VAULT, "copy"), [("second-copy", "vault")]),
        (at(*VAULT, "copy", "ended_at", value=None), [("second-copy", "vault")]),
        (at(*VAULT, "copy", "ended_at", value="2031-01-01T00:00:00Z"), [("second-copy", "vault")]),
        (at("pc", "facts", "services", value=None), [("no-dump", "pc")]),
        (both(DUMPS, at(*PC, "last", "dumps", 0, "kind", value="command")), [("no-dump", "pc")]),
        (without(*PC, "left_out"), [("left-out", "pc")]),
        (without(*PC, "escrow"), [("escrow", "pc")]),
        (at(*PC, "escrow", "checked", value=None), [("escrow", "pc")]),
        (without("pc", "drill"), [("time", "Payroll")]),
        (at("pc", "drill", "bytes", value=0), [("time", "Payroll")]),
        (at("pc", "drill", "databases", 0, "outcome", value="not_tried"), [("time", "Payroll")]),
        (at(*PC, "complete", "bytes", value=None), [("time", "Payroll")]),
        (at(*PC, "period_seconds", value=None), [("point", "pc")]),
    ],
)  # fmt: skip
def test_what_is_not_known_is_told_so(change: Change, findings: list[tuple[str, str]]) -> None:
    told = bodies()
    change(told)
    found = states(town(told))
    assert [found[one] for one in findings] == ["unknown"] * len(findings)


def test_good_news_grows_old_and_bad_news_stays() -> None:
    told = bodies()
    assert set(states(town(told, age=timedelta(days=3))).values()) == {"unknown"} | {"fine"}
    still = {key for key, state in states(town(told, age=timedelta(days=3))).items() if state == "fine"}
    assert still == {("untested", "pc")}, "a drill holds for longer"
    told["vault"]["status"]["server"]["copy"] = None
    assert states(town(told, age=timedelta(days=400)))["second-copy", "vault"] == "found"
    assert "fine" not in states(town(told, age=timedelta(days=400))).values()


PLACES = [
    *[("pc", "status", "client", key) for key in ("escrow", "left_out", "late_after_seconds")],
    *[("vault", "status", "server", key) for key in ("copy", "storage", "domain")],
    *[(name, "facts", key) for name in ("pc", "vault") for key in ("users", "sudo", "ssh", "services")],
    *[("vault", "facts", "ssh", key) for key in ("authorized_keys", "settings")],
    *[(name, kind) for name in ("pc", "vault") for kind in ("facts", "status")],
    ("pc", "drill"),
    ("pc",),
    ("vault",),
]


@given(st.sets(st.sampled_from(PLACES)), st.sampled_from(sorted(FINE)))
def test_the_less_is_known_the_less_is_fine(missing: set[tuple[str, ...]], finding: tuple[str, str]) -> None:
    """What is wrong in a town stays wrong or becomes unknown, whatever else is not known of it."""
    wrong: dict[str, Change] = {
        "no-backup": at(*PC, "complete", value=None),
        "deletable": SAME_KEY,
        "same-place": at(*VAULT, "storage", "own", value=False),
        "second-copy": at(*VAULT, "copy", value=None),
        "survives": at(*VAULT, "domain", value="corp"),
        "untested": at("pc", "drill", "outcome", value="failed"),
        "no-dump": DUMPS,
        "left-out": at(*PC, "left_out", value=["/srv"]),
        "escrow": at(*PC, "escrow", "state", value="none"),
        "time": at("pc", "drill", "restore_seconds", value=7200),
        "point": at(*PC, "period_seconds", value=2 * 86400),
    }
    told = bodies()
    wrong[finding[0]](told)
    for path in sorted(missing, key=len, reverse=True):
        without(*path)(told)
    assert states(town(told)).get(finding, "unknown") in ("found", "unknown")


def test_a_rule_for_a_group_that_is_not_listed_may_mean_anybody() -> None:
    told = bodies()
    SAME_KEY(told)
    told["vault"]["facts"]["users"][1]["power_groups"] = []
    assert states(town(told))["deletable", "pc"] == "fine"
    told["vault"]["facts"]["sudo"]["rules"] = [{"who": "%keepers", "grant": "ALL", "nopasswd": False}]
    assert states(town(told))["deletable", "pc"] == "found"


def test_a_key_that_may_do_one_thing_only_is_no_way_in() -> None:
    told = bodies()
    SAME_KEY(told)
    told["vault"]["facts"]["ssh"]["authorized_keys"][0]["options"] = ["command", "restrict"]
    assert states(town(told))["deletable", "pc"] == "fine"


def test_a_host_that_nobody_asks_is_not_known() -> None:
    made = Recovery(NOW, {"switch": Host("switch", asked=False)}, SYSTEMS, None)
    assert set(states(made)) == {("no-backup", "switch"), ("time", "Payroll"), ("point", "Payroll")}
    assert set(states(made).values()) == {"unknown"}


def test_times_are_scaled_and_added() -> None:
    host = town(bodies()).hosts["pc"]
    one = measured(host)
    assert (one.whole, one.rows, one.files) == (840 + 2 * 600, 412331, 8325)
    two = together([one, measured(Host("bare"))])
    assert (two.whole, two.part) == (None, one.part)
    assert two.words == "measured 34 minutes for 412,331 rows, and more: bare: no drill"
    assert measured(Host("bare")).words == "never measured (bare: no drill)"


def test_a_drill_is_told_in_sentences() -> None:
    drill = Told(DRILL, datetime(2026, 3, 3, 4, tzinfo=UTC))
    assert proofs(drill, NOW) == [
        "the payroll database was restored on 3 March in 14 minutes; 412,331 rows, all equal",
        "8,325 files were restored on 3 March in 10 minutes, all equal",
    ]
    elsewhere = Told(DRILL | {"everything": False}, datetime(2025, 3, 3, tzinfo=UTC), by="spare")
    assert proofs(elsewhere, NOW)[1] == (
        "8,325 files (those whose turn it was) were restored on 3 March 2025 in 10 minutes, on spare, all equal"
    )
    assert proofs(Told(DRILL | {"outcome": "failed"}, NOW), NOW) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (24.4, "24 s"),
        (840, "14 minutes"),
        (4 * 3600, "4 h"),
        (5400, "90 minutes"),
        (9e15, "104,166,666,667 days"),
    ],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


def test_days() -> None:
    assert (day(NOW, NOW), day(NOW.replace(year=2024), NOW)) == ("30 November", "30 November 2024")
