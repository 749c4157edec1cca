"""Raw configurations are encrypted as ansible-vault does it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.parsing.vault import VaultSecret
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.network.kept import new

from civicops.network.sealed import Sealer, SealError
from civicops.network.store import Store, StoreError
from civicops.state import TownState

VAULT = str(Path(sys.executable).with_name("ansible-vault"))


def password(folder: Path, label: str, text: str = "") -> str:
    """An identity, LABEL@FILE."""
    file = folder / label
    file.write_text(text or f"password of {label}\n")
    file.chmod(0o600)
    return f"{label}@{file}"


@pytest.mark.parametrize("label", ["riverton", "default"])
def test_ansible_vault_opens_it_without_us(tmp_path: Path, label: str) -> None:
    identity = password(tmp_path, label)
    content = b"hostname core\nusername admin secret s3cr3t\nend\n"
    file = tmp_path / "sealed"
    file.write_bytes(Sealer.from_identities([identity]).seal(content))
    assert b"s3cr3t" not in file.read_bytes()
    done = subprocess.run(
        [VAULT, "view", "--vault-id", identity, str(file)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "PAGER": "cat"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.rstrip(b"\n") == content.rstrip(b"\n")
    done = subprocess.run(
        [VAULT, "decrypt", "--vault-id", identity, "--output", str(tmp_path / "opened"), str(file)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=True,
    )
    assert (tmp_path / "opened").read_bytes() == content


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=2000))
def test_every_content_comes_back(content: bytes) -> None:
    sealer = Sealer([("a", VaultSecret(b"password"))])
    sealed = sealer.seal(content)
    assert sealer.open(sealed) == content
    assert sealer.seal(content) != sealed


def test_a_fixed_salt_in_ansibles_settings_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_VAULT_ENCRYPT_SALT", "salt")
    sealer = Sealer([("a", VaultSecret(b"password"))])
    assert sealer.seal(b"content") != sealer.seal(b"content")


def test_the_first_secret_encrypts_and_each_decrypts(tmp_path: Path) -> None:
    old, current = password(tmp_path, "old"), password(tmp_path, "current")
    sealed = Sealer.from_identities([old]).seal(b"content")
    both = Sealer.from_identities([current, old])
    assert both.open(sealed) == b"content"
    assert both.seal(b"x").startswith(b"$ANSIBLE_VAULT;1.2;AES256;current\n")
    named = Sealer.from_identities([current, old], label="old")
    assert named.seal(b"x").startswith(b"$ANSIBLE_VAULT;1.2;AES256;old\n")
    with pytest.raises(SealError, match="no vault password with the label 'new'; there are: current, old"):
        Sealer.from_identities([current, old], label="new")


def test_a_program_may_tell_the_password(tmp_path: Path) -> None:
    program = tmp_path / "ask"
    program.write_text("#!/bin/sh\necho password of told\n")
    program.chmod(0o700)
    sealed = Sealer.from_identities([f"told@{program}"]).seal(b"content")
    assert Sealer.from_identities([password(tmp_path, "told")]).open(sealed) == b"content"
    program.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(SealError, match=r"vault identity told: .*returned non-zero"):
        Sealer.from_identities([f"told@{program}"])


def test_without_a_password_the_remedy_is_told() -> None:
    for secrets in ([], [("a", VaultSecret(b""))], [("a", VaultSecret(None))]):
        with pytest.raises(SealError, match=r"there is no vault password .*TOWN/vault/LABEL .* --vault-id LABEL@FILE"):
            Sealer(secrets)
    with pytest.raises(SealError, match="do this"):
        Sealer.from_identities([], remedy="do this")


@pytest.mark.parametrize("identity", ["", "x", "@/etc/hostname", "a@", "a@/nowhere", "a@/etc", "a@prompt"])
def test_identities_that_are_none(identity: str) -> None:
    with pytest.raises(SealError, match="give LABEL@FILE"):
        Sealer.from_identities([identity])


def test_an_empty_password_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="vault identity a: "):
        Sealer.from_identities([password(tmp_path, "a", "\n")])


def test_what_does_not_decrypt_is_told(tmp_path: Path) -> None:
    sealer = Sealer.from_identities([password(tmp_path, "a")])
    sealed = sealer.seal(b"content")
    other = Sealer.from_identities([password(tmp_path, "b")])
    with pytest.raises(SealError, match=r"it does not decrypt: .*no vault secrets were found that could decrypt"):
        other.open(sealed)
    for damaged in (
        b"",
        b"hostname core\n",
        b"$ANSIBLE_VAULT",
        b"$ANSIBLE_VAULT;1.2\n",
        b"$ANSIBLE_VAULT;1.1;AES256\nzz",
    ):
        with pytest.raises(SealError, match="it does not decrypt"):
            sealer.open(damaged)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damage_is_always_found(data: st.DataObject) -> None:
    sealer = Sealer([("a", VaultSecret(b"password"))])
    sealed = bytearray(sealer.seal(b"content" * 20))
    first = sealed.index(b"\n") + 1
    at = data.draw(st.integers(first, len(sealed) - 2).filter(lambda place: sealed[place] != 0x0A))
    if data.draw(st.booleans()):
        del sealed[at:]
    else:
        sealed[at] = data.draw(st.integers(0x30, 0x7A).filter(lambda value: chr(value).lower() != chr(sealed[at])))
    with pytest.raises(SealError):
        sealer.open(bytes(sealed))


def test_what_is_encrypted_already_is_refused() -> None:
    sealer = Sealer([("a", VaultSecret(b"password"))])
    with pytest.raises(SealError, match="already encrypted"):
        sealer.seal(sealer.seal(b"content"))


def test_no_password_is_shown(tmp_path: Path) -> None:
    sealer = Sealer.from_identities([password(tmp_path, "a")])
    assert "password of a" not in repr(sealer) + repr(vars(sealer))


def test_a_password_that_does_not_open_what_is_kept_keeps_nothing(state: TownState) -> None:
    right, wrong = (Sealer([("riverton", VaultSecret(word))]) for word in (b"right", b"wrong"))
    store = Store(state, right.seal)
    store.refuse_another_seal(wrong.open)  # nothing is kept yet
    store.keep([new("sw1")], run="r")
    Store(state, right.seal).refuse_another_seal(right.open)
    with pytest.raises(StoreError, match="is not the one that"):
        Store(state, wrong.seal).refuse_another_seal(wrong.open)
    both = Sealer([("riverton", VaultSecret(b"wrong")), ("old", VaultSecret(b"right"))])
    Store(state, both.seal).refuse_another_seal(both.open)
