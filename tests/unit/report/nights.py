"""Patch nights made up for tests: documents as a gate, hosts and connections would have written them."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from civicops.ledger.documents import Document, check_body
from civicops.ledger.store import Ledger
from civicops.moments import stamp
from civicops.town import Town

BEGIN = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
CHANCE = ("2026-12-01T01:00:00.000000Z", "2026-12-01T07:00:00.000000Z")
SHA = "a" * 64
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e{{ 7*7 }}\"'><img src=x onerror=alert(1)>" + "x" * 300


def patch_body(outcome: str = "done", **more: Any) -> dict[str, Any]:
    """What a host says of its work; well, with one package changed and one probe green, unless told otherwise."""
    untouched = outcome in ("blocked", "refused", "planned")
    probes = [probe()]
    body: dict[str, Any] = {
        "outcome": outcome,
        "adopted": False,
        "began": not untouched,
        "rebooted": False,
        "started_at": "2026-11-24T01:00:05Z",
        "ended_at": None if outcome in ("running", "unknown") else "2026-11-24T01:03:05Z",
        "seconds": None if untouched else 180.0,
        "reason": "",
        "host_time": "2026-11-24T01:03:05Z",
        "manager": "apt",
        "changes": {"columns": ["name", "arch", "before", "after"], "rows": [["openssl", "amd64", "3.0.15", "3.0.17"]]},
        "phases": {"plan": 3.1, "snapshot": 2.0, "install": 41.5, "restart": 2.5, "probes_after": 4.0},
        "reboot": {
            "wanted": False,
            "reasons": [],
            "done": False,
            "why_not": "",
            "kernel_before": "6.1.0-40-amd64",
            "kernel_after": "6.1.0-40-amd64",
        },
        "restarts": {"done": ["ssh.service"], "failed": [], "left": []},
        "probes": [] if untouched else probes,
        "failed_units": {"before": [], "after": []},
        "away_at_most": None if outcome in ("failed", "running", "unknown", "interrupted") else 52.5,
        "conffiles": [],
        "held": [],
        "blockers": [],
        "recovered": False,
        "rollback": rollback(done=outcome == "rolled_back"),
        "told": [],
    }
    if untouched:
        body["changes"]["rows"] = []
        body["away_at_most"] = 0.0
        body["restarts"]["done"] = []
    return body | more


def probe(before: str = "green", after: str = "green", text: str = "answered in 0.02 s", **more: Any) -> dict[str, Any]:
    return {"name": "web page", "kind": "http", "system": None, "before": before, "after": after, "text": text} | more


def rollback(*, done: bool, identical: bool = True, **more: Any) -> dict[str, Any]:
    same = identical if done else None
    return {
        "possible": True,
        "missing": [],
        "done": done,
        "seconds": 26.0 if done else None,
        "packages_identical": same,
        "marks_identical": same,
        "files_identical": same,
        "differences": [] if identical else ["/etc/ssl/certs: 142 files before, 127 now"],
        "kernel": None,
    } | more


def reboot(*, wanted: bool | None = True, done: bool = True, why_not: str = "") -> dict[str, Any]:
    return {
        "wanted": wanted,
        "reasons": ["a newer kernel is installed"],
        "done": done,
        "why_not": why_not,
        "kernel_before": "6.1.0-40-amd64",
        "kernel_after": "6.1.0-41-amd64" if done else "6.1.0-40-amd64",
    }


def updates_body(**why: int) -> dict[str, Any]:
    """What a host's lists say: one update that is selected, and so many that are not, by the reason."""
    reasons: list[str | None] = [
        None,
        *(name.replace("_", " ") for name, count in why.items() for _one in range(count)),
    ]
    rows = [
        [f"pkg{number}", "amd64", "1", "2", True, "security", None, 1000, reason is None, reason, [], True]
        for number, reason in enumerate(reasons)
    ]
    columns = [
        "name",
        "arch",
        "from",
        "to",
        "security",
        "origin",
        "source",
        "bytes",
        "selected",
        "why",
        "advisories",
        "kept",
    ]
    return {
        "manager": "apt",
        "host_time": "x",
        "lists_at": None,
        "policy": {"scope": "security", "allow": [], "deny": []},
        "updates": {"columns": columns, "rows": rows},
        "download_bytes": 1000,
        "disk_bytes": 0,
        "reboot": {"wanted": False, "expected": False, "reasons": []},
        "restarts": [],
        "holds": ["postgresql-15"],
        "blockers": [],
        "rollback": {"possible": True, "missing": []},
        "staged": None,
        "took_seconds": 1.0,
        "unread": [],
    }


@dataclass
class Evening:
    """One run as it is being written. Each document is a second later than the one before."""

    town: str = "riverton"
    run: str = "20261124T010000Z-patch-0a1b2c"
    job: str = "patch"
    check: bool = False
    at: datetime = BEGIN
    documents: list[Document] = field(default_factory=list)

    def add(self, kind: str, host: str, body: dict[str, Any], **more: Any) -> None:
        if more.get("status", "accepted") == "accepted":
            check_body(kind, 1, json.loads(json.dumps(body)))
        self.at += timedelta(seconds=1)
        values: dict[str, Any] = {
            "kind": kind,
            "version": 1,
            "id": str(uuid.uuid4()),
            "town": self.town,
            "host": host,
            "target": None,
            "run": self.run,
            "job": self.job,
            "check": self.check,
            "attempt": 1,
            "collected_at": stamp(self.at),
            "body": body,
        }
        self.documents.append(Document(**(values | more)))

    def begun(self, *hosts: str, not_asked: tuple[str, ...] = ()) -> None:
        self._run(dict.fromkeys(hosts, "no_answer") | dict.fromkeys(not_asked, "not_asked"), ended=False)

    def ended(self, hosts: dict[str, str]) -> None:
        self._run(hosts, ended=True)

    def _run(self, hosts: dict[str, str], *, ended: bool) -> None:
        at = stamp(self.at)
        body = {"playbook": "patch_night", "started_at": at, "ended_at": at if ended else None, "limit": None}
        self.add("run", "", body | {"user": "ann", "ansible": "2.19.0", "hosts": hosts})

    def opened(self, host: str, ring: str = "broad", **more: Any) -> None:
        self._gate(host, "open", "open", "in the window night", ring, None, **more)

    def refused(
        self, host: str, code: str, reason: str = "because", ring: str | None = "broad", chance: Any = CHANCE
    ) -> None:
        self._gate(host, "refused", code, reason, ring, chance)

    def _gate(
        self, host: str, decision: str, code: str, reason: str, ring: str | None, chance: Any, **more: Any
    ) -> None:
        body = {
            "decision": decision,
            "code": code,
            "reason": reason,
            "window": "night",
            "freeze": None,
            "ring": ring,
            "until": "2026-11-24T07:00:00.000000Z" if decision == "open" else None,
            "next": list(chance) if chance else None,
            "town_file_sha256": SHA,
            "override": None,
        }
        self.add("gate", host, body | more)

    def patched(self, host: str, outcome: str = "done", *, ring: str = "broad", **more: Any) -> None:
        """A host that was let through and has told how it went."""
        self.opened(host, ring)
        self.add("patch", host, patch_body(outcome, **more))

    def contact(self, host: str, outcome: str, reason: str = "No route to host", *, ignored: bool = False) -> None:
        self.add("contact", host, {"outcome": outcome, "task": "Patch", "reason": reason, "ignored": ignored})

    def approved(self, by: str, hosts: list[str], *, plan: str = SHA, **more: Any) -> None:
        self.add(
            "approval", "", {"plan_sha256": plan, "window": "night", "hosts": hosts, "by": by, "user": "ann"} | more
        )

    def write(self, ledger: Ledger) -> None:
        ledger.append(self.documents)
        self.documents = []


DEPARTMENTS = {
    "administration": "Administration",
    "police": "Police, with dispatch",
    "fire": "Fire and rescue",
    "water": "Water and sewer",
    "finance": "Finance",
    "clerk": "City clerk",
    "library": "Public library",
    "parks": "Parks and recreation",
}
SYSTEMS = {
    "dispatch": "Computer-aided dispatch",
    "police_records": "Police records",
    "finance": "Payroll and finance",
    "water_billing": "Water billing",
    "files": "File server",
    "domain": "Logins and names (domain controllers)",
    "web": "The town's web page",
    "library_public": "PCs for the public",
}
WINDOW = {"id": "night", "jobs": ["patch"], "rrule": "FREQ=WEEKLY;BYDAY=MO", "start": "20:00", "duration": "6h"}
_STAFF = {
    "adm-pc": ("administration", 8, None),
    "pd-pc": ("police", 12, None),
    "dispatch-pc": ("police", 4, "dispatch"),
    "fire-pc": ("fire", 6, None),
    "water-pc": ("water", 6, None),
    "fin-pc": ("finance", 6, "finance"),
    "clerk-pc": ("clerk", 4, None),
    "lib-pc": ("library", 6, "library_public"),
    "parks-pc": ("parks", 2, None),
}
_SERVERS = {
    "srv-dc1": ("administration", "domain"),
    "srv-files": ("administration", "files"),
    "srv-web": ("administration", "web"),
    "srv-records": ("police", "police_records"),
    "srv-billing": ("water", "water_billing"),
    "srv-fin": ("finance", "finance"),
}


def town_parts() -> dict[str, Any]:
    """Departments and systems of the town file of `sixty`."""
    return {
        "departments": [{"id": key, "name": name} for key, name in DEPARTMENTS.items()],
        "systems": [{"id": key, "name": name} for key, name in SYSTEMS.items()],
        "maintenance": {"windows": [WINDOW]},
    }


def groups_of_sixty() -> dict[str, list[str]]:
    """The inventory's groups of `sixty`: 54 PCs and 6 servers."""
    groups: dict[str, list[str]] = {}

    def put(host: str, department: str, system: str | None) -> None:
        for group in ["all", f"dept_{department}", *([f"system_{system}"] if system else [])]:
            groups.setdefault(group, []).append(host)

    for stem, (department, count, system) in _STAFF.items():
        for number in range(1, count + 1):
            put(f"{stem}-{number:02}", department, system)
    for host, (department, system) in _SERVERS.items():
        put(host, department, system)
    groups["ring_canary"] = ["adm-pc-01", "lib-pc-01", "pd-pc-01"]
    groups["ring_early"] = ["adm-pc-02", "fin-pc-01", "fire-pc-01", "lib-pc-02", "water-pc-01"]
    groups["ring_last"] = list(_SERVERS)
    return groups


def inventory_of_sixty(town: Town) -> None:
    """Write that inventory into a town's directory."""
    children = {name: {"hosts": dict.fromkeys(hosts)} for name, hosts in groups_of_sixty().items() if name != "all"}
    everybody = dict.fromkeys(groups_of_sixty()["all"])
    (town.directory / "hosts.yml").write_text(json.dumps({"all": {"hosts": everybody, "children": children}}))


def sixty(town: str = "riverton") -> Evening:
    """A real night's like: 60 computers of which 5 have trouble, a few done ones want something, two devices more."""
    groups, night = groups_of_sixty(), Evening(town)
    ring_of = {host: ring for ring in ("canary", "early", "last") for host in groups[f"ring_{ring}"]}
    devices = ("sw-hall-01", "prn-hall-01")
    hosts = groups["all"]
    night.approved("Morgan Reyes", hosts)
    night.begun(*hosts, not_asked=devices)
    special: dict[str, dict[str, Any]] = {
        "fire-pc-03": {
            "outcome": "rolled_back",
            "reason": "the probe web page was red after 2 minutes: HTTP 502",
            "probes": [probe(after="green", text="answered again after the rollback")],
            "away_at_most": 348.0,
        },
        "water-pc-04": {
            "outcome": "blocked",
            "reason": "/var has 120 MB free and 480 MB are needed",
            "blockers": [{"code": "disk", "text": "/var has 120 MB free and 480 MB are needed: apt-get clean"}],
        },
        "clerk-pc-02": {
            "outcome": "failed",
            "reason": "cups-daemon: post-installation script failed with 1, and the former version is not kept",
            "probes": [probe(), probe(name="print queue", kind="unit", after="red", text="cups.service is failed")],
            "rollback": rollback(done=False, possible=False, missing=["cups-daemon 2.4.2-3"]),
        },
    }
    outcomes = {}
    for ring in ("canary", "early", "broad", "last"):
        for number, host in enumerate(host for host in hosts if ring_of.get(host, "broad") == ring):
            night.at += timedelta(seconds=20)
            outcomes[host] = "changed"
            if host in special:
                more = dict(special[host])
                night.patched(host, more.pop("outcome"), ring=ring, **more)
            elif host == "pd-pc-07":
                night.contact(host, "unreachable", "ssh: connect to host 192.0.2.77 port 22: No route to host")
                outcomes[host] = "unreachable"
            elif host == "fin-pc-04":
                night.refused(host, "frozen", "frozen by payroll until 2026-11-26 00:00", ring)
            elif host == "lib-pc-03":
                left = {"done": [], "failed": [], "left": ["cups.service"]}
                wants = reboot(done=False, why_not="the town's patch section says never")
                night.patched(host, ring=ring, reboot=wants, restarts=left)
            elif number % 7 == 6:
                none = {"columns": ["name", "arch", "before", "after"], "rows": []}
                idle = {"done": [], "failed": [], "left": []}
                night.patched(host, ring=ring, changes=none, restarts=idle, away_at_most=0.0, seconds=9.5)
            elif ring == "last" or number % 5 == 0:
                rows = [
                    ["linux-image-amd64", "amd64", "6.1.148-1", "6.1.153-1"],
                    ["openssl", "amd64", "3.0.15", "3.0.17"],
                ]
                changed = {"columns": ["name", "arch", "before", "after"], "rows": rows}
                night.patched(
                    host, ring=ring, changes=changed, reboot=reboot(), rebooted=True, away_at_most=171.0, seconds=231.0
                )
            else:
                night.patched(host, ring=ring, conffiles=["/etc/ssh/sshd_config"] if number % 11 == 0 else [])
            if number % 4 == 0:
                night.add("updates", host, updates_body(not_a_security_update=4, held_by_an_administrator=1))
    night.at += timedelta(minutes=1)
    night.ended(outcomes | dict.fromkeys(devices, "not_asked"))
    return night
