# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""SSH: the host's keys and its users' authorised keys as fingerprints, and what the daemon allows."""

from __future__ import annotations

import binascii
import hashlib
import re
import struct
from typing import Any, Dict, List, Optional

from .accounts import Account, accounts
from .context import CommandError, Context
from .filesystems import remote_mount

KEY_TYPES = ("ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-")
KEYS_PER_USER = 200
HOMES_LIMIT = 2000
SSHD_SECONDS = 5.0
# What decides who gets in; the rest of `sshd -T` is left on the host.
SETTINGS = {
    "port", "permitrootlogin", "passwordauthentication", "kbdinteractiveauthentication", "pubkeyauthentication",
    "permitemptypasswords", "authenticationmethods", "maxauthtries", "x11forwarding", "allowtcpforwarding", "usepam",
    "allowusers", "allowgroups", "denyusers", "denygroups", "authorizedkeysfile", "authorizedkeyscommand",
}  # fmt: skip
FIXED_BITS = {"ssh-ed25519": 256, "sk-ssh-ed25519@openssh.com": 256, "sk-ecdsa-sha2-nistp256@openssh.com": 256}


def bits_of(kind: str, blob: bytes) -> Optional[int]:
    """Length of the key: fixed by its type, or the modulus of an RSA key (the third field of the blob)."""
    if kind in FIXED_BITS:
        return FIXED_BITS[kind]
    if kind.startswith("ecdsa-sha2-nistp"):
        return int(kind[16:]) if kind[16:] in ("256", "384", "521") else None
    if kind != "ssh-rsa":
        return None
    at = 0
    field = b""
    for dummy in range(3):
        if at + 4 > len(blob):
            return None
        (size,) = struct.unpack_from(">I", blob, at)
        field = blob[at + 4 : at + 4 + size]
        at += 4 + size
    return int.from_bytes(field, "big").bit_length() or None


def split_options(line: str) -> List[str]:
    """The comma-separated options before a key, quotes respected."""
    return re.findall(r'(?:[^,"\s]|"(?:\\.|[^"\\])*")+', line)


def parse_key(line: str) -> Optional[Dict[str, Any]]:
    """One line of authorized_keys or a .pub file; option values other than from= may hold secrets and are dropped."""
    words = re.findall(r'(?:[^\s"]|"(?:\\.|[^"\\])*")+', line, re.ASCII)
    for at in (0, 1):
        if len(words) < at + 2 or not words[at].startswith(KEY_TYPES):
            continue
        try:
            blob = binascii.a2b_base64(words[at + 1].encode("ascii"))
        except (ValueError, UnicodeEncodeError):
            return None
        kind = words[at]
        name = kind.encode()
        if blob[4 : 4 + len(name)] != name:
            return None
        digest = binascii.b2a_base64(hashlib.sha256(blob).digest(), newline=False).decode().rstrip("=")
        options = split_options(words[0]) if at else []
        shown = [option if option.startswith("from=") else option.partition("=")[0] for option in options]
        return {
            "type": kind,
            "bits": bits_of(kind, blob),
            "sha256": digest,
            "comment": line.partition(words[at + 1])[2].strip() or None,
            "options": shown,
        }
    return None


def parse_sshd(text: str) -> Dict[str, Any]:
    """The settings of `sshd -T` that decide who gets in; one that is given several times becomes one line."""
    found: Dict[str, str] = {}
    for line in text.splitlines():
        key, dummy, value = line.partition(" ")
        if key in SETTINGS and value not in ("none", ""):
            found[key] = f"{found[key]} {value}" if key in found else value
    return found


def host_keys(ctx: Context) -> List[Dict[str, Any]]:
    found = []
    for name in ctx.names_or_none("/etc/ssh"):
        if name.startswith("ssh_host_") and name.endswith("_key.pub"):
            key = parse_key((ctx.line_or_none(f"/etc/ssh/{name}")) or "")
            if key:
                del key["options"]
                found.append(key)
            else:
                ctx.unread(f"ssh.host_keys.{name}", "no public key in it")
    return found


def start(ctx: Context) -> None:
    """sshd reads its configuration while others collect."""
    program = ctx.program("sshd")
    if program and ctx.is_root:
        ctx.start([program, "-T"])


def sshd_settings(ctx: Context) -> Optional[Dict[str, Any]]:
    program = ctx.program("sshd")
    if program is None:
        ctx.unread("ssh.settings", "sshd is not installed")
        return None
    if not ctx.is_root:
        ctx.unread("ssh.settings", "needs root")
        return None
    try:
        status, output = ctx.run([program, "-T"], SSHD_SECONDS)
    except CommandError as error:
        ctx.unread_error("ssh.settings", error)
        return None
    if status != 0:
        ctx.unread("ssh.settings", f"sshd -T: exit status {status}")
        return None
    return parse_sshd(output)


def key_files(patterns: List[str], account: Account) -> List[str]:
    """AuthorizedKeysFile patterns for one user: %h home, %u name, %% percent; relative ones are below the home."""
    files = []
    for pattern in patterns:
        path = pattern.replace("%%", "\0").replace("%h", account.home).replace("%u", account.name).replace("\0", "%")
        files.append(path if path.startswith("/") else f"{account.home.rstrip('/')}/{path}")
    return files


def authorized_keys(ctx: Context, patterns: List[str]) -> List[Dict[str, Any]]:
    found = []
    readable = True
    people = [account for account in ctx.once("accounts", accounts) if account.can_log_in or account.uid == 0]
    for account in people[:HOMES_LIMIT]:
        if remote_mount(ctx, account.home):
            ctx.unread(f"ssh.authorized_keys.{account.name}", "home on a network file system: not touched")
            continue
        for path in key_files(patterns, account):
            try:
                lines = ctx.read(path).splitlines()
            except PermissionError:
                readable = False
                continue
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                ctx.unread_error(f"ssh.authorized_keys.{account.name}", error)
                continue
            lines = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
            keys = [parse_key(line) for line in lines[:KEYS_PER_USER]]
            found += [dict(key, user=account.name, file=path) for key in keys if key]
            strange = sum(1 for key in keys if not key) + len(lines[KEYS_PER_USER:])
            if strange:
                ctx.unread(f"ssh.authorized_keys.{account.name}", f"{strange} lines not read as keys")
    if not readable:
        ctx.unread("ssh.authorized_keys", "other users' homes are closed: needs root")
    return found


def collect(ctx: Context) -> Dict[str, Any]:
    settings = sshd_settings(ctx)
    patterns = (settings or {}).get("authorizedkeysfile", ".ssh/authorized_keys .ssh/authorized_keys2").split()
    return {
        "ssh": {"host_keys": host_keys(ctx), "authorized_keys": authorized_keys(ctx, patterns), "settings": settings}
    }
