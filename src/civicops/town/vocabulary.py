"""The words that a town file may use, each list in its only place."""

from __future__ import annotations

from typing import Literal, get_args

Job = Literal[
    "checkup", "baseline", "patch_stage", "patch", "backup", "drill", "network", "monitoring", "records", "wait"
]
"""The jobs that a window can be for. `wait` only waits on each host: it rehearses windows, rings and halts. `rollback`
is none of them: it may run wherever `patch` may."""

JOBS: tuple[str, ...] = get_args(Job)

Ring = Literal["canary", "early", "broad", "last"]
"""The order of a patch night; a ring's hosts are in the group `ring_NAME`."""

LaterRing = Literal["early", "broad", "last"]
"""The rings that can wait for somebody's yes during the night: all but the first."""

ProbeKind = Literal["port", "http", "command", "query", "unit"]
"""How a system is told to be well: a port that answers, a web page, a command, a database's query, a systemd unit."""

Engine = Literal["postgresql", "mariadb", "sqlite"]
"""The databases that a probe can ask."""

Scope = Literal["security", "all"]
"""Which updates a patch night installs."""

CatchUp = Literal["run", "skip"]
"""What becomes of a run that could not begin when its window opened, as the controller was down."""

Approval = Literal["none", "required"]
"""Whether somebody has to approve a run's plan before it may begin."""

Framework = Literal["cis-v8-ig1", "cpg-2.0", "cjis-6.0", "pci-dss-4"]
"""CIS Controls v8 IG1, CISA Cross-Sector CPG 2.0, CJIS Security Policy 6.0, PCI DSS 4."""

Sensitive = Literal["cji", "chd", "phi", "pii", "ot"]
"""Criminal justice, cardholder, health and personal information; operational technology."""

FreezeKind = Literal["council", "court", "election", "payroll", "billing", "holiday", "season", "event", "other"]
"""Why nothing may be disturbed."""

Notice = Literal["failure", "halt", "approval", "backup", "finding", "report"]
"""What people are told of: a run that failed or was lost, a halted ring, a run that waits for approval,
a backup that is late or can't be restored, a new serious finding, a finished report."""

Equipment = Literal[
    "pc", "public_safety_pc", "rugged", "server", "switch", "firewall", "access_point", "printer", "phone", "ups"
]
"""Kinds of equipment that a town replaces after some years."""
