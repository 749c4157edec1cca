"""Setting a key in a file: it reads back, twice is once, and every other line stays."""

from __future__ import annotations

import pytest
from ansible_collections.civicops.town.plugins.module_utils._baseline.model import ParameterError, Params
from ansible_collections.civicops.town.plugins.module_utils._baseline.rules import Rule
from ansible_collections.civicops.town.plugins.module_utils._baseline.texts import (
    STYLES,
    Key,
    append,
    comment_out,
    joined,
    lines_of,
    listed,
    set_value,
    shown,
    unset,
    value_of,
)
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.from_regex(r"[A-Za-z_$][A-Za-z0-9_.]{0,5}", fullmatch=True)
VALUES = st.from_regex(r"[A-Za-z0-9/._:-]{1,6}( [A-Za-z0-9/._-]{1,5}){0,2}", fullmatch=True)
# Lines near to what is looked for, and any garbage that a file may hold.
LINES = st.one_of(
    st.builds(
        lambda name, mark, value: f"{name}{mark}{value}", NAMES, st.sampled_from(["=", " = ", " ", "\t"]), VALUES
    ),
    st.builds(lambda name: f"# {name}", NAMES),
    st.sampled_from(["", "[Main]", "[Other]", "  ", "\r", '"', "=", "key", " key=1 # why", "export key=2", "key 3 4"]),
    st.text(st.characters(blacklist_characters="\n"), max_size=12),
)
TEXTS = st.lists(LINES, max_size=8).flatmap(lambda lines: st.sampled_from(["\n".join(lines), "\n".join(lines) + "\n"]))
KEYS = st.builds(
    Key,
    st.one_of(NAMES, st.just("key")),
    st.sampled_from(sorted(STYLES)),
    st.sampled_from(["", "Main", "Third"]),
    st.booleans(),
)


@given(TEXTS, KEYS, VALUES)
def test_a_set_key_reads_back_and_twice_is_once(text: str, key: Key, value: str) -> None:
    once = set_value(text, key, value)
    assert value_of(once, key) == value
    assert value_of(once, key, first=True) == value, "also for programs that take the first line"
    assert set_value(once, key, value) == once
    assert len(list(lines_of(once, key))) == 1


@given(TEXTS, KEYS, VALUES)
def test_other_lines_stay(text: str, key: Key, value: str) -> None:
    mine = {line.number for line in lines_of(text, key)}
    others = [line for number, line in enumerate(text.split("\n")) if number not in mine]
    new = set_value(text, key, value).split("\n")
    rest = iter(new)
    for line in others:
        assert any(line == one for one in rest) or line == "", f"{line!r} is gone from {new!r}"


@given(TEXTS, KEYS)
def test_what_is_unset_is_not_set(text: str, key: Key) -> None:
    gone = unset(text, key)
    assert value_of(gone, key) is None
    assert unset(gone, key) == gone
    assert len(gone.split("\n")) == len(text.split("\n"))
    assert [line.lstrip("#") for line in gone.split("\n")] == [line.lstrip("#") for line in text.split("\n")]


@given(TEXTS)
def test_commenting_out_changes_nothing_else(text: str) -> None:
    new = comment_out(text, lambda line: "=" in line)
    for before, after in zip(text.split("\n"), new.split("\n"), strict=True):
        assert after in (before, "#" + before)
        assert (after != before) == ("=" in before and bool(before.strip()) and not before.lstrip().startswith("#"))


@given(TEXTS, st.from_regex("[a-z ]{1,5}", fullmatch=True))
def test_a_line_is_appended_once(text: str, line: str) -> None:
    once = append(text, line)
    assert line in once.split("\n")
    assert append(once, line) == once
    assert once.startswith(text)


# As the programs read them: text, key, value
READ = [
    ("UMASK 022\nUMASK 027\n", Key("UMASK", "space"), "027"),  # getdef.c: the last line
    ("UMASK\t\t027 \n", Key("UMASK", "space"), "027"),
    ('ENV_SUPATH "PATH=/bin" x\n', Key("ENV_SUPATH", "space"), "PATH=/bin"),
    ("UMASK 027 # why\n", Key("UMASK", "space"), "027 # why"),  # login.defs knows no comments there
    ("#UMASK 027\n", Key("UMASK", "space"), None),
    ("UMASKS 027\n", Key("UMASK", "space"), None),
    ("INACTIVE=-1\n", Key("INACTIVE", "equals"), "-1"),
    ("IPV6 = yes\n", Key("IPV6", "equals"), "yes"),
    ("export A='b c' # d\n", Key("A", "equals"), "b c"),
    ("A=b # d\n", Key("A", "equals"), "b"),
    ("A=\n", Key("A", "equals"), ""),
    ("minlen = 14 # at least\n", Key("minlen"), "14"),
    ("minlen 14\n", Key("minlen"), "14"),
    ("enforce_for_root\n", Key("enforce_for_root"), ""),
    ("Max_Log_File = 8\n", Key("max_log_file", ignore_case=True), "8"),
    ("Max_Log_File = 8\n", Key("max_log_file"), None),
    ("[Journal]\nStorage=none\n[Other]\nStorage=x\n", Key("Storage", "systemd", "Journal"), "none"),
    ("Storage=none\n", Key("Storage", "systemd", "Journal"), None),
    (";Storage=none\n[Journal]\n;Storage=x\n", Key("Storage", "systemd", "Journal"), None),
    ("[Journal]\nStorage=a # b\n", Key("Storage", "systemd", "Journal"), "a # b"),
]


@pytest.mark.parametrize(("text", "key", "value"), READ)
def test_read(text: str, key: Key, value: str | None) -> None:
    assert value_of(text, key) == value


SET = [
    ("", Key("a"), "1", "a = 1\n"),
    ("b = 2", Key("a"), "1", "b = 2\na = 1\n"),
    ("  a = 2\r\nb\n", Key("a"), "1", "  a = 1\nb\n"),
    ("a = 2\nx\na = 3\n", Key("a"), "1", "#a = 2\nx\na = 1\n"),
    ("[M]\n\n[O]\na=2\n", Key("a", "systemd", "M"), "1", "[M]\na=1\n\n[O]\na=2\n"),
    ("x", Key("a", "systemd", "M"), "1", "x\n\n[M]\na=1\n"),
    ("", Key("A", "equals"), "b c", 'A="b c"\n'),
    ("", Key("silent"), None, "silent\n"),
]


@pytest.mark.parametrize(("text", "key", "value", "wanted"), SET)
def test_set(text: str, key: Key, value: str | None, wanted: str) -> None:
    assert set_value(text, key, value) == wanted


def test_joined() -> None:
    assert joined("a \\\nb\nc") == ["a  b", "c"]


def test_what_is_told_is_short_and_harmless() -> None:
    assert shown("a\x1b[31m\n\udcff\u202e") == "a?[31m???"
    assert len(shown("x" * 999)) == 200
    many = listed([f"/tmp/{number}" for number in range(1000)])
    assert len(many) <= 200
    assert many.endswith("more")
    assert listed(["x" * 999, "b"]).count("x") == 117
    assert listed([]) == ""


RULES = [
    ({"value": "no"}, ["no"], ["yes", None, "false"]),
    ({"value": "0640"}, ["0640", "640"], ["0644"]),
    ({"value": "14", "op": "min"}, ["14", "15"], ["13", "x", "", None]),
    ({"value": "900", "op": "min", "also": ["0"]}, ["0", "901"], ["899", "-1"]),
    ({"value": "5", "op": "max"}, ["5", "-1"], ["6", None]),
    ({"value": "5", "op": "max", "default": "3"}, [None], ["6"]),
    ({"value": ["1", "5"], "op": "range"}, ["1", "5"], ["0", "6", "-1"]),
    ({"value": ["a", "b"], "op": "one_of"}, ["a", "b"], ["c"]),
    ({"op": "absent"}, [None], ["", "x"]),
    ({"op": "present", "set": "a b"}, ["x"], [None, ""]),
    ({"op": "present", "set": "a", "default": "b"}, [None], [""]),
]


@pytest.mark.parametrize(("params", "fine", "broken"), RULES)
def test_rules(params: dict[str, object], fine: list[str | None], broken: list[str | None]) -> None:
    rule = Rule.of(Params(params))
    assert [one for one in fine if not rule.met(one)] == []
    assert [one for one in broken if rule.met(one)] == []
    assert rule.text
    assert rule.op == "absent" or rule.met(rule.target)


def test_yes_and_true_are_the_same_where_it_is_so() -> None:
    assert Rule.of(Params({"value": "yes"}), booleans=True).met("True")
    assert not Rule.of(Params({"value": "yes"})).met("True")
    assert not Rule.of(Params({"value": "yes"}), booleans=True).met("no")


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"value": []},
        {"value": "x", "op": "min"},
        {"value": "1", "op": "range"},
        {"value": ["1", "2"]},
        {"value": "1", "op": "about"},
        {"value": "5", "op": "max", "set": "6"},
        {"op": "present"},
    ],
)
def test_rules_that_are_none(params: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        Rule.of(Params(params))
