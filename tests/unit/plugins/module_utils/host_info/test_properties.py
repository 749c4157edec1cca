"""Whatever a host says, a parser answers and never raises, and the document stays within its limits."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_info import (
    accounts,
    bounds,
    filesystems,
    firewall,
    hardware,
    identity,
    logins,
    network,
    packages,
    processes,
    reboot,
    services,
    sockets,
    sources,
    ssh,
    sudo,
    timesync,
    updates,
)
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import Context, clean, utc
from hypothesis import example, given
from hypothesis import strategies as st

# Text that looks like what the parsers look for, mixed with what nobody expects.
TOKENS = """deb [signed-by=x] http://u:p@h/d
Package: ssh-rsa AAAAB3NzaC1yc2E = : - 0A 00000000:0016 {{ -1 / (deleted) r-xp
Inst [1] (2 Types: URIs: Suites: " ' root x MemTotal: % 99999999999999999999"""
ODD = [" - ", "\t", "Status: install ok installed", "\\\n", "\x1b[31m", "\u00b2", "\u0663", "\udcff", "\0"]
WORDS = st.sampled_from(TOKENS.split() + ODD)
TEXTS = st.lists(st.one_of(WORDS, st.text(max_size=8), st.just("\n"), st.just(" ")), max_size=60).map("".join)

PARSERS: list[Callable[[str], object]] = [
    accounts.parse_groups,
    accounts.parse_passwd,
    accounts.parse_shadow,
    accounts.password_state,
    filesystems.parse_mountinfo,
    filesystems.without_credentials,
    firewall.parse_iptables,
    firewall.parse_nft,
    hardware.bios_date,
    hardware.parse_cpuinfo,
    hardware.parse_meminfo,
    hardware.parse_smart,
    identity.parse_os_release,
    identity.version_key,
    lambda text: identity.fqdn_from_hosts(text, "web1"),
    network.parse_resolv,
    network.parse_route4,
    network.parse_route6,
    packages.parse_popularity,
    packages.parse_rpm,
    packages.source_of_rpm,
    lambda text: [packages.dpkg_row(fields) for fields in packages.parse_status(text)],
    processes.unit_of,
    reboot.deleted_files,
    reboot.kernel_build,
    services.parse_show,
    services.parse_units,
    services.when,
    sockets.scope,
    lambda text: sockets.parse_table(text, "tcp", "0A"),
    lambda text: sources.list_file(text, text),
    lambda text: sources.parse_deb822(text, "x.sources"),
    lambda text: sources.parse_one_line(text, "x.list"),
    sources.parse_release,
    lambda text: sources.parse_repo(text, "x.repo"),
    sources.release_time,
    ssh.parse_key,
    ssh.parse_sshd,
    ssh.split_options,
    sudo.parse_sudoers,
    timesync.leap_status,
    updates.parse_check_update,
    updates.parse_simulation,
    updates.parse_updateinfo,
]


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: getattr(parser, "__qualname__", "?"))
@given(text=TEXTS)
@example(text="[a]\nkey\n goes on")
def test_a_parser_never_raises(parser: Callable[[str], object], text: str) -> None:
    parser(text)


@given(st.binary(max_size=2000))
def test_binary_parsers_never_raise(data: bytes) -> None:
    network.parse_addresses(data)
    logins.parse_wtmp(data)
    logins.parse_lastlog_record(data[: logins.LASTLOG_RECORD.size])
    ssh.bits_of("ssh-rsa", data)
    clean(data).encode()


@given(st.floats())
def test_a_time_is_a_date_or_nothing(seconds: float) -> None:
    assert utc(seconds) is None or len(utc(seconds) or "") == 20


JSON_LIKE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3000), st.just("\udc80\ud800")),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=20), inner, max_size=5)),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["users", "packages", "network"]), JSON_LIKE, max_size=3))
def test_every_document_is_plain_json_within_its_limits(document: dict[str, object]) -> None:
    answer = bounds.bounded(Context(), document)
    json.dumps(answer, allow_nan=False, ensure_ascii=False).encode()  # no lone surrogate, no NaN

    def check(value: object) -> None:
        if isinstance(value, str):
            assert len(value) <= bounds.TEXT_LIMIT
            assert "\0" not in value
        elif isinstance(value, dict):
            for key, item in value.items():
                check(key)
                check(item)
        elif isinstance(value, list):
            for item in value:
                check(item)

    check(answer)


@given(TEXTS)
def test_no_credentials_in_package_sources(secret: str) -> None:
    bare = "".join(char for char in secret if char.isalnum()) + "hush"
    for found in (
        sources.parse_one_line(f"deb https://me:{bare}@pkg.example/deb stable main", "x.list"),
        sources.parse_deb822(f"Types: deb\nURIs: https://me:{bare}@pkg.example/deb\nSuites: stable\n", "x.sources"),
        sources.parse_repo(f"[r]\nbaseurl=https://me:{bare}@pkg.example/\n", "x.repo"),
    ):
        assert found
        assert "hush" not in json.dumps(found)


@given(TEXTS)
def test_no_password_hash_leaves(text: str) -> None:
    bare = "".join(char for char in text if char not in ":\n") + "hushhush"
    answer = accounts.parse_shadow(f"ann:$6$salt${bare}:19700:0:99999:7:::\nbob:!{bare}:19700:0:99999:7:::")
    assert "hush" not in json.dumps(answer)
