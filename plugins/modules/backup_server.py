#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_server
short_description: Have a host keep a town's backups, append-only
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Puts a server for restic on the host, by C(rclone serve restic --append-only --private-repos) and TLS. A client can
    add to its own repository and read it; it can delete and overwrite nothing, and see nobody else's.
  - Each town has a system user, a directory and a port of its own.
  - The server sees for itself how fresh each repository is, and whether every file in it still is what was written. It
    needs no password for that. It alone forgets old snapshots.
extends_documentation_fragment:
  - civicops.town.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Of files that hold secrets it is told that they differ, and not how.
  idempotent:
    support: full
options:
  town:
    description: The town's id.
    type: str
    required: true
  user:
    description: The town's system user. The default is V(backup-) and O(town).
    type: str
  root:
    description: The directory of all towns' backups; this town's is below it.
    type: path
    default: /srv/backup
  address:
    description: The address that is listened to; all of them where this is empty.
    type: str
    default: ""
  port:
    description: The town's port.
    type: int
    default: 8000
  names:
    description: Names and addresses of the server, as clients reach it; its certificate holds them.
    type: list
    elements: str
    required: true
  clients:
    description: The hosts whose backups are kept here.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The host's name.
        type: str
        required: true
      server_password:
        description: What lets it add to its repository.
        type: str
        required: true
      repository_password:
        description: What its backups are encrypted with; needed here to forget old ones.
        type: str
        required: true
      schedule:
        description: When it is backed up, as C(OnCalendar) of systemd.time(7); its backups are late by that.
        type: str
        required: true
      late_after:
        description: Seconds beyond its schedule's period after which a backup is late.
        type: int
        default: 28800
  keep_within:
    description: How old a snapshot becomes before it is forgotten, as restic's C(--keep-within) has it.
    type: str
    default: 90d
  prune_schedule:
    description: When that is done. Backups are refused meanwhile.
    type: str
    default: "Sun *-*-* 13:00"
  copy:
    description:
      - A second server, set up by this module too, to which everything is brought within the hour. What was forgotten
        or deleted here stays there, for as long as that server keeps it.
      - It wants restic 0.14 or newer here, as Debian 12 has it.
    type: dict
    suboptions:
      server:
        description: Its name or address, as its certificate has it.
        type: str
        required: true
      port:
        description: The town's port there.
        type: int
        default: 8000
      authority:
        description: What its certificate is checked against, PEM. Where it is empty what is there stays.
        type: str
        required: true
requirements:
  - Python 3.9 or newer and systemd on the host
  - restic, rclone, openssl and htpasswd (of Debian's C(apache2-utils)) on the host
"""

EXAMPLES = r"""
- name: Keep the town's backups
  civicops.town.backup_server:
    town: riverton
    names: [vault.riverton.example]
    clients:
      - name: payroll1
        server_password: "{{ backup_secrets.payroll1.server }}"
        repository_password: "{{ backup_secrets.payroll1.repository }}"
        schedule: "*-*-* 01:00"
"""

RETURN = r"""
changed:
  description: Whether anything on the host was changed, or would be.
  returned: always
  type: bool
authority:
  description: The certificate that clients check the server's own against, PEM; empty where it is not made yet.
  returned: always
  type: str
"""

import re
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.civicops.town.plugins.module_utils._backup import server, serving, units
from ansible_collections.civicops.town.plugins.module_utils._backup.config import ConfigError, repository, written
from ansible_collections.civicops.town.plugins.module_utils._backup.place import Place, command, missing
from ansible_collections.civicops.town.plugins.module_utils._backup.schedule import period_of
from ansible_collections.civicops.town.plugins.module_utils._backup.server_config import Client, Server
from ansible_collections.civicops.town.plugins.module_utils._baseline.files import HostError, look
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import CommandError
from ansible_collections.civicops.town.plugins.module_utils._host_work import bundle

SETTINGS = "/etc/civicops/backup-server"
KEPT = "/var/lib/civicops/backup-server"


def main() -> None:
    client = {
        "name": {"type": "str", "required": True},
        "server_password": {"type": "str", "required": True, "no_log": True},
        "repository_password": {"type": "str", "required": True, "no_log": True},
        "schedule": {"type": "str", "required": True},
        "late_after": {"type": "int", "default": 28800},
    }
    second = {
        "server": {"type": "str", "required": True},
        "port": {"type": "int", "default": 8000},
        "authority": {"type": "str", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "town": {"type": "str", "required": True},
            "user": {"type": "str"},
            "root": {"type": "path", "default": "/srv/backup"},
            "address": {"type": "str", "default": ""},
            "port": {"type": "int", "default": 8000},
            "names": {"type": "list", "elements": "str", "required": True},
            "clients": {"type": "list", "elements": "dict", "required": True, "options": client},
            "keep_within": {"type": "str", "default": "90d"},
            "prune_schedule": {"type": "str", "default": "Sun *-*-* 13:00"},
            "copy": {"type": "dict", "options": second},
        },
        supports_check_mode=True,
    )
    place = Place(module.check_mode)
    try:
        authority = _place(place, module.params)
    except (HostError, CommandError, ConfigError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    shown = {"diff": place.diffs} if module._diff else {}
    module.exit_json(changed=place.changed, authority=authority, **shown)


def _place(place: Place, params: Dict[str, Any]) -> str:
    town = params["town"]
    if not re.fullmatch(r"[a-z][a-z0-9-]*", town):
        raise ConfigError(f"town: {town!r:.60} is no town's id")
    if not re.fullmatch(r"([1-9][0-9]*[ymdh])+", params["keep_within"]):
        raise ConfigError(f"keep_within: {params['keep_within']!r:.40} is no time as restic has it; an example: 90d")
    if params["port"] < 1024:
        raise ConfigError(f"port: {params['port']} is one that only root may listen to; name one from 1024 on")
    clients = _clients(params)
    prune_late = 2 * period_of(params["prune_schedule"]) + 86400  # one may be let be, as a backup goes on
    if lacking := missing("systemctl", "restic", "rclone", "openssl", "htpasswd"):
        if place.check and lacking != "systemctl":
            place.touched.append(lacking)  # the packages are not there yet
            return ""
        raise HostError(f"{lacking} is not on the host; the role backup_server installs it")
    if params["copy"] and (old := _too_old()):
        raise HostError(f"{old} copies to no other server; that wants 0.14 or newer, as Debian 12 has it")
    user = params["user"] or f"backup-{town}"
    uid, gid = serving.user(place, user)
    root, settings, kept = f"{params['root']}/{town}", f"{SETTINGS}/{town}", f"{KEPT}/{town}"
    place.folder(params["root"], 0o711)
    place.folder(root, 0o700, uid, gid)
    place.folder("/var/lib/civicops", 0o700)
    for folder in (KEPT, kept, f"{kept}/secrets"):
        place.folder(folder, 0o700)
    place.folder(SETTINGS, 0o755)
    place.folder(settings, 0o750, gid=gid)
    anew = serving.certificate(place, settings, params["names"], gid)
    serving.passwords(place, f"{settings}/htpasswd", clients, gid)
    for one in clients:
        text = f"{one['repository_password']}\n"
        place.file(f"{kept}/secrets/{one['name']}", text.encode(), 0o600, secret=True)
    config = {
        "town": town,
        "user": user,
        "root": root,
        "state": kept,
        "secrets": f"{kept}/secrets",
        "certificate": f"{settings}/server.pem",
        "keep_within": params["keep_within"],
        "prune_late": str(prune_late),
        **serving.second(place, params["copy"], clients, settings, kept),
        "clients": [{"name": one["name"], "late_after": one["late"]} for one in clients],
    }
    place.file(f"{settings}/server.json", written(config).encode(), 0o600)
    place.folder(units.LIBRARY, 0o700)
    place.file(f"{units.LIBRARY}/backup-server.pyz", bundle.program(server, ("_backup", "_host_info")), 0o755)
    found = [Client(one["name"], one["late"]) for one in clients]
    _units(place, params, Server(**dict(config, clients=tuple(found))), settings, anew)
    authority = look(f"{settings}/authority.pem")
    return authority.content.decode() if authority else ""


def _too_old() -> str:
    """restic's version where it can't copy from a repository whose password is of its own; else nothing."""
    said = command(["restic", "version"])
    found = re.match(r"restic (\d+)\.(\d+)", said)
    return "" if found and (int(found[1]), int(found[2])) >= (0, 14) else said.strip()[:40] or "this restic"


def _clients(params: Dict[str, Any]) -> List[Dict[str, Any]]:
    names = [one["name"] for one in params["clients"]]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"clients: {twice[0]} is there twice")
    found = []
    for one in params["clients"]:
        repository("server", params["port"], one["name"], one["server_password"])  # whether they can be used
        found.append(dict(one, late=period_of(one["schedule"]) + one["late_after"]))
    return found


def _rclone(params: Dict[str, Any], settings: str, root: str) -> List[str]:
    address = params["address"]
    listen = f"[{address}]" if ":" in address and not address.startswith("[") else address
    words = ["/usr/bin/rclone", "--config", f"{settings}/rclone.conf", "serve", "restic", "--append-only"]
    words += ["--private-repos", "--htpasswd", f"{settings}/htpasswd", "--cert", f"{settings}/server.pem"]
    return [*words, "--key", f"{settings}/server.key", "--addr", f"{listen}:{params['port']}", root]


def _units(place: Place, params: Dict[str, Any], kept: Server, settings: str, anew: bool) -> None:
    named = units.ServerUnits(kept.town)
    place.file(f"{settings}/rclone.conf", b"# No remotes: the town's directory alone is served.\n")
    config, rclone = f"{settings}/server.json", _rclone(params, settings, kept.root)
    texts = named.texts(kept, rclone, config, params["prune_schedule"])
    new = [name for name, text in texts.items() if place.file(f"{units.FOLDER}/{name}", text.encode())]
    if not kept.copy_to:
        place.no_unit(named.job("copy", "timer"))
        place.absent(f"{units.FOLDER}/{named.job('copy')}")
    place.units(*named.to_run(kept), restart=[*new, named.serve] if anew else new)


if __name__ == "__main__":
    main()
