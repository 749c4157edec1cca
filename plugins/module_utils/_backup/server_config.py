# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""One town's backup server, as the role has written it: the file that its programs read."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Tuple

COPY_PASSWORDS = "copy"


@dataclass(frozen=True)
class Client:
    """One host whose backups lie here."""

    name: str
    late_after: float  # seconds from its newest snapshot


@dataclass(frozen=True)
class Server:
    """What a town's server keeps, and where."""

    town: str
    user: str
    root: str
    state: str
    secrets: str
    certificate: str
    keep_within: str
    clients: Tuple[Client, ...]
    prune_late: str = ""  # seconds after which a pruning is overdue
    copy_to: str = ""  # host:port of the server that has a second copy
    copy_authority: str = ""

    @classmethod
    def read(cls, path: str) -> Server:
        """From its file. Raises OSError, ValueError."""
        with open(path, encoding="utf-8") as stream:
            values = json.load(stream)
        clients = tuple(Client(str(one["name"]), float(one["late_after"])) for one in values.pop("clients"))
        return cls(clients=clients, **{name: str(values[name]) for name in cls.__dataclass_fields__ if name in values})

    def repository(self, client: Client) -> str:
        """The directory of a host's repository."""
        return os.path.join(self.root, client.name)

    def busy(self, client: Client) -> str:
        """The lock of who copies a host's repository, or prunes it: the other lets it be."""
        return os.path.join(self.state, f"busy-{client.name}")

    def password(self, client: Client) -> str:
        """What a host's repository is encrypted with. Raises OSError."""
        return _line(os.path.join(self.secrets, client.name))

    def copy_password(self, client: Client) -> str:
        """What lets us add to a host's repository on the second server. Raises OSError."""
        return _line(os.path.join(self.state, COPY_PASSWORDS, client.name))


def _line(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read().strip()
