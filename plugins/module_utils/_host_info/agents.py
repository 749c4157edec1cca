# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Security agents and backup tools that are seen: by package, process or folder. Seen is not the same as working."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

from .context import Context
from .packages import package_names
from .processes import all_processes


class Product(NamedTuple):
    name: str
    packages: Tuple[str, ...] = ()
    processes: Tuple[str, ...] = ()  # /proc/PID/comm: the first 15 characters
    paths: Tuple[str, ...] = ()


SECURITY = (
    Product("AIDE", ("aide",)),
    Product("AppArmor", ("apparmor",)),
    Product("ClamAV", ("clamav", "clamav-daemon", "clamd"), ("clamd", "freshclam")),
    Product("CrowdStrike Falcon", ("falcon-sensor",), ("falcon-sensor",), ("/opt/CrowdStrike",)),
    Product("ESET", ("eea", "efs"), ("eea", "efs"), ("/opt/eset",)),
    Product("Fail2ban", ("fail2ban",), ("fail2ban-server",)),
    Product("CrowdSec", ("crowdsec",), ("crowdsec",)),
    Product("Linux audit", ("auditd", "audit"), ("auditd",)),
    Product("Microsoft Defender", ("mdatp",), ("wdavdaemon", "mdatp"), ("/opt/microsoft/mdatp",)),
    Product("osquery", ("osquery",), ("osqueryd",), ("/opt/osquery",)),
    Product("rkhunter", ("rkhunter",)),
    Product("SentinelOne", ("sentinelagent",), ("s1-agent", "s1-orchestrator"), ("/opt/sentinelone",)),
    Product(
        "Sophos",
        ("sophos-spl",),
        ("sophos_managemen", "sophos-spl", "mcsrouter"),
        ("/opt/sophos-spl", "/opt/sophos-av"),
    ),
    Product("Suricata", ("suricata",), ("suricata", "Suricata-Main")),
    Product("Trellix", ("mfeespforlinux", "xagt"), ("mfetpd", "xagt"), ("/opt/McAfee", "/opt/fireeye")),
    Product("Trend Micro", ("ds-agent", "ds_agent"), ("ds_agent", "ds_am"), ("/opt/ds_agent",)),
    Product("unattended-upgrades", ("unattended-upgrades", "dnf-automatic")),
    Product("Wazuh", ("wazuh-agent",), ("wazuh-agentd", "wazuh-syscheckd"), ("/var/ossec",)),
)
BACKUP = (
    Product("Acronis", (), ("acronis_mms",), ("/usr/lib/Acronis", "/opt/acronis")),
    Product("Amanda", ("amanda-client", "amanda-server"), ("amandad",)),
    Product("Bacula", ("bacula-fd", "bacula-client"), ("bacula-fd",), ("/opt/bacula",)),
    Product("BackupPC", ("backuppc",)),
    Product("Bareos", ("bareos-filedaemon", "bareos-fd"), ("bareos-fd",)),
    Product("Borg", ("borgbackup", "borgmatic"), ("borg", "borgmatic")),
    Product("Commvault", (), ("cvd", "cvlaunchd"), ("/opt/commvault", "/opt/simpana")),
    Product("Datto", ("dlad",), ("dlad",), ("/opt/datto",)),
    Product("Duplicati", ("duplicati",), ("duplicati",)),
    Product("duplicity", ("duplicity", "deja-dup"), ("duplicity",)),
    Product("Proxmox Backup", ("proxmox-backup-client", "proxmox-backup-server"), ("proxmox-backup-",)),
    Product("rclone", ("rclone",), ("rclone",)),
    Product("rdiff-backup", ("rdiff-backup",)),
    Product("restic", ("restic",), ("restic",)),
    Product("rsnapshot", ("rsnapshot",)),
    Product("UrBackup", ("urbackup-client", "urbackup-server"), ("urbackupclientba", "urbackupsrv")),
    Product("Veeam", ("veeam", "veeamsnap", "blksnap"), ("veeamservice",), ("/opt/veeam",)),
    Product("Veritas NetBackup", (), ("bpcd", "vnetd", "nbdisco"), ("/usr/openv",)),
)


def seen(
    ctx: Context, products: Tuple[Product, ...], packages: Optional[Set[str]], running: Set[str]
) -> List[Dict[str, Any]]:
    found = []
    for product in products:
        alive = [f"process {name}" for name in product.processes if name[:15] in running]
        traces = [f"package {name}" for name in product.packages if packages and name in packages]
        traces += alive + [f"folder {path}" for path in product.paths if ctx.exists(path)]
        if traces:
            found.append(
                {"name": product.name, "seen_as": traces, "running": bool(alive) if product.processes else None}
            )
    return found


def collect(ctx: Context) -> Dict[str, Any]:
    packages: Optional[Set[str]] = package_names(ctx)
    running = {process.name for process in all_processes(ctx)}
    return {
        "security_agents": seen(ctx, SECURITY, packages, running),
        "backup_tools": seen(ctx, BACKUP, packages, running),
    }
