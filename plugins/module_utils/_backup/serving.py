# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Making a backup server: the town's user, its certificate, and who may add to which repository."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import tempfile
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .._baseline.files import HostError, look
from .._host_info.context import COMMAND_ENVIRONMENT, clean
from .config import ConfigError, repository
from .place import Place, command
from .server_config import COPY_PASSWORDS

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
AUTHORITY_DAYS = 3650
SERVER_DAYS = 397  # what browsers and auditors take at most
RENEW = 60 * 86400  # seconds before its end


def user(place: Place, name: str) -> Tuple[int, int]:
    """A system user without a home, a shell or a password; its ids, root's where it is not made in check mode."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name):
        raise ConfigError(f"user: {name!r:.60} is no name of at most 32 small letters, digits and dashes")
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        place.touched.append(name)
        place.diffs.append({"before_header": name, "after_header": name, "before": "", "after": f"user {name}\n"})
        if place.check:
            return 0, 0
        command(
            [
                "useradd",
                "--system",
                "--user-group",
                "--home-dir",
                "/nonexistent",
                "--no-create-home",
                "--shell",
                "/usr/sbin/nologin",
                "--",
                name,
            ]
        )
        entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid


def passwords(place: Place, path: str, clients: Sequence[Dict[str, Any]], gid: int) -> bool:
    """The clients' passwords, hashed by bcrypt: written anew only where one is another, or somebody has gone."""
    found = look(path)
    lines = dict(line.split(":", 1) for line in clean(found.content).splitlines() if ":" in line) if found else {}
    wanted: Dict[str, str] = {}
    for one in clients:
        name, password = str(one["name"]), str(one["server_password"])
        fits = name in lines and _htpasswd(["-vi", path, name], password)[0] == 0
        wanted[name] = lines[name] if fits else _hashed(name, password)
    text = "".join(f"{name}:{wanted[name]}\n" for name in sorted(wanted))
    return place.file(path, text.encode(), 0o640, gid=gid, secret=True)


def second(
    place: Place, given: Optional[Dict[str, Any]], clients: Sequence[Dict[str, Any]], settings: str, kept: str
) -> Dict[str, str]:
    """What the second server wants to be reached with; what of it the server's file holds. Where there is none,
    nothing of it stays."""
    folder = f"{kept}/{COPY_PASSWORDS}"
    wanted = {str(one["name"]): str(one["server_password"]) for one in clients} if given else {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if name not in wanted:
            place.absent(f"{folder}/{name}")
    if not given:
        return {}
    authority = f"{settings}/copy.pem"
    known_authority(place, authority, given["authority"], "copy: the second server")
    place.folder(folder, 0o700)
    for name, password in wanted.items():
        repository(given["server"], given["port"], name, password)  # whether they can be used
        place.file(f"{folder}/{name}", f"{password}\n".encode(), 0o600, secret=True)
    return {"copy_to": f"{given['server']}:{given['port']}", "copy_authority": authority}


def known_authority(place: Place, path: str, text: str, who: str) -> None:
    """What a server's certificate is checked against; what is there stays where nothing is given, as it can't be
    reached. Raises HostError where nothing is known of it."""
    if text.strip():
        place.file(path, text.strip().encode() + b"\n", 0o644)
    elif not place.check and look(path) is None:
        raise HostError(f"{who} has told nothing yet of its certificate: it is not set up, or can't be reached")


def _hashed(name: str, password: str) -> str:
    status, output = _htpasswd(["-niB", name], password)
    if status or ":" not in output:
        raise HostError(f"htpasswd: exit {status}")
    return output.strip().partition(":")[2]


def _htpasswd(arguments: List[str], password: str) -> Tuple[int, str]:
    """The password goes by standard input, so that no other user can see it."""
    done = subprocess.run(
        ["htpasswd", *arguments],
        input=password.encode(),
        capture_output=True,
        env=COMMAND_ENVIRONMENT,
        timeout=30,
        check=False,
    )
    return done.returncode, clean(done.stdout)


def certificate(place: Place, folder: str, names: Sequence[str], gid: int) -> bool:
    """An authority of the town's own, made once, and a certificate by it that ends in a year; whether that is new."""
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", name):
            raise ConfigError(f"names: {name!r:.60} is no host name and no address")
    authority, key = f"{folder}/authority.pem", f"{folder}/authority.key"
    own, own_key = f"{folder}/server.pem", f"{folder}/server.key"
    text = _extensions(names)
    # What the certificate was asked for stands beside it.
    asked = look(f"{folder}/server.names")
    there = all(map(os.path.isfile, (authority, key, own, own_key)))
    if there and asked and asked.content == text.encode() and _lasts(own):
        return False
    if place.check:
        place.touched.append(own)
        return True
    with tempfile.TemporaryDirectory(prefix="civicops-certificate-") as scratch:
        if not os.path.isfile(authority) or not os.path.isfile(key):
            subject = [
                "-subj",
                "/CN=civicops.town backup authority",
                "-addext",
                "keyUsage=critical,keyCertSign,cRLSign",
            ]
            days = ["-days", str(AUTHORITY_DAYS)]
            command(
                ["openssl", "req", "-x509", *CURVE, *days, *subject, "-keyout", f"{scratch}/ak", "-out", f"{scratch}/a"]
            )
            _keep(place, f"{scratch}/ak", key, 0o600, 0)
            _keep(place, f"{scratch}/a", authority, 0o644, 0)
        with open(f"{scratch}/extensions", "w", encoding="ascii") as stream:
            stream.write(text)
        command(["openssl", "req", *CURVE, "-subj", "/CN=backup", "-keyout", f"{scratch}/k", "-out", f"{scratch}/r"])
        serial = ["-set_serial", "0x" + os.urandom(15).hex()]
        signed = [
            "-CA",
            authority,
            "-CAkey",
            key,
            *serial,
            "-days",
            str(SERVER_DAYS),
            "-extfile",
            f"{scratch}/extensions",
        ]
        command(["openssl", "x509", "-req", "-in", f"{scratch}/r", *signed, "-out", f"{scratch}/c"])
        _keep(place, f"{scratch}/k", own_key, 0o640, gid)
        _keep(place, f"{scratch}/c", own, 0o644, 0)
    place.file(f"{folder}/server.names", text.encode())
    return True


def _extensions(names: Sequence[str]) -> str:
    kinds = [f"{'IP' if re.fullmatch(r'[0-9.]+|.*:.*', name) else 'DNS'}:{name}" for name in names]
    return (
        f"subjectAltName={','.join(kinds)}\nbasicConstraints=critical,CA:FALSE\n"
        "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )


def _lasts(path: str) -> bool:
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-checkend", str(RENEW), "-in", path],
        capture_output=True,
        env=COMMAND_ENVIRONMENT,
        timeout=10,
        check=False,
    )
    return done.returncode == 0


def _keep(place: Place, source: str, path: str, mode: int, gid: int) -> None:
    with open(source, "rb") as stream:
        place.file(path, stream.read(), mode, gid=gid, secret=path.endswith(".key"))
