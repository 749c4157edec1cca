"""A town's hardening for tests of its page: sixty hosts, of which some have trouble."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.unit.assess.samples import HOSTILE, add, body, contact, row, undo

from civicops.assess.catalogue import catalogue
from civicops.ledger.store import Ledger

WAIVED = {"control": "ssh-banner", "until": "2099-05-31", "approver": "J. Ortiz, town manager", "reason": "The vendor."}
EXPIRED = {"control": "ssh-root-keys", "until": "2026-01-31", "approver": "J. Ortiz", "reason": "Was needed."}
WORDS = {
    "changed": ("0644 root:root", "0600 root:root", ""),
    "failed": ("PermitRootLogin yes", "PermitRootLogin no", "set in sshd_config.d/90-vendor.conf, which comes first"),
    "not_enforceable": ("1", "0", "the kernel's settings are read-only in this container"),
    "error": ("", "", "/etc/sudoers.d/vendor: Permission denied"),
}


def names() -> list[str]:
    """Of 60 hosts: servers, and the computers of departments."""
    return [
        *(f"srv-{one}" for one in ("web", "fin", "db", "file", "mail", "cad", "rms", "scada")),
        *(f"{one}-pc-{number:02d}" for one in ("clerk", "pd", "lib", "fire") for number in range(1, 14)),
    ]


def inventory(directory: Path, *more: str) -> None:
    """Those hosts as a town's inventory, a switch with them."""
    hosts = dict.fromkeys([*names(), *more])
    groups = {"network": {"hosts": {"switch1": None}}, "servers": {"hosts": {"srv-web": None, "srv-fin": None}}}
    (directory / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts, "children": groups}}))


def audit(seed: int, *, hardened: float, **more: Any) -> dict[str, Any]:
    """An audit of all of the catalogue's controls, of which that share is met."""
    dice = random.Random(seed)  # noqa: S311
    rows = []
    for name in catalogue().controls:
        state = "compliant"
        if dice.random() > hardened:
            state = dice.choices(
                ["changed", "failed", "not_applicable", "not_enforceable", "error"], [70, 8, 12, 7, 3]
            )[0]
        if name in (WAIVED["control"], EXPIRED["control"]):
            state = "waived"
        was, wanted, why = WORDS.get(state, ("", "", ""))
        rows.append(row(name, state, was=was, wanted=wanted, why=why))
    return body(*rows, waivers=[WAIVED, EXPIRED], catalogue=catalogue().sha256, **more)


def sixty(ledger: Ledger, *, hardened: float = 0.8) -> None:
    """Two audits of sixty hosts: one never reached, one put back since, one that says hostile things, one hardened."""
    for number, host in enumerate(names()):
        if host == "fire-pc-13":
            add(ledger, contact("civicops.town.baseline", "unreachable", "no route"), host=host, kind="contact")
            continue
        first = audit(number, hardened=hardened)
        add(ledger, first, host=host, collected_at="2026-11-20T08:00:00.000000Z")
        second = audit(number, hardened=hardened)
        if number % 15 == 4:
            for one in [one for one in second["results"]["rows"] if one[1] == "compliant"][:3]:
                one[1:] = ["changed", True, "yes", "no", ""]
        if host == "lib-pc-03":
            second["results"]["rows"][0][1:] = ["failed", False, HOSTILE, HOSTILE, HOSTILE]
            second["results"]["rows"].append(row(HOSTILE[:90], "failed", was=HOSTILE, wanted=HOSTILE, why=HOSTILE))
        add(ledger, second, host=host, run="run-2")
    add(ledger, undo("run-2", "/etc/issue"), host="srv-fin", run="run-3", job="baseline_undo", check=False)
    add(ledger, contact("civicops.town.baseline", reason="no Python"), host="srv-web", run="run-4", kind="contact")
    done = audit(99, hardened=1, outcome="done")
    add(ledger, done, host="srv-db", run="run-5", job="baseline", check=False)
    add(ledger, audit(99, hardened=1), host="old-pc", run="run-0")
