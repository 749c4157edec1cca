# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""People (and programs) that can log in: shell, groups that give power, password state, last login.

Password hashes are read, as root, to tell "locked" from "set"; none leaves this file.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional

from .context import Context, utc
from .logins import LoginRecord

ACCOUNTS_LIMIT = 8 << 20  # bytes of passwd, shadow or group
USERS_LIMIT = 5000
NO_LOGIN = ("nologin", "false", "sync", "shutdown", "halt")
# Membership in these is power over the whole host, or insight into all its logs.
POWER_GROUPS = {
    "root",
    "sudo",
    "wheel",
    "admin",
    "adm",
    "disk",
    "shadow",
    "docker",
    "lxd",
    "libvirt",
    "systemd-journal",
}
# Marks of crypt(5): which scheme hashes a password, never the hash itself.
SCHEMES = {"1": "md5", "2a": "bcrypt", "2b": "bcrypt", "2y": "bcrypt", "5": "sha256", "6": "sha512", "7": "scrypt",
           "gy": "gost-yescrypt", "sha1": "sha1", "y": "yescrypt"}  # fmt: skip
DAY = 86400


class Account(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str
    shell: str

    @property
    def can_log_in(self) -> bool:
        return bool(self.shell) and self.shell.rpartition("/")[2] not in NO_LOGIN


def parse_passwd(text: str) -> List[Account]:
    """passwd(5); an empty shell means /bin/sh."""
    found = []
    for line in text.splitlines():
        fields = line.split(":")
        if (
            len(fields) == 7
            and fields[2].isdecimal()
            and fields[3].isdecimal()
            and len(fields[2]) < 11
            and len(fields[3]) < 11
        ):
            found.append(Account(fields[0], int(fields[2]), int(fields[3]), fields[5], fields[6] or "/bin/sh"))
    return found


def days(text: str) -> Optional[int]:
    return int(text) if text.isdecimal() and len(text) < 7 else None


def password_state(field: str) -> Dict[str, Optional[str]]:
    """state: empty (anyone may log in), none (never had one), locked (had one), or set; and the hashing scheme."""
    if field == "":
        return {"state": "empty", "scheme": None}
    bare = field.lstrip("!")
    if bare in ("", "*", "x"):
        return {"state": "none", "scheme": None}
    parts = bare.split("$")
    scheme = SCHEMES.get(parts[1], "unknown") if len(parts) > 2 else "des" if len(bare) == 13 else "unknown"
    return {"state": "locked" if field.startswith("!") else "set", "scheme": scheme}


def parse_shadow(text: str) -> Dict[str, Dict[str, Any]]:
    """shadow(5): state, scheme, and dates as days since 1970 turned into ISO 8601."""
    found: Dict[str, Dict[str, Any]] = {}
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) != 9:
            continue
        changed, longest, expires = days(fields[2]), days(fields[4]), days(fields[7])
        due = changed + longest if changed and longest is not None and longest < 99999 else None
        found[fields[0]] = {
            **password_state(fields[1]),
            "changed": (utc(changed * DAY) or "")[:10] or None if changed else None,
            "must_change": (utc(due * DAY) or "")[:10] or None if due else None,
            "account_expires": (utc(expires * DAY) or "")[:10] or None if expires is not None else None,
        }
    return found


def parse_groups(text: str) -> Dict[str, Dict[str, Any]]:
    """group(5): number and members by name."""
    found = {}
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == 4 and fields[2].isdecimal() and len(fields[2]) < 11:
            found[fields[0]] = {"gid": int(fields[2]), "members": [name for name in fields[3].split(",") if name]}
    return found


def power_groups(account: Account, groups: Dict[str, Dict[str, Any]]) -> List[str]:
    given = (name for name in POWER_GROUPS if name in groups)
    return sorted(
        name for name in given if account.name in groups[name]["members"] or account.gid == groups[name]["gid"]
    )


def accounts(ctx: Context) -> List[Account]:
    """Raises OSError."""
    return parse_passwd(ctx.read("/etc/passwd", ACCOUNTS_LIMIT))


def collect(ctx: Context) -> Dict[str, Any]:
    everyone: List[Account] = ctx.once("accounts", accounts)
    groups = parse_groups(ctx.read_or("/etc/group", "", ACCOUNTS_LIMIT) or "")
    passwords: Optional[Dict[str, Dict[str, Any]]] = None
    try:
        passwords = parse_shadow(ctx.read("/etc/shadow", ACCOUNTS_LIMIT))
    except OSError as error:
        ctx.unread_error("users.password", error)
    record = LoginRecord(ctx)
    users = []
    for account in everyone:
        password = passwords.get(account.name) if passwords is not None else None
        usable = password is not None and password["state"] in ("set", "empty")
        if not (account.can_log_in or account.uid == 0 or usable):
            continue
        login = record.of(account.name, account.uid)
        users.append(
            {
                "name": account.name,
                "uid": account.uid,
                "gid": account.gid,
                "shell": account.shell,
                "home": account.home,
                "power_groups": power_groups(account, groups),
                "last_login": login.at,
                "last_login_from": login.come_from,
                "password": password,
            }
        )
    record.close()
    if len(users) > USERS_LIMIT:
        ctx.unread("users", f"truncated: {len(users)} users, the first {USERS_LIMIT} are listed")
    if any(line in (ctx.read_or("/etc/nsswitch.conf", "") or "") for line in (" ldap", " sss", " winbind")):
        ctx.unread("users.directory", "users of a directory (LDAP, Active Directory) are not listed, only local ones")
    return {
        "users": users[:USERS_LIMIT],
        "accounts_without_login": len(everyone) - len(users),
        "last_login_basis": record.basis,
    }
