#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_client
short_description: Have a host back itself up, by a timer of its own
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Puts a program, its configuration and systemd's units on the host. From then on the host backs itself up with
    restic, to the append-only server of M(civicops.town.backup_server), whether the controller is there or not.
  - Databases are dumped to files first, each judged by its command's exit status, its end and its size. After each
    backup the program hashes what was saved.
  - What the host has found is asked for by M(civicops.town.backup_info).
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
  server:
    description: The backup server's name or address, as the host reaches it and its certificate has it.
    type: str
    required: true
  port:
    description: The port of the town's backup server.
    type: int
    default: 8000
  name:
    description: The host's name on the server, which is its user and its repository.
    type: str
    required: true
  server_password:
    description: What lets the host add to its repository, and to no other. 20 letters and digits at least.
    type: str
    required: true
  repository_password:
    description:
      - What the backups are encrypted with. Without it they are lost, so keep it where it survives this host and the
        server.
      - 20 characters at least.
    type: str
    required: true
  authority:
    description: The certificate that the server's own is checked against, PEM. Where it is empty what is there stays.
    type: str
    required: true
  paths:
    description: Files and directories to back up.
    type: list
    elements: str
    default: []
  excludes:
    description: What is left out, as restic's C(--exclude) has it.
    type: list
    elements: str
    default: []
  one_file_system:
    description:
      - Whether other file systems that are mounted below O(paths) are left out. Each is an alarm of each backup, unless
        O(left_out) names it.
      - A path that is a file system of its own is saved, as V(/home) may be.
    type: bool
    default: true
  left_out:
    description: Directories at which, or below which, other file systems are mounted that are left out on purpose.
    type: list
    elements: str
    default: []
  dumps:
    description: Databases, and what else has to be written to a file before it can be backed up.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Names the dump's file; small letters, digits, dots, dashes and underscores.
        type: str
        required: true
      kind:
        description:
          - V(postgresql) by C(pg_dump), or C(pg_dumpall) without O(dumps[].database).
          - V(mysql), for MariaDB too, by C(mysqldump), or C(mariadb-dump) where there is none, with what root's
            C(.my.cnf) says.
          - V(sqlite) by SQLite's own backup of O(dumps[].path), by the file's owner, and checked.
          - V(ldap) by OpenLDAP's C(slapcat); O(dumps[].database) is the suffix, as V(cn=config) is one too.
          - V(command) is what O(dumps[].command) writes to its standard output.
        type: str
        choices: [postgresql, mysql, sqlite, ldap, command]
        required: true
      database:
        description: One database. All of them without it; of LDAP the first.
        type: str
      path:
        description: SQLite's file.
        type: str
      command:
        description: The command and its arguments; no shell.
        type: list
        elements: str
      user:
        description: Who runs the dump. C(postgres) for PostgreSQL, the file's owner for SQLite, else root.
        type: str
      end:
        description: A regular expression that the last 4 KB of a whole dump match, where its kind has none.
        type: str
      seconds:
        description: How long the dump may take, in seconds; one hour where this is not said.
        type: int
      min_bytes:
        description: A smaller dump is none.
        type: int
      shrink_percent:
        description: A dump that is smaller than the last good one by more than this is told; 50 where this is not said.
        type: int
  canaries:
    description:
      - Files that are put on the host and that nobody has a reason to touch. One that was changed, or is gone, is told
        as an alarm by each backup from then on.
      - A canary that is on the host already is not put there again. Take it out of the list for a run to have it anew.
    type: list
    elements: str
    default: []
  change_percent:
    description: More than this share of the files changed or gone since the last backup is an alarm, in percent.
    type: int
    default: 30
  change_files:
    description: And at least so many files.
    type: int
    default: 50
  schedule:
    description: When to back up, as C(OnCalendar) of systemd.time(7).
    type: str
    default: "*-*-* 01:00"
  delay:
    description: Up to so many seconds later, at random, so that a town's hosts don't all come at once.
    type: int
    default: 3600
  time_limit:
    description: A backup that is not done after so many seconds is ended, and told.
    type: int
    default: 21600
  memory:
    description: Memory above which the backup is slowed down, as C(MemoryHigh) of systemd.resource-control(5).
    type: str
    default: 512M
requirements:
  - Python 3.9 or newer and systemd on the host
  - restic 0.11 or newer on the host
"""

EXAMPLES = r"""
- name: Have the host back itself up each night
  civicops.town.backup_client:
    server: vault.riverton.example
    name: "{{ inventory_hostname }}"
    server_password: "{{ backup_secrets[inventory_hostname].server }}"
    repository_password: "{{ backup_secrets[inventory_hostname].repository }}"
    authority: "{{ authority }}"
    paths: [/etc, /home, /srv]
    dumps:
      - name: payroll
        kind: postgresql
        database: payroll
"""

RETURN = r"""
changed:
  description: Whether anything on the host was changed, or would be.
  returned: always
  type: bool
period:
  description: The longest time between two starts of the schedule, in seconds.
  returned: always
  type: int
  sample: 86400
"""

import hashlib
import sys
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.civicops.town.plugins.module_utils._backup import client, restic, units
from ansible_collections.civicops.town.plugins.module_utils._backup.config import (
    CONFIG,
    FOLDER,
    KEPT,
    ConfigError,
    load,
    parsed,
    repository,
    written,
)
from ansible_collections.civicops.town.plugins.module_utils._backup.place import Place, missing
from ansible_collections.civicops.town.plugins.module_utils._backup.schedule import period_of
from ansible_collections.civicops.town.plugins.module_utils._backup.serving import known_authority
from ansible_collections.civicops.town.plugins.module_utils._baseline.files import HostError, look
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import CommandError
from ansible_collections.civicops.town.plugins.module_utils._host_work import bundle

CANARY = "This file belongs to the town's backup: nobody needs it, and whoever changes it is noticed.\n"
GRACE = 3600
"""Seconds beyond the schedule's own that a backup may be late."""


def main() -> None:
    module = AnsibleModule(argument_spec=spec(), supports_check_mode=True)
    params = module.params
    place = Place(module.check_mode)
    try:
        period = _place(place, params)
    except (HostError, CommandError, ConfigError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    shown = {"diff": place.diffs} if module._diff else {}
    module.exit_json(changed=place.changed, period=period, **shown)


def spec() -> Dict[str, Any]:
    """The module's options."""
    dump = {
        "name": {"type": "str", "required": True},
        "kind": {"type": "str", "required": True, "choices": ["postgresql", "mysql", "sqlite", "ldap", "command"]},
        "database": {"type": "str"},
        "path": {"type": "str"},
        "command": {"type": "list", "elements": "str"},
        "user": {"type": "str"},
        "end": {"type": "str"},
        "seconds": {"type": "int"},
        "min_bytes": {"type": "int"},
        "shrink_percent": {"type": "int"},
    }
    return {
        "server": {"type": "str", "required": True},
        "port": {"type": "int", "default": 8000},
        "name": {"type": "str", "required": True},
        "server_password": {"type": "str", "required": True, "no_log": True},
        "repository_password": {"type": "str", "required": True, "no_log": True},
        "authority": {"type": "str", "required": True},
        "paths": {"type": "list", "elements": "str", "default": []},
        "excludes": {"type": "list", "elements": "str", "default": []},
        "one_file_system": {"type": "bool", "default": True},
        "left_out": {"type": "list", "elements": "str", "default": []},
        "dumps": {"type": "list", "elements": "dict", "default": [], "options": dump},
        "canaries": {"type": "list", "elements": "str", "default": []},
        "change_percent": {"type": "int", "default": 30},
        "change_files": {"type": "int", "default": 50},
        "schedule": {"type": "str", "default": "*-*-* 01:00"},
        "delay": {"type": "int", "default": 3600},
        "time_limit": {"type": "int", "default": 21600},
        "memory": {"type": "str", "default": "512M"},
    }


def _place(place: Place, params: Dict[str, Any]) -> int:
    if lacking := missing("restic", "systemctl"):
        if not place.check or lacking == "systemctl":
            raise HostError(f"{lacking} is not on the host; the role backup_client installs it")
        place.touched.append("restic")  # check mode, before the package is there
    period = period_of(params["schedule"])
    address = repository(params["server"], params["port"], params["name"], params["server_password"])
    if len(params["repository_password"]) < 20 or "\n" in params["repository_password"]:
        raise ConfigError("repository_password: wanted are 20 characters or more, as `openssl rand -hex 24` makes them")
    values = _values(params, period)
    parsed(values)
    canaries = _canaries(place, params["canaries"])
    place.folder("/var/lib/civicops", 0o700)
    place.folder(KEPT, 0o700)
    place.folder(FOLDER, 0o700)
    place.file(f"{FOLDER}/{restic.REPOSITORY}", f"{address}\n".encode(), 0o600, secret=True)
    place.file(f"{FOLDER}/{restic.PASSWORD}", f"{params['repository_password']}\n".encode(), 0o600, secret=True)
    known_authority(place, f"{FOLDER}/{restic.AUTHORITY}", params["authority"], "authority: the backup server")
    excludes = "".join(f"{line}\n" for line in params["excludes"])
    if excludes:
        place.file(f"{FOLDER}/excludes", excludes.encode(), 0o600)
    else:
        place.absent(f"{FOLDER}/excludes")
    place.file(f"{FOLDER}/{CONFIG}", written(dict(values, canaries=canaries)).encode(), 0o600)
    place.folder(units.LIBRARY, 0o700)
    place.file(f"{units.LIBRARY}/backup.pyz", bundle.program(client, ("_backup", "_baseline", "_host_info")), 0o755)
    service = units.client_service(sys.executable, params["time_limit"], params["memory"])
    place.file(f"{units.FOLDER}/{units.CLIENT}.service", service.encode())
    timer = units.timer("When this host is backed up", params["schedule"], params["delay"])
    other = place.file(f"{units.FOLDER}/{units.CLIENT}.timer", timer.encode())
    place.units(f"{units.CLIENT}.timer", restart=[f"{units.CLIENT}.timer"] if other else [])
    return period


def _values(params: Dict[str, Any], period: int) -> Dict[str, Any]:
    names = ("paths", "excludes", "one_file_system", "left_out", "change_percent", "change_files")
    dumps = [{key: value for key, value in one.items() if value is not None} for one in params["dumps"]]
    late = period + params["delay"] + params["time_limit"] + GRACE
    return dict(
        {name: params[name] for name in names}, host=params["name"], dumps=dumps, period=period, late_after=late
    )


def _canaries(place: Place, wanted: List[str]) -> List[List[str]]:
    """Those that are there already stay as they are: one that was changed must not be mended before it was told."""
    try:
        had = dict(load().canaries)
    except (OSError, ConfigError):
        had = {}
    for path in wanted:
        if path not in had:
            found = look(path)
            if found and found.content != CANARY.encode():
                raise ConfigError(f"canaries: {path} is there already; name a file that nobody has")
            place.file(path, CANARY.encode())
    return [[path, had.get(path) or hashlib.sha256(CANARY.encode()).hexdigest()] for path in sorted(wanted)]


if __name__ == "__main__":
    main()
