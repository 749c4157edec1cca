"""What a run is started with, and nothing else: so that nothing of another town is there to be reached."""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from civicops.state import StateError, TownState, private_directory, write_durably

_KEPT = ("HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "TERM")
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_CALLBACK = "civicops.town.run"
_FORKS = 50
_CONTROL_PATH_LIMIT = 75
# A town's directory holds more than its inventory, and Ansible would read every file of it as one.
_NO_INVENTORY = (r"^calendars$", r"^waivers\.yml$", r"^warranty\.csv$")


def kept_environment(source: dict[str, str], *, ssh_agent: bool) -> dict[str, str]:
    """What of the caller's environment a run may see.

    The SSH agent may hold another town's keys, so it is handed over only where it was asked for. Proxy addresses with
    a password in them are left out: ansible-runner writes a run's environment to its artifacts.
    """
    kept = {name: source[name] for name in _KEPT if name in source}
    # Ansible refuses every locale but UTF-8, and one that is not installed: LC_ALL=C in a script, en_US over SSH.
    kept["LC_ALL"] = "C.UTF-8"
    for name in (*_PROXIES, *(proxy.upper() for proxy in _PROXIES)):
        if name in source and not _holds_password(source[name]):
            kept[name] = source[name]
    if ssh_agent and "SSH_AUTH_SOCK" in source:
        kept["SSH_AUTH_SOCK"] = source["SSH_AUTH_SOCK"]
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), source.get("PATH", os.defpath)])
    return kept


def dropped_proxies(source: dict[str, str]) -> list[str]:
    """The proxy variables that a run does not get, since a password stands in them."""
    names = [name for proxy in _PROXIES for name in (proxy, proxy.upper())]
    return [name for name in names if name in source and _holds_password(source[name])]


def _holds_password(address: str) -> bool:
    try:
        return "@" in urlsplit(address if "//" in address else f"//{address}").netloc
    except ValueError:
        return True


def run_environment(
    state: TownState,
    *,
    inventory: Path,
    run: str,
    job: str,
    source: dict[str, str],
    ssh_agent: bool = False,
    accept_new_host_keys: bool = False,
) -> dict[str, str]:
    """The whole environment of a run: the kept part, the run's identity, and Ansible's settings for this town.

    :raises StateError: the site's ansible.cfg would hand every town's vault passwords to each of them.
    """
    settings = _site_settings(site_of(inventory))
    for shared in ("vault_identity_list", "vault_password_file"):
        if settings.get(shared):
            raise StateError(
                f"{site_of(inventory) / 'ansible.cfg'}: {shared}: gives each town's run every town's vault password; "
                f"remove it and put this town's password into {state.directory('vault')}/LABEL"
            )
    ssh_config = write_ssh_config(state, inventory, accept_new=accept_new_host_keys)
    environment = kept_environment(source, ssh_agent=ssh_agent) | {
        "CIVICOPS_STATE": str(state.root.parent),
        "CIVICOPS_TOWN": state.town,
        "CIVICOPS_RUN": run,
        "CIVICOPS_JOB": job,
        "CIVICOPS_INGEST": "later",
        "ANSIBLE_CALLBACKS_ENABLED": ",".join(dict.fromkeys([*_listed(settings, "callbacks_enabled"), _CALLBACK])),
        "ANSIBLE_INVENTORY_IGNORE_REGEX": ",".join(
            dict.fromkeys([*_listed(settings, "inventory_ignore_patterns"), *_NO_INVENTORY])
        ),
        # Otherwise a mistake in the inventory leaves out the hosts after it, and the run is "done" without them.
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        "ANSIBLE_PIPELINING": "True",
        # ansible-runner turns it off unless it is said.
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_SSH_ARGS": f"-F {shlex.quote(str(ssh_config))} -C -o ControlMaster=auto -o ControlPersist=60s",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(control_directory(state)),
        "ANSIBLE_LOCAL_TEMP": str(state.directory("tmp")),
        # A run has a terminal of its own that nobody answers: ask for nothing.
        "SSH_ASKPASS": "/bin/false",
        "SSH_ASKPASS_REQUIRE": "force",
        "ANSIBLE_NOCOLOR": "True",
    }
    if accept_new_host_keys:
        environment["CIVICOPS_ACCEPT_NEW_HOST_KEYS"] = "1"  # network devices are not reached by ssh's own program
    if address := source.get("CIVICOPS_LEDGER_URL"):
        environment["CIVICOPS_LEDGER_URL"] = _ledger_address(state, address)
    if identities := vault_identities(state):
        environment["ANSIBLE_VAULT_IDENTITY_LIST"] = ",".join(identities)
    if "forks" not in settings:
        environment["ANSIBLE_FORKS"] = str(_FORKS)
    return environment


def _ledger_address(state: TownState, address: str) -> str:
    """The ledger's address, by way of a file: it may hold a password, and artifacts hold a run's environment."""
    if address.startswith("@"):
        return address
    path = state.directory() / "ledger-url"
    write_durably(path, address.encode())
    return f"@{path}"


def control_directory(state: TownState) -> Path:
    """Where the town's persistent connections have their sockets; elsewhere, where the state's path is too long.

    A socket's path has 107 bytes at most, and ssh adds a name of 10 and a suffix of 17 characters to the directory.
    """
    usual = state.root / "cp"
    if len(os.fsencode(usual)) <= _CONTROL_PATH_LIMIT:
        return state.directory("cp")
    digest = hashlib.sha256(os.fsencode(usual)).hexdigest()[:16]
    return private_directory(Path("/tmp") / f"civicops-{os.geteuid()}-{digest}")  # noqa: S108  private, and checked


def close_connections(state: TownState) -> None:
    """End the town's persistent SSH connections, and with them what a host still holds open on one."""
    for path in control_directory(state).iterdir():
        if path.is_socket():
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(
                    ["ssh", "-F", "none", "-O", "exit", "-o", f"ControlPath={path}", "town"],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=5,
                    check=False,
                )


def site_of(inventory: Path) -> Path:
    """The site that a town's directory belongs to: `SITE/inventories/TOWN`."""
    return inventory.parent.parent


def vault_identities(state: TownState) -> list[str]:
    """The town's vault identities, `LABEL@FILE`: each file in the state directory's `vault/` is one."""
    return [f"{path.name}@{path}" for path in sorted(state.directory("vault").iterdir()) if path.is_file()]


def write_ssh_config(state: TownState, inventory: Path, *, accept_new: bool) -> Path:
    """Write the town's ssh_config: its own known hosts, checked; then what the town's inventory says.

    The first value of a keyword counts in ssh_config, so the town's own file can add (a jump host, an identity, an
    address) but can't turn the checking off. `ssh -J` hands the file on, so it holds for jump hosts too.
    """
    lines = [
        "# Written anew by each civicops run. The town's own settings: inventories/TOWN/ssh.cfg",
        "Host *",
        f'  UserKnownHostsFile "{state.known_hosts}"',
        "  GlobalKnownHostsFile /dev/null",
        f"  StrictHostKeyChecking {'accept-new' if accept_new else 'yes'}",
        "  UpdateHostKeys no",
        "  HashKnownHosts no",
        "  ForwardAgent no",
        "  PermitLocalCommand no",
    ]
    own = inventory / "ssh.cfg"
    if own.is_file():
        lines.append(f'  Include "{own}"')
    # A host that vanishes in the middle of a task is noticed within a minute, not when TCP gives up.
    lines += ["  ServerAliveInterval 15", "  ServerAliveCountMax 4"]
    path = state.directory() / ("ssh_config.first-contact" if accept_new else "ssh_config")
    write_durably(path, ("\n".join(lines) + "\n").encode())
    return path


def _listed(settings: dict[str, str], name: str) -> list[str]:
    return [value.strip() for value in settings.get(name, "").split(",") if value.strip()]


def _site_settings(site: Path) -> dict[str, str]:
    """The `[defaults]` of the site's ansible.cfg, where there is one."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(site / "ansible.cfg", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return {}  # Ansible itself will say what is wrong with it
    return dict(parser["defaults"]) if parser.has_section("defaults") else {}
