# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The units of clients and servers, as text."""

from __future__ import annotations

from typing import Sequence

MARK = "# Written by civicops.town: changes are lost.\n"
FOLDER = "/etc/systemd/system"
LIBRARY = "/var/lib/civicops/programs"

CLIENT = "civicops-backup"


def client_service(python: str, time_limit: int, memory: str) -> str:
    """What a timer starts on a client. It reads everything, and writes next to nothing."""
    return f"""{MARK}[Unit]
Description=Back this host up
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={python} -I {LIBRARY}/backup.pyz
TimeoutStartSec={time_limit}
KillMode=control-group
Nice=10
CPUWeight=20
IOWeight=20
IOSchedulingClass=best-effort
IOSchedulingPriority=7
MemoryHigh={memory}
NoNewPrivileges=yes
ProtectSystem=full
LockPersonality=yes
RestrictRealtime=yes
"""


def timer(description: str, schedule: str, delay: int) -> str:
    """A timer that makes good what was missed while the host was off."""
    return f"""{MARK}[Unit]
Description={description}

[Timer]
OnCalendar={schedule}
RandomizedDelaySec={delay}
Persistent=true

[Install]
WantedBy=timers.target
"""


def server_service(user: str, rclone: Sequence[str], root: str) -> str:
    """What is reached from outside: it may write below the town's directory, and nothing else."""
    return f"""{MARK}[Unit]
Description=Backup server, append-only
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={" ".join(rclone)}
User={user}
Group={user}
UMask=0077
Restart=on-failure
RestartSec=5
LimitNOFILE=65536
ReadWritePaths={root}
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectControlGroups=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
NoNewPrivileges=yes
CapabilityBoundingSet=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
"""


def server_job(description: str, python: str, verb: str, config: str, more: str = "") -> str:
    """One of the server's own jobs, by root and without the network."""
    return f"""{MARK}[Unit]
Description={description}
StartLimitIntervalSec=0
{more}
[Service]
Type=oneshot
ExecStart={python} -I {LIBRARY}/backup-server.pyz {verb} {config}
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
TimeoutStartSec=12h
NoNewPrivileges=yes
ProtectSystem=full
ProtectHome=yes
PrivateTmp=yes
PrivateNetwork=yes
LockPersonality=yes
RestrictRealtime=yes
"""


def watch(description: str, paths: Sequence[str], unit: str) -> str:
    """Starts a unit when one of the paths is changed."""
    lines = "".join(f"PathChanged={path}\n" for path in paths)
    return f"""{MARK}[Unit]
Description={description}

[Path]
{lines}Unit={unit}

[Install]
WantedBy=multi-user.target
"""
