"""What real devices said: whole, without any of their secrets, and as others clean it but for what is written down."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator

import pytest
from tests.unit.network.recordings import KNOWN, Recording, needs_recordings, recording

from civicops.network.config import kept_text, normalise, signs, why_partial
from civicops.network.redact import fingerprinter, redact

pytestmark = needs_recordings
FINGERPRINT = fingerprinter(b"a town's key")
PLACEHOLDER = re.compile("<secret(?: [0-9a-f]{12})?>")
THEIR_PLACEHOLDER = re.compile("<(?:secret removed|secret hidden|hidden)>")
ALPHABETS = {
    "hexadecimal": string.hexdigits[:16],
    "base64": string.ascii_letters + string.digits + "+/",
    "a word": string.ascii_lowercase,
    "letters and marks": string.ascii_letters + string.digits + "!#%&*+-.:?@^_~",
}

each = pytest.mark.parametrize("name", KNOWN)


def known_secrets(one: Recording) -> list[str]:
    """The longest first: one may be a part of another."""
    return sorted({*one.secrets, *KNOWN[one.name].get("secrets", ())}, key=len, reverse=True)


def invented(one: Recording, kind: str, dice: random.Random) -> tuple[dict[str, str], list[str]]:
    """The answers with other secrets, and these."""
    answers, fresh = dict(one.answers), list[str]()
    for secret in known_secrets(one):
        while True:
            new = "".join(dice.choices(ALPHABETS[kind], k=dice.randint(7, 40)))
            if not any(new in text for text in answers.values()) and new not in "0123456789abcdef":
                break
        answers = {command: text.replace(secret, new) for command, text in answers.items()}
        fresh.append(new)
    return answers, fresh


def bare(text: str) -> list[str]:
    """Without what differs everywhere: blank lines, empty comments, white space at the ends."""
    lines = [line.rstrip() for line in text.replace("\r", "").split("\n")]
    return [line for line in lines if line.strip("!# ")]


@each
def test_it_is_whole_and_stays_what_it_is(name: str) -> None:
    one = recording(name)
    raw = one.answers[one.platform.running.command]
    assert why_partial(one.platform, raw) is None
    kept = kept_text(one.platform, one.answers, FINGERPRINT)
    assert len(kept) > 500
    assert redact(one.platform, kept, FINGERPRINT) == kept
    cut = raw[: len(raw) * 2 // 3]
    if one.platform.running.ends or one.platform.running.braces:
        assert why_partial(one.platform, cut)


@each
@pytest.mark.parametrize("kind", ALPHABETS)
def test_none_of_the_secrets_is_in_it_whatever_they_are(name: str, kind: str) -> None:
    one = recording(name)
    seed = random.randrange(2**32)  # noqa: S311 - the secrets of a test
    answers, fresh = invented(one, kind, random.Random(seed))  # noqa: S311
    kept = kept_text(one.platform, answers, FINGERPRINT)
    assert [secret for secret in fresh if secret in kept] == [], f"seed {seed}"
    if fresh:
        assert PLACEHOLDER.search(kept)
    # All else is as it was with the secrets that were recorded
    before = kept_text(one.platform, one.answers, FINGERPRINT)
    assert PLACEHOLDER.sub("*", kept) == PLACEHOLDER.sub("*", before), f"seed {seed}"


@each
def test_every_promised_line_is_there_and_no_dropped_one(name: str) -> None:
    one = recording(name)
    kept = kept_text(one.platform, one.answers, FINGERPRINT)
    instead = KNOWN[name].get("instead", {})
    for promise in one.promised:
        text = instead.get(promise, promise).replace("\\.", ".")
        parts = [re.escape(part) for part in THEIR_PLACEHOLDER.split(text.removesuffix(";"))]
        assert re.search(f'"?{PLACEHOLDER.pattern}"?'.join(parts), kept), promise
    assert set(instead) <= set(one.promised)
    assert [part for part in one.dropped if part in kept] == []


@each
def test_it_differs_from_what_others_expect_only_as_written_down(name: str) -> None:
    one = recording(name)
    theirs, ours = bare(one.expected), bare(kept_text(one.platform, one.answers, FINGERPRINT))
    only_theirs, only_ours = (
        [line for line in theirs if line not in ours],
        [line for line in ours if line not in theirs],
    )
    left = list(unhidden(only_theirs, only_ours))
    only_ours = [line for line in only_ours if line not in [mine for mine, _ in left]]
    only_theirs = [line for line in only_theirs if line not in [line for _, line in left]]
    used: set[str] = set()
    for side, lines in (("theirs", only_theirs), ("ours", only_ours)):
        allowed = [rule for difference in KNOWN[name].get("differences", ()) for rule in difference.get(side, ())]
        assert [line for line in lines if not any(re.search(rule, line) for rule in allowed)] == [], side
        used |= {rule for rule in allowed if any(re.search(rule, line) for line in lines)}
    written = {
        rule for one in KNOWN[name].get("differences", ()) for side in ("theirs", "ours") for rule in one.get(side, ())
    }
    # Where a line of theirs stands elsewhere too, it is in neither list
    assert written - used <= {"^    next", "^end"}
    # What both have stands in the same order
    both = [line for line in theirs if line in ours]
    assert list(dict.fromkeys(both)) == list(dict.fromkeys(line for line in ours if line in theirs))


def unhidden(theirs: list[str], ours: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of lines that are the same but for the secret."""
    for line in ours:
        if PLACEHOLDER.search(line) and PLACEHOLDER.sub("", line).strip():
            pattern = ".+".join(re.escape(part) for part in PLACEHOLDER.split(line))
            yield from ((line, other) for other in theirs if re.fullmatch(pattern, other))


@each
def test_clocks_and_counters_change_nothing(name: str) -> None:
    one = recording(name)
    before = kept_text(one.platform, one.answers, FINGERPRINT)
    later = {
        command: re.sub(
            r"(?i)(up ?time.*|last (?:config|commit|changed|done)\S* .*|!Time: .*|^# \d{4}-.* by RouterOS .*"
            r"|System time: .*|conf_file_ver=.*|Current configuration : .*|Up Time.*"
            r"|(?:free-\S+|cpu-load): .*|Running Time.*|System Time .*)$",
            lambda found: re.sub(r"\d", lambda digit: str((int(digit.group()) + 1) % 10), found.group()),
            text,
            flags=re.MULTILINE,
        )
        for command, text in one.answers.items()
    }
    assert later != one.answers
    assert kept_text(one.platform, later, FINGERPRINT) == before
    assert normalise(one.platform, normalise(one.platform, before)) == normalise(one.platform, before)


FOUND = {
    "aoscx_6100-48G_PL.10.10.1090": {"telnet": False, "https": True, "default_community": False, "time": False},
    "arubainstant_IAP515_8.10.0.6_VWLC": {"telnet": False, "http": None, "time": True, "log": True},
    "fortigate_FortiGate-91G_7.4.7": {"telnet": False, "http": True, "https": True, "log": None},
    "ios_C9200L-24P-4G_17.09.04a": {
        "http": False,
        "https": False,
        "default_community": True,
        "time": False,
        "log": False,
    },
    "junos_srx300_22.4": {"telnet": False, "http": False, "https": True, "time": False, "log": False},
    "netgear_GS752TPP_6.0.10.14": {"default_community": True, "time": True, "http": None},
    "nxos_C93180YC-FX3J_10.4.5": {"telnet": False, "default_community": False, "time": False, "log": False},
    "routeros_CHR_7.10.1": {"telnet": True, "http": True, "https": False, "default_community": None},
    "routeros_RB5009UPr-S-_7.18.2": {"telnet": True, "http": True, "time": False, "log": False},
    "tplink_DS-P7001-08_1.0.0": {"telnet": False, "time": True, "log": True},
}


@each
def test_signs(name: str) -> None:
    one = recording(name)
    found = signs(one.platform, one.answers[one.platform.running.command])
    assert {sign: value for sign, value in found.items() if sign in FOUND[name]} == FOUND[name]
