"""Secrets out of configurations: no form in which a vendor writes one lets it through, and nothing else is lost."""

from __future__ import annotations

import re
import string
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from civicops.network.common import WORDS
from civicops.network.config import kept_text, normalise
from civicops.network.platform import Platform, platforms
from civicops.network.redact import LONGEST_LINE, fingerprinter, redact, redact_all

FINGERPRINT = fingerprinter(b"a town's key")
FORMS: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("lines.yml").read_text(encoding="utf-8"))
PLACEHOLDER = re.compile("<secret(?: [0-9a-f]{12})?>")
ANY = sorted(platforms())
IOS = platforms()["cisco_ios"]

hexadecimal = st.text("0123456789ABCDEF", min_size=6, max_size=40)
base64 = st.text(string.ascii_letters + string.digits + "+/=", min_size=6, max_size=60)
words = st.text(string.ascii_lowercase, min_size=6, max_size=12)
crypt = st.builds("${}${}${}".format, st.sampled_from("1569"), st.text(string.ascii_letters, min_size=4), base64)
marks = st.text(string.ascii_letters + "!#$%&()*+-./:<=>?@[]^_{|}~", min_size=6, max_size=30)
foreign = st.text("äöüßéλжш中☃", min_size=6, max_size=20)
secrets = st.one_of(hexadecimal, base64, words, crypt, marks, foreign)


def redacted(text: str, platform: Platform = IOS) -> str:
    return redact(platform, text, FINGERPRINT)


def test_every_platform_has_forms() -> None:
    assert sorted(FORMS) == ANY


@pytest.mark.parametrize(("name", "form"), [(name, form) for name, forms in FORMS.items() for form in forms])
def test_a_form_keeps_all_but_the_secret(name: str, form: str) -> None:
    text = re.sub(r"\bS\b", "Xq7Lw2ZpR9", form)
    text = re.sub(r"\bT\b", "Yk3Mv8BnQ1", text)
    shown = PLACEHOLDER.sub("*", redacted(text, platforms()[name])).replace('"*"', "*")
    assert shown == re.sub(r"\b[ST]\b", "*", form).replace('"*"', "*")


@pytest.mark.parametrize("name", ANY)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(data=st.data())
def test_no_secret_survives(name: str, data: st.DataObject) -> None:
    platform = platforms()[name]
    forms = data.draw(
        st.lists(st.sampled_from([form for form in FORMS[name] if re.search(r"\bS\b", form)]), min_size=1, max_size=5)
    )
    found = data.draw(st.lists(secrets, min_size=2, max_size=2, unique=True))
    fixed = "\n".join(FORMS[name]) + " secret"
    for secret in found:
        assume(secret.lower() not in WORDS)
        assume(secret.lower() not in fixed.lower() and not re.search(re.escape(secret), "0123456789abcdef"))
        # One of punctuation alone is replaced where a rule finds it, and looked for nowhere else
        assume(re.search(r"[^\s\"'`=,;:@/()\[\]{}<>|\\]", secret) and not PLACEHOLDER.search(secret))
        assume(not any(other != secret and other in secret for other in found))
    lines = [
        re.sub(r"\bT\b", lambda _: found[1], re.sub(r"\bS\b", lambda _: "\0", form)).replace("\0", found[0])
        for form in forms
    ]
    text = "\n".join([*lines, f"! seen as {found[0]} elsewhere"])
    once = redacted(text, platform)
    assert found[0] not in once
    if any("T" in form.split() or '"T"' in form for form in forms):
        assert found[1] not in once
    assert redacted(once, platform) == once
    assert len(once.split("\n")) == len(text.split("\n"))


@pytest.mark.parametrize("name", ANY)
@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=300))
def test_any_text_twice_is_once(name: str, text: str) -> None:
    platform = platforms()[name]
    once = redacted(text, platform)
    assert redacted(once, platform) == once
    tidy = normalise(platform, once)
    assert normalise(platform, tidy) == tidy


vocabulary = st.sampled_from(
    [
        "password",
        "secret",
        "key",
        "community",
        "7",
        "0",
        "encrypted",
        "snmp-server",
        "username",
        "md5",
        "auth",
        '"',
        "'",
        ";",
        "set",
        "ENC",
        "public",
        "$9$abc$def",
        "scp://a:b@c",
        "<secret>",
        "<secret 0123456789ab>",
        "host",
        "version",
        "2c",
        "\ue000",
        "\ue001",
        "hunter22",
        "a b",
        "=",
        " ",
        "{",
        "}",
        "name",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "\\",
        "\n",
        "## SECRET-DATA",
        "config system snmp community",
        "end",
        "neighbor",
    ]
)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(ANY), parts=st.lists(vocabulary, max_size=40), glue=st.sampled_from([" ", ""]))
def test_hostile_text_twice_is_once(name: str, parts: list[str], glue: str) -> None:
    platform = platforms()[name]
    once = redacted(glue.join(parts), platform)
    assert redacted(once, platform) == once


CASES: list[tuple[str, str, list[str], list[str]]] = [
    # what it is about, the text, what must be gone, what must have stayed
    (
        "a quoted one with blanks",
        'username a password "two words here"',
        ["two words", "here"],
        ["username a password"],
    ),
    ("a quote in it", "enable password xy\"cd'gh", ["xy", "cd", "gh"], ["enable password"]),
    ("a quote that is not closed", 'enable password "abc def ghi', ["abc", "def", "ghi"], ["enable password"]),
    ("an escaped quote", r'username a password "ab\" cd" role x', ["ab", "cd"], ["username a password", "role x"]),
    ("signs of expressions", "enable password .*(a+)+$[x", [".*(a+)+$[x"], ["enable password"]),
    ("letters of the world", "enable password пароль漢字", ["пароль"], ["enable password"]),
    ("a known community", "snmp-server community public RO", ["public"], ["snmp-server community", "RO"]),
    ("a secret called password", "username a password 0 password", [" 0 password"], ["username a password 0 <"]),
    (
        "one in a description",
        "enable secret 9 Tr0ub4dor\ninterface Vlan1\n description ask Bob (Tr0ub4dor), or: Tr0ub4dor.",
        ["Tr0ub4dor"],
        ["interface Vlan1", "description ask Bob (<", ">), or: <"],
    ),
    ("only whole words", "enable secret 9 town\nhostname townhall\n name town", [" town\n"], ["hostname townhall"]),
    ("a word of the command language", "enable secret 9 vlan\nvlan 7\n name vlan", ["9 vlan"], ["vlan 7"]),
    (
        "the same one, quoted and not",
        'snmp-server community "c0mmun1ty" RO\nsnmp-server host 10.0.0.1 c0mmun1ty\n x "c0mmun1ty"',
        ["c0mmun1ty"],
        ["snmp-server host 10.0.0.1 <"],
    ),
    (
        "a private key",
        "x\n-----BEGIN RSA PRIVATE KEY-----\nMIIabc\nMIIdef\n-----END RSA PRIVATE KEY-----\ny",
        ["MII", "PRIVATE"],
        ["x\n<secret ", "\ny"],
    ),
    ("a private key without an end", "x\n-----BEGIN PRIVATE KEY-----\nMIIabc\ny", ["MII", "y"], ["x\n"]),
    (
        "a private key in a line",
        "set k -----BEGIN PRIVATE KEY-----abc-----END PRIVATE KEY----- z",
        ["abc"],
        ["set k <", " z"],
    ),
    ("a URL", "copy ftp://bob:s3cr:et@w@10.0.0.1/x flash:", ["s3cr", "et@w"], ["ftp://bob:<", "@10.0.0.1/x"]),
    ("none at all", 'username a password ""', [], ['username a password ""']),
    ("Comware's own", "x $c$3$abcdefgh/= y $h$6$ijkl$mnop z", ["abcdefgh", "mnop"], ["x <", "> y <", "> z"]),
    ("JSON", '{"password": "s3cret", "a": 1}', ["s3cret"], ['{"password": "<', '"a": 1}']),
    ("XML", "<password>s3cret</password>", ["s3cret"], ["<password><"]),
    ("marks in a URL", "x ftp://bob:a'b\"c<d@10.0.0.1/x y", ["a'b", "c<d"], ["ftp://bob:<", "@10.0.0.1/x y"]),
    ("a URL in quotes", 'x "ftp://bob:abcdef@10.0.0.1/" "u@v"', ["abcdef"], ['"ftp://bob:<', '@10.0.0.1/" "u@v"']),
    ("a URL without a user", "x redis://:abcdef@10.0.0.1/0", ["abcdef"], ["redis://:<", "@10.0.0.1/0"]),
    ("a URL without a password", "copy ftp://10.0.0.1:2121/x", [], ["ftp://10.0.0.1:2121/x"]),
    (
        "BGP communities stay",
        " set community 65000:120 additive\n send-community both",
        [],
        ["65000:120 additive", "both"],
    ),
    (
        "policies stay",
        "service password-encryption\nip ssh password-auth\nsecurity passwords min-length 8",
        [],
        ["service password-encryption", "password-auth", "passwords min-length 8"],
    ),
    ("keys of a chain stay", "key chain x\n key 1\n  key-string abcdefgh", ["abcdefgh"], ["key chain x", " key 1\n"]),
    (
        "a placeholder that was there",
        "enable secret 9 <secret 0123456789ab>",
        [],
        ["enable secret 9 <secret 0123456789ab>"],
    ),
    (
        "version 3 needs no community",
        "snmp-server host 10.0.0.1 vrf M informs version 3 auth bob bfd",
        [],
        ["informs version 3 auth bob bfd"],
    ),
]


@pytest.mark.parametrize(("text", "gone", "stays"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_case(text: str, gone: list[str], stays: list[str]) -> None:
    once = redacted(text)
    left = PLACEHOLDER.sub("", once)
    assert [part for part in gone if part in left] == []
    assert [part for part in stays if part not in once] == []
    assert redacted(once) == once


def test_only_the_section_says_what_a_name_is() -> None:
    fortinet, mikrotik = platforms()["fortinet"], platforms()["mikrotik_routeros"]
    text = 'config system snmp community\n    edit 1\n        set name "t0wn"\nend\n'
    text += 'config x\n        set name "office"\nend'
    assert "t0wn" not in redacted(text, fortinet)
    assert 'set name "office"' in redacted(text, fortinet)
    text = (
        "/snmp community\nset [ find default=yes ] addresses=10.0.0.0/8 name=t0wn\n/interface bridge\nadd name=office"
    )
    assert "t0wn" not in redacted(text, mikrotik)
    assert "addresses=10.0.0.0/8" in redacted(text, mikrotik)
    assert "name=office" in redacted(text, mikrotik)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cisco_ios", "username anna password 0 hunter2 hunter3"),
        ("cisco_ios", "enable password hunter2 hunter3"),
        ("cisco_ios", "key chain x\n key 1\n  key-string 0 hunter2 hunter3"),
        ("cisco_s300", "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nhunter2\n---- END SSH2 PRIVATE KEY ----\nexit"),
        ("cisco_ios", "-----BEGIN PGP PRIVATE KEY BLOCK-----\nhunter2\n-----END PGP PRIVATE KEY BLOCK-----\nend"),
        ("ubiquiti_edgerouter", '    key "hunter2 hunter3"'),
        ("mikrotik_routeros", "/container envs\nadd key=TOKEN name=db value=hunter2"),
        ("vyos", 'environment TOKEN {\n    value "hunter2"\n}'),
        ("fortinet", 'config http-headers\n    edit 1\n        set value "Bearer hunter2"\n    next\nend'),
        ("cisco_ios", f" set session-key inbound esp 256 cipher {'a2' * 12} authenticator {'b3' * 12}"),
    ],
)
def test_what_stands_in_more_than_one_word_or_line(name: str, text: str) -> None:
    shown = redacted(text, platforms()[name])
    assert not re.search(r"hunter\d|a2a2|b3b3", shown)
    last = text.split("\n")[-1]
    assert "hunter" in last or "a2a2" in last or shown.split("\n")[-1] == last


def test_a_secret_that_is_encrypted_anew_has_no_fingerprint() -> None:
    fortinet = platforms()["fortinet"]
    shown = {redacted(f"        set password ENC {new}", fortinet) for new in ("QUJDREVGRw==", "SElKS0xNTg==")}
    assert shown == {"        set password ENC <secret>"}


def test_the_fingerprint_is_of_the_secret_and_of_the_key() -> None:
    one, other = fingerprinter(b"one"), fingerprinter(b"other")
    assert one("abc") == one("abc") != one("abd")
    assert one("abc") != other("abc")
    assert re.fullmatch("[0-9a-f]{12}", one("päss\ud800"))
    assert redacted('enable secret 9 "abc"').split('"')[1] == redacted("enable secret 9 abc").split("9 ")[1]


def test_what_one_answer_gives_away_is_gone_from_all() -> None:
    first, second = redact_all(IOS, ["enable secret 9 Tr0ub4dor", "Processor ID Tr0ub4dor"], FINGERPRINT)
    assert "Tr0ub4dor" not in first + second


def test_a_very_long_line_with_a_secret_goes_as_a_whole() -> None:
    long = " x" * LONGEST_LINE
    assert re.fullmatch(r" <secret [0-9a-f]{12}>", redacted(f"{long} password abc{long}"))
    assert redacted(long.strip()) == long.strip()
    assert normalise(IOS, f"{long} password abc") == f"{long} password abc\n"
    assert "abcdefgh" not in redacted(f"enable secret 9 abcdefgh\n{long} abcdefgh {long}")


def test_a_line_that_routeros_broke_in_two_hides_no_secret() -> None:
    text = '/ppp secret\nadd name=a password="begin\\\n    ning" profile=x'
    shown = redacted(text, platforms()["mikrotik_routeros"])
    assert "begin" not in shown
    assert "ning" not in shown
    assert shown.endswith(" profile=x")


HUGE: dict[str, Any] = {
    "a secret in each line": lambda: "\n".join(f"username u{n} secret 9 Sec{n:06d}x" for n in range(20_000)),
    "all secrets begin alike": lambda: "\n".join(
        [*(f"enable secret 9 aaa={'b' * (n % 900 + 1)}" for n in range(2000)), *["aaa=" + "b" * 300] * 2000]
    ),
    "lines as long as they may be": lambda: "\n".join(["password " * (LONGEST_LINE // 9)] * 60),
    "open quotes": lambda: "\n".join(['password "' * (LONGEST_LINE // 10)] * 60),
    "no end of a key": lambda: "-----BEGIN PRIVATE KEY-----\n" * 50_000,
    "plain lines": lambda: "\n".join(f"interface Vlan{n}\n description nothing of note" for n in range(50_000)),
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_huge_text_takes_time_by_its_size(kind: str) -> None:
    text = HUGE[kind]()
    begun = time.process_time()
    once = redacted(text)
    assert time.process_time() - begun < 60  # a few seconds; hours if any of it went by the square
    assert not re.search(r"Sec\d{6}x|aaa=b", once)


def test_what_git_gets_needs_the_configuration() -> None:
    with pytest.raises(KeyError):
        kept_text(IOS, {}, FINGERPRINT)
