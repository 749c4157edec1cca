# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The units of clients and servers, as text."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Dict, List, Sequence

from .place import unit_states
from .server_config import Server

MARK = "# Written by civicops.town: changes are lost.\n"
FOLDER = "/etc/systemd/system"
LIBRARY = "/var/lib/civicops/programs"

CLIENT = "civicops-backup"
# What talks to other machines on a server; it may write where ReadWritePaths says, and nowhere else.
_CONFINED = """ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectControlGroups=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
NoNewPrivileges=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
"""


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
{_CONFINED}ProtectProc=invisible
CapabilityBoundingSet=
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


def copy_job(python: str, config: str, kept: str) -> str:
    """Brings what is new to the second server: by root, who may read everything and write below one directory."""
    return f"""{MARK}[Unit]
Description=Bring backups to the second server
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={python} -I {LIBRARY}/backup-server.pyz copy {config}
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
TimeoutStartSec=infinity
ReadWritePaths={kept}
{_CONFINED}CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH
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


@dataclass(frozen=True)
class ServerUnits:
    """A town's units on its backup server."""

    town: str

    @property
    def serve(self) -> str:
        """What is reached from outside."""
        return f"civicops-restic-{self.town}.service"

    def job(self, verb: str, kind: str = "service") -> str:
        """One of its own jobs: status, cycle, prune, copy."""
        return f"civicops-backup-{verb}-{self.town}.{kind}"

    def texts(self, server: Server, rclone: Sequence[str], config: str, prune_schedule: str) -> Dict[str, str]:
        """Each unit's text. Those of the second copy are there where there is one."""
        python = sys.executable
        # What is reached from outside is off while the repositories' passwords are in use by its own user.
        apart = f"Conflicts={self.serve}\nAfter={self.serve}\n"
        back = f"ExecStopPost=+/usr/bin/systemctl --no-block start {self.serve}\n"
        snapshots = [f"{server.repository(client)}/snapshots" for client in server.clients]
        found = {
            self.serve: server_service(server.user, rclone, server.root),
            self.job("status"): server_job("How fresh backups are", python, "status", config),
            self.job("status", "path"): watch("Look when a backup comes", snapshots, self.job("status")),
            self.job("cycle"): server_job("Whether backups are whole", python, "cycle", config),
            self.job("cycle", "timer"): timer("When backups are looked at", "hourly", 300),
            self.job("prune"): server_job("Forget old backups", python, "prune", config, apart) + back,
            self.job("prune", "timer"): timer("When old backups go", prune_schedule, 600),
        }
        if server.copy_to:
            found[self.job("copy")] = copy_job(python, config, server.state)
            found[self.job("copy", "timer")] = timer("When backups go to the second server", "*-*-* *:30", 300)
        return found

    def to_run(self, server: Server) -> List[str]:
        """What is enabled and runs. While old backups are forgotten the server is off, and comes back by itself."""
        timers = [self.job("cycle", "timer"), self.job("prune", "timer")]
        timers += [self.job("copy", "timer")] if server.copy_to else []
        prunes = unit_states([self.job("prune")]).get(self.job("prune"), ("", ""))[1] == "activating"
        return [*([] if prunes else [self.serve]), self.job("status", "path"), *timers]
