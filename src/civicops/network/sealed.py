"""Raw configurations, encrypted as `ansible-vault` does it: the town's vault password opens them, without us too.

Ansible's library is imported when something is encrypted or decrypted, not before.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from civicops.state import TownState
from civicops.text import printable


class SealError(Exception):
    """Something can't be encrypted or decrypted; the message says why and what to do about it."""


def remedy(state: TownState) -> str:
    """How a town gets a vault password."""
    return f"put the town's vault password into {state.root / 'vault'}/LABEL (mode 0600), or give --vault-id LABEL@FILE"


class Sealer:
    """Encrypts and decrypts with a town's vault secrets."""

    def __init__(self, secrets: Sequence[tuple[str, Any]], *, label: str | None = None, remedy: str = "") -> None:
        """
        :param secrets: labels, each with an Ansible VaultSecret: a data loader's `_vault.secrets` in a run.
        :param label: which one encrypts; the first, unless it is named. Each of them decrypts.
        :param remedy: what to do where there is none.
        :raises SealError: there is none, or none of that label.
        """
        usable = [(name, secret) for name, secret in secrets if secret.bytes]
        if not usable:
            raise SealError(f"there is no vault password to encrypt raw configurations with: {remedy or _REMEDY}")
        found = [one for one in usable if label is None or one[0] == label]
        if not found:
            there = ", ".join(name for name, _ in usable)
            raise SealError(f"there is no vault password with the label {label!r}; there are: {there}")
        self._secrets = usable
        self._label, self._secret = found[0]

    @classmethod
    def from_identities(cls, identities: Sequence[str], *, label: str | None = None, remedy: str = "") -> Sealer:
        """The same from identities `LABEL@FILE`; a file may be a program that prints the password.

        :raises SealError: one can't be read.
        """
        from ansible.errors import AnsibleError
        from ansible.parsing.dataloader import DataLoader
        from ansible.parsing.vault import get_file_vault_secret

        loader = DataLoader()
        secrets = []
        for identity in identities:
            name, at, file = identity.rpartition("@")
            if not at or not name or not Path(file).is_file():
                raise SealError(
                    f"vault identity {printable(identity, 300)!r}: give LABEL@FILE, with a file that is there"
                )
            try:
                secret = get_file_vault_secret(filename=file, vault_id=name, loader=loader)
                secret.load()
            except AnsibleError as error:
                raise SealError(f"vault identity {name}: {printable(error, 300)}") from error
            secrets.append((name, secret))
        return cls(secrets, label=label, remedy=remedy)

    def seal(self, content: bytes) -> bytes:
        """Encrypt; a new salt each time, whatever Ansible is set to."""
        from ansible.errors import AnsibleError
        from ansible.parsing.vault import VaultLib

        try:
            vault = VaultLib(self._secrets)
            return bytes(vault.encrypt(content, self._secret, vault_id=self._label, salt=os.urandom(32)))
        except AnsibleError as error:
            raise SealError(printable(error, 300)) from error

    def open(self, sealed: bytes) -> bytes:
        """Decrypt.

        :raises SealError: no secret fits, or it is damaged.
        """
        from ansible.errors import AnsibleError
        from ansible.parsing.vault import VaultLib

        try:
            return bytes(VaultLib(self._secrets).decrypt(sealed))
        except (AnsibleError, ValueError, IndexError) as error:
            told = printable(error, 300) if isinstance(error, AnsibleError) else "it is damaged"
            raise SealError(f"it does not decrypt: {told}") from error


_REMEDY = "put the town's into the state directory, TOWN/vault/LABEL (mode 0600), or give --vault-id LABEL@FILE"
