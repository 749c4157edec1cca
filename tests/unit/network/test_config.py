"""Whole or nothing, the same text for the same configuration, what is on, and what a change touched."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civicops.network.changes import FACTS, MOST_NAMES, Changes, changes
from civicops.network.config import body, kept_text, normalise, signs, why_partial
from civicops.network.platform import Sign, platforms
from civicops.network.redact import fingerprinter

P = platforms()
IOS, JUNOS, FORTI, ROS = P["cisco_ios"], P["juniper_junos"], P["fortinet"], P["mikrotik_routeros"]
FINGERPRINT = fingerprinter(b"a town's key")
WHOLE = "Building configuration...\n\nCurrent configuration : 99 bytes\n!\nversion 17.9\nhostname sw1\n!\nend\n\n"
BRACES = "## Last commit: x\nversion 22.4;\nsystem {\n    services {\n        ssh;\n    }\n}\n"


def test_the_body_begins_where_the_configuration_does() -> None:
    assert body(IOS, WHOLE.replace("\n", "\r\n")) == "!\nversion 17.9\nhostname sw1\n!\nend\n"
    assert body(IOS, "hello\nworld") == ""
    assert body(IOS, "") == ""


PARTIAL = [
    (IOS, WHOLE, None),
    (IOS, WHOLE.replace("\n", "\r\n"), None),
    (IOS, "", "it is empty"),
    (IOS, " \r\n\n \n", "it is empty"),
    (IOS, WHOLE.replace("end\n", ""), "its end marker is missing"),
    (IOS, WHOLE + "sw1(config)", "its end marker is missing"),
    (IOS, WHOLE[: len(WHOLE) // 2], "its beginning is missing"),
    (IOS, "hostname sw1\nend", "its beginning is missing"),
    (IOS, "% Invalid input detected at '^' marker.", "the device refused the command"),
    (IOS, "show run\n       ^\n% Invalid input", "the device refused the command"),
    (IOS, WHOLE + "% Authorization failed.", "the device refused the command"),
    (IOS, WHOLE.replace("hostname", " --More-- \nhostname"), "what the pager shows between two pages stands in it"),
    (IOS, WHOLE.replace("hostname", "--More--\nhostname"), "what the pager shows between two pages stands in it"),
    (IOS, WHOLE.replace("sw1", "sw\x1b[2J1"), "it holds control characters"),
    (IOS, WHOLE.replace("sw1", "sw1\x00"), "it holds control characters"),
    (IOS, WHOLE.replace("sw1", "sw1\nbanner motd \x03hello\x03"), None),
    (JUNOS, BRACES, None),
    (JUNOS, BRACES.removesuffix("}\n"), "1 of its braces are not closed"),
    (JUNOS, BRACES + "}\n", "it closes more braces than it opens"),
    (JUNOS, BRACES.replace("ssh;", "password x; ## {"), None),
    (FORTI, "#config-version=X\nconfig system global\n    set a b\nend\n", None),
    (FORTI, "#config-version=X\nconfig system global\n    set a b\n", "its end marker is missing"),
    (ROS, "# 2024-10-25 by RouterOS 7.10.1\n/ip ssh\nset a=b", None),
    (ROS, "expected end of command (line 1 column 9)", "the device refused the command"),
    (P["hp_comware"], "#\n version 7.1\n#\nreturn", None),
    (
        P["hp_comware"],
        "#\n version 7.1\n---- More ----\n#\nreturn",
        "what the pager shows between two pages stands in it",
    ),
]


@pytest.mark.parametrize(("platform", "text", "why"), PARTIAL)
def test_whole_or_nothing(platform: object, text: str, why: str | None) -> None:
    assert why_partial(platform, text) == why  # type: ignore[arg-type]


def test_no_reason_holds_what_the_device_said() -> None:
    for text in ("version 1\nenable secret Tr0ub4dor", "% Tr0ub4dor", "enable secret Tr0ub4dor\x1b"):
        assert "Tr0ub4dor" not in (why_partial(IOS, text) or "")


@settings(max_examples=50, deadline=None)
@given(cut=st.integers(1, len(WHOLE) - 6))
def test_no_part_of_it_is_whole(cut: int) -> None:
    assert why_partial(IOS, WHOLE[:cut])


def test_normalised() -> None:
    text = (
        "Building configuration...\r\nhostname a  \r\n\r\n\r\nntp clock-period 17180152\r\n"
        "! Last configuration change at 1\r\nend\r\n\r\n"
    )
    assert normalise(IOS, text) == "hostname a\n\nend\n"
    assert normalise(IOS, "") == ""
    text = "config firewall internet-service-name\n    edit 1\n    next\nend\nconfig x\nend\n#conf_file_ver=1"
    assert normalise(FORTI, text) == "config x\nend\n"
    # A block without an end is none
    assert normalise(FORTI, "config x\nend\nconfig firewall internet-service-name\n a") == (
        "config x\nend\nconfig firewall internet-service-name\n a\n"
    )
    assert normalise(FORTI, "set password ENC abcdefgh") == normalise(FORTI, "set password ENC ijklmnop")
    assert normalise(IOS, "banner motd \x03hi\x03") == "banner motd ^Chi^C\n"


def test_what_git_gets() -> None:
    answers = {
        "show running-config": WHOLE.replace("hostname", "enable secret 9 Tr0ub4dor\nhostname"),
        "show inventory": 'NAME: "Switch 1"\nPID: X, SN: JAE1\n\n\nSN: Tr0ub4dor\n',
        "show interfaces": "Vlan1 is up",
    }
    mark = FINGERPRINT("Tr0ub4dor")
    assert kept_text(IOS, answers, FINGERPRINT) == (
        f'! NAME: "Switch 1"\n! PID: X, SN: JAE1\n!\n! SN: <secret {mark}>\n!\n'
        f"!\nversion 17.9\nenable secret 9 <secret {mark}>\nhostname sw1\n!\nend\n"
    )
    assert "/export" not in answers
    kept = kept_text(ROS, {"/export": "# jan/02/2024 by RouterOS 6.49\n/ip ssh\nset a=\\\n    b"}, FINGERPRINT)
    assert kept == "/ip ssh\nset a=b\n"


SIGNS: list[tuple[str, str, dict[Sign, bool | None]]] = [
    ("cisco_ios", "line vty 0 4\n transport input ssh", {"telnet": False}),
    ("cisco_ios", "line vty 0 4\n transport input telnet ssh", {"telnet": True}),
    (
        "cisco_ios",
        " transport input all\nip http server\nip http secure-server",
        {"telnet": True, "http": True, "https": True},
    ),
    ("cisco_ios", "no ip http server", {"http": False}),
    (
        "cisco_ios",
        "snmp-server community private RW\nntp server 10.0.0.1\nlogging host 10.0.0.2",
        {"default_community": True, "time": True, "log": True},
    ),
    (
        "cisco_ios",
        "snmp-server community publicity RO\nlogging buffered 4096",
        {"default_community": False, "log": False},
    ),
    (
        "aruba_procurve",
        "; J9 Configuration Editor; x\nhostname a",
        {"telnet": True, "http": True, "https": False, "time": False},
    ),
    (
        "aruba_procurve",
        "no telnet-server\nno web-management\nweb-management ssl\nsntp server priority 1 10.0.0.1\nlogging 10.0.0.1",
        {"telnet": False, "http": False, "https": True, "time": True, "log": True},
    ),
    ("aruba_procurve", 'snmp-server community "public" unrestricted', {"default_community": True}),
    (
        "juniper_junos",
        "system {\n    services {\n        telnet;\n        web-management {\n            http;\n        }",
        {"telnet": True, "http": True, "https": False},
    ),
    ("juniper_junos", "                        telnet;\n", {"telnet": False}),
    (
        "fortinet",
        "        set allowaccess ping telnet https\n",
        {"telnet": True, "http": False, "https": True, "time": True},
    ),
    ("fortinet", "    set ntpsync disable\n", {"time": False}),
    (
        "mikrotik_routeros",
        "/ip service\nset telnet disabled=yes\nset www address=10.0.0.0/8 disabled=yes",
        {"telnet": False, "http": False},
    ),
    (
        "hp_comware",
        " telnet server enable\n ip http enable\n info-center loghost 10.0.0.1",
        {"telnet": True, "http": True, "log": True},
    ),
    ("dell_os6", "", {"telnet": True, "http": True, "https": False}),
    ("frr", "hostname a", {"telnet": None, "http": None, "default_community": None, "log": False}),
]


@pytest.mark.parametrize(("name", "text", "expected"), SIGNS)
def test_signs(name: str, text: str, expected: dict[Sign, bool | None]) -> None:
    found = signs(P[name], text)
    assert list(found) == ["telnet", "http", "https", "default_community", "time", "log"]
    assert {sign: value for sign, value in found.items() if sign in expected} == expected


BEFORE = (
    "version 1\nusername a secret x\ninterface Gi1/0/1\n description a\n shutdown\n"
    "interface Gi1/0/2\n description b\nend\n"
)


def test_nothing_changed() -> None:
    same = changes(IOS, BEFORE, BEFORE)
    assert not same
    assert same.words() == "nothing changed"


def test_a_change_is_told_by_where_it_stands() -> None:
    after = BEFORE.replace(" description b", " description c\n switchport access vlan 7").replace(
        "secret x", "secret y"
    )
    found = changes(IOS, BEFORE, after)
    assert (found.added, found.removed) == (3, 2)
    assert found.words() == "users, interface Gi1/0/2, VLANs: 3 lines more, 2 fewer"


def test_the_same_line_in_another_section_is_a_change() -> None:
    after = BEFORE.replace(" shutdown\n", "").replace(" description b\n", " description b\n shutdown\n")
    assert changes(IOS, BEFORE, after).words() == "interface Gi1/0/2, interface Gi1/0/1: 1 line more, 1 fewer"


def test_lines_in_another_order_are_a_change() -> None:
    after = BEFORE.replace(" description a\n shutdown\n", " shutdown\n description a\n")
    assert changes(IOS, BEFORE, after).words() == "the same lines in another order"


def test_the_first_text_is_all_new() -> None:
    assert changes(IOS, "", BEFORE).added == BEFORE.count("\n")
    assert changes(IOS, BEFORE, "").removed == BEFORE.count("\n")


def test_what_a_device_is_has_a_name_too() -> None:
    assert changes(IOS, "! SN: 1\n!\n", "! SN: 2\n!\n").words() == f"{FACTS}: 1 line more, 1 fewer"


def test_sections_of_other_kinds() -> None:
    old = 'config system interface\n    edit "wan1"\n        set mtu 1\n    next\nend\n'
    assert changes(FORTI, old, old.replace("mtu 1", "mtu 2")).touched == ('system interface "wan1"',)
    old = "interfaces {\n    ge-0/0/0 {\n        unit 0 {\n            mtu 1;\n        }\n    }\n}\n"
    assert changes(JUNOS, old, old.replace("mtu 1", "mtu 2")).touched == ("interfaces ge-0/0/0",)
    old = "/ip address\nadd address=10.0.0.1\n/ip dns\nset a=1\n"
    assert changes(ROS, old, old.replace("a=1", "a=2")).touched == ("/ip dns",)
    old = "interface 0/1\ndescription a\nexit\nlogging host 1\n"
    assert changes(P["ubiquiti_edgeswitch"], old, old.replace("host 1", "host 2")).touched == ("management",)


def test_the_words_are_short_and_steer_no_terminal() -> None:
    hostile = "".join(f"interface \x1b[2J\u202e{n}{'x' * 5000}\n shutdown\n" for n in range(50))
    words = changes(IOS, "", hostile).words()
    assert len(words) < 600
    assert words.isprintable()
    assert words.endswith(f", {50 - MOST_NAMES} more: 100 lines more, 0 fewer")


plain = st.lists(
    st.sampled_from(["hostname a", "vlan 7", " name x", "interface Vlan7", "!", " shutdown", "end"]), max_size=30
)


@settings(max_examples=100, deadline=None)
@given(old=plain, new=plain)
def test_the_counts_add_up(old: list[str], new: list[str]) -> None:
    before, after = "".join(f"{line}\n" for line in old), "".join(f"{line}\n" for line in new)
    found = changes(IOS, before, after)
    assert found.added - found.removed == len(new) - len(old)
    assert bool(found) == (before != after)
    back = changes(IOS, after, before)
    assert (back.added, back.removed, set(back.touched)) == (found.removed, found.added, set(found.touched))


@settings(max_examples=50, deadline=None)
@given(clock=st.integers(0, 10**9), size=st.integers(0, 10**6), user=st.text("abcdefgh", min_size=1))
def test_a_clock_and_a_counter_change_nothing(clock: int, size: int, user: str) -> None:
    text = WHOLE.replace("99 bytes", f"{size} bytes").replace(
        "version", f"! Last configuration change at {clock} by {user}\nntp clock-period {clock}\nversion"
    )
    assert kept_text(IOS, {"show running-config": text}, FINGERPRINT) == kept_text(
        IOS, {"show running-config": WHOLE}, FINGERPRINT
    )


def test_no_change_is_no_change() -> None:
    assert not Changes()
    assert Changes(1, 0).words() == "1 line more, 0 fewer"


POLICY = (
    "config firewall policy\n    edit 1\n        set comments {comment}\n        set action {action}\n    next\nend\n"
)


@pytest.mark.parametrize(
    "comment",
    [
        '"ENC accept ENC deny"',
        '"-----BEGIN PRIVATE KEY-----"',
        '"-----BEGIN PRIVATE KEY-----\nMIIE"',
        '"\nconfig firewall internet-service-name\n"',
    ],
)
def test_nothing_that_somebody_has_written_hides_a_change(comment: str) -> None:
    first, second = (
        kept_text(
            FORTI,
            {FORTI.running.command: "#config-version=x\n" + POLICY.format(comment=comment, action=action)},
            FINGERPRINT,
        )
        for action in ("accept", "deny")
    )
    assert first != second


def test_a_name_hides_no_change() -> None:
    first, second = (
        kept_text(IOS, {"show running-config": f"version 17.9\nip prefix-list ENC {what}\nend\n"}, FINGERPRINT)
        for what in ("permit", "deny")
    )
    assert first != second


def test_a_key_that_is_encrypted_anew_is_no_change() -> None:
    form = 'set private-key "-----BEGIN ENCRYPTED PRIVATE KEY-----\n{}\n-----END ENCRYPTED PRIVATE KEY-----"\nend\n'
    first, second = (
        kept_text(FORTI, {FORTI.running.command: f"#config-version=x\n{form.format(key)}"}, FINGERPRINT)
        for key in ("MIIabc+/=", "MIIxyz==")
    )
    assert first == second


def test_a_password_that_looks_like_a_placeholder_is_another_one() -> None:
    def kept(password: str) -> str:
        return kept_text(
            IOS, {"show running-config": f"version 17\nusername a secret 0 {password}\nend\n"}, FINGERPRINT
        )

    assert kept(f"<secret {FINGERPRINT('Tr0ub4dor')}>") != kept("Tr0ub4dor")
    assert kept("<secret>") != kept("Tr0ub4dor")
