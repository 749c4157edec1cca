"""The order of versions, against dpkg, apt and rpm themselves where they are to be had.

Keys are strings, so the laws of an order hold for them by themselves. What has to be shown is that it is the right one.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cmp_to_key
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civicops.assess.versions import LIMIT, VersionError, debian_key, rpm_key

LONG = bool(os.environ.get("CIVICOPS_LONG"))
DATA = Path(os.environ.get("CIVICOPS_TEST_DATA", Path(__file__).parents[4] / "shared/data"))
UNION = DATA / "debian12-union-pairs.tsv.gz"
SYSTEM_PYTHON = "/usr/bin/python3"

Order = Callable[[str, str], int]
"""-1, 0 or 1, as a version is below, equal to or above another."""

# A pair on each line that comes in, a verdict on each that goes out.
APT = """
import sys, apt_pkg
apt_pkg.init_system()
for line in sys.stdin:
    found = apt_pkg.version_compare(*line.split())
    print((found > 0) - (found < 0), flush=True)
"""
RPM = """
import sys, rpm
def parts(evr):
    epoch, colon, rest = evr.rpartition(":")
    version, dash, release = rest.rpartition("-")
    return (epoch or "0", version, release) if dash else (epoch or "0", release, None)
for line in sys.stdin:
    print(rpm.labelCompare(*map(parts, line.split())), flush=True)
"""
DPKG = """
while read -r one two; do
    for relation in lt eq gt; do
        dpkg --compare-versions "$one" $relation "$two" 2>/dev/null && break
        relation=none
    done
    case $relation in lt) echo -1;; eq) echo 0;; gt) echo 1;; *) echo 2;; esac
done
"""


def asking(*command: str) -> Iterator[Order]:
    """A program that judges one pair after another."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin and process.stdout
        given_to, said = process.stdin, process.stdout

        def order(one: str, two: str) -> int:
            given_to.write(f"{one} {two}\n")
            return int(said.readline())

        yield order


def has_module(name: str) -> bool:
    try:
        return subprocess.run([SYSTEM_PYTHON, "-c", f"import {name}"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="module")
def apt() -> Iterator[Order]:
    if not has_module("apt_pkg"):
        pytest.skip(f"{SYSTEM_PYTHON} has no apt_pkg (python3-apt)")
    yield from asking(SYSTEM_PYTHON, "-c", APT)


@pytest.fixture(scope="module")
def dpkg() -> Iterator[Order]:
    if not shutil.which("dpkg"):
        pytest.skip("there is no dpkg")
    yield from asking("sh", "-c", DPKG)


@pytest.fixture(scope="module")
def rpm() -> Iterator[Order]:
    if not has_module("rpm"):
        pytest.skip(f"{SYSTEM_PYTHON} has no rpm (python3-rpm)")
    yield from asking(SYSTEM_PYTHON, "-c", RPM)


def by_key(key: Callable[[str], str]) -> Order:
    def order(one: str, two: str) -> int:
        mine, other = key(one), key(two)
        return (mine > other) - (mine < other)

    return order


debian, redhat = by_key(debian_key), by_key(rpm_key)


# Few different characters, so that what is drawn often differs in its last parts alone
PART = st.lists(st.sampled_from(["0", "1", "9", "10", "00", "a", "b", "Z", ".", "+", "~", "rc", "^"]), max_size=7).map(
    "".join
)
EPOCH = st.sampled_from(["", "0:", "1:", "01:", "2:", "10:"])
EPOCHS = st.one_of(EPOCH.map(lambda epoch: (epoch, epoch)), st.tuples(EPOCH, EPOCH))
UPSTREAM = st.builds("{}{}".format, st.sampled_from("0129"), PART)
DEBIAN = st.one_of(
    UPSTREAM.map(lambda part: part.replace("^", "+")),
    st.builds("{}-{}".format, UPSTREAM, st.one_of(st.just("0"), UPSTREAM, PART.map(lambda part: f"{part}1"))).map(
        lambda version: version.replace("^", "-")
    ),
).filter(lambda version: not version.endswith("-"))
VERSION = st.builds("{}{}".format, PART, st.sampled_from("1a"))
RELEASED = st.one_of(VERSION, *[st.builds("{}-{}{}".format, VERSION, st.sampled_from("1a~^"), PART)] * 3)


def pairs(versions: st.SearchStrategy[str], extra: str) -> st.SearchStrategy[tuple[str, str]]:
    """Two versions, of which the second often is the first with one character more, or another one."""

    def edited(version: str, place: int, character: str, gone: int) -> tuple[str, str]:
        place %= len(version) + 1
        if version[place : place + 1] == "-":
            gone = 0
        return version, version[:place] + character + version[place + gone :]

    near = st.builds(edited, versions, st.integers(0, 40), st.sampled_from(extra), st.integers(0, 1))
    return st.builds(
        lambda epochs, two: (epochs[0] + two[0], epochs[1] + two[1]),
        EPOCHS,
        st.one_of(st.tuples(versions, versions), near),
    )


DEBIAN_PAIRS = pairs(DEBIAN, "019azZ~.+")
RPM_PAIRS = pairs(RELEASED, "019azZ~^._+")
EVR = st.builds("{}{}".format, EPOCH, RELEASED)


@pytest.mark.parametrize(
    "rising",
    [
        ["1.0~~", "1.0~~a", "1.0~", "1.0~rc1", "1.0~rc1+b1", "1.0", "1.0a", "1.0+b1", "1.0.1"],
        ["0~~1", "0~1", "0", "0a", "0+", "1"],
        ["1.2-3~bpo12+1", "1.2-3", "1.2-3+b1", "1.2-3+deb12u1", "1.2-3+deb12u2", "1.2-3+deb12u10", "1.2-3.1"],
        ["9.9", "1:0.1~", "1:0.1", "2:0", "10:0", "2147483647:0"],
        ["1.9", "1.10", "1.99", "1.100"],
        ["1A", "1Z", "1a", "1z", "1+", "1.", "1:1"],
        ["1-0~", "1", "1-1~", "1-1", "1-2", "1-1-1"],
        ["2.9.14+dfsg-1.2", "2.9.14+dfsg-1.3~deb12u1", "2.9.14+dfsg-1.3"],
        ["1.20.11-1", "1.20.11+really1.9-1"],
        ["9" * 200, "1" + "0" * 200, "1" + "0" * 199 + "1"],
        ["~1", "0", "a1", "+1"],
        ["1z", "1!", "1#", "1+", "1@", "1_", "1{"],
    ],
)
def test_debian_rising(rising: list[str], dpkg: Order) -> None:
    """Each is above all before it, for dpkg too."""
    for one, two in pairwise(rising):
        assert (one, two, debian(one, two), dpkg(one, two)) == (one, two, -1, -1)
    assert {debian(one, two) for one, two in combinations(rising, 2)} == {-1}


@pytest.mark.parametrize(
    "same",
    [
        ["1", "01", "0:1", "00:1", "+0:1", "-0:1", "1-0", "1-00", " 1", "1\t"],
        ["1.0a", "1.0a0", "1.00a00", "0:1.0a-0"],
        ["1.", "1.0", "01.-0"],
        ["1:2:3", "1:2:03"],
        ["0.5", "0.05", "000.5"],
    ],
)
def test_debian_same(same: list[str]) -> None:
    keys = {debian_key(version) for version in same}
    assert len(keys) == 1
    assert keys != {debian_key(f"{same[0]}~")}


MALFORMED = [
    "1-",
    "1:-1",
    ":1",
    "1:",
    "x:1",
    "0x1:1",
    "-1:1",
    "2147483648:1",
    "99999999999999:1",
    "1-1:2",
    "-",
    ":",
    "-1",
]


@pytest.mark.parametrize("version", MALFORMED)
def test_debian_malformed(version: str, dpkg: Order) -> None:
    """What dpkg refuses has no key."""
    assert dpkg("1", version) == 2
    with pytest.raises(VersionError):
        debian_key(version)


@pytest.mark.parametrize("key", [debian_key, rpm_key])
@pytest.mark.parametrize(
    "version",
    [
        *["", " ", "1 2", "1\n", "1\x1b[2J", "1\0", "1\xe9", "\u0661", "1-\u0968", "\ud800"],
        pytest.param("1" * (LIMIT + 1), id="longer"),
        pytest.param("1." * 3_000_000, id="6 MB"),
    ],
)
def test_no_version(key: Callable[[str], str], version: str) -> None:
    """What neither family has as a version; the message is short, and fit to be shown."""
    with pytest.raises(VersionError) as told:
        key(version)
    message = str(told.value)
    assert len(message) < 250
    assert message.isprintable()


@pytest.mark.parametrize("key", [debian_key, rpm_key])
def test_longest(key: Callable[[str], str]) -> None:
    """A version of the allowed length has a key, however it is made, and it is not much longer than the version."""
    for unit in ("9", "0", "a", "~", "^", ".", "1.", "1~", "a0", "a~"):
        version = "1" + (unit * LIMIT)[: LIMIT - 1]
        assert key(version[:-1] + "1") < key(version[:-1] + "2")
        assert len(key(version)) < 4 * LIMIT


@pytest.mark.parametrize("key", [debian_key, rpm_key])
def test_memoised(key: Callable[[str], str]) -> None:
    """An equal version is not worked out again; old ones are forgotten, and what is none is not remembered."""
    assert key("1.2.3-4") is key("".join(["1.2.", "3-4"]))
    told = key.cache_info()  # type: ignore[attr-defined]
    assert 10_000 < told.maxsize < 100_000
    with pytest.raises(VersionError):
        key("1 2")
    assert key.cache_info().currsize == told.currsize  # type: ignore[attr-defined]


@settings(max_examples=12_000 if LONG else 300, deadline=None)
@given(DEBIAN_PAIRS)
def test_debian_as_apt(apt: Order, pair: tuple[str, str]) -> None:
    assert debian(*pair) == apt(*pair)


@settings(max_examples=12_000 if LONG else 100, deadline=None)
@given(DEBIAN_PAIRS)
def test_debian_as_dpkg(dpkg: Order, pair: tuple[str, str]) -> None:
    assert debian(*pair) == dpkg(*pair)


ODD = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=6)


@settings(max_examples=4_000 if LONG else 100, deadline=None)
@given(ODD, ODD)
def test_debian_odd_as_dpkg(dpkg: Order, one: str, two: str) -> None:
    """Any ASCII characters: the same order, and no key where dpkg refuses."""
    try:
        mine = debian(f"1{one}", two)
    except VersionError:
        mine = 2
    assert mine == dpkg(f"1{one}", two)


@pytest.fixture(scope="module")
def real() -> list[str]:
    """The fixed versions of Debian 12's advisories, by their keys."""
    if not UNION.is_file():
        pytest.skip(f"needs {UNION.name} (CIVICOPS_TEST_DATA)")
    with gzip.open(UNION, "rt", encoding="utf-8") as lines:
        return sorted({line.rstrip("\n").split("\t")[2] for line in lines}, key=debian_key)


def test_debian_real_as_apt(real: list[str], apt: Order) -> None:
    """Neighbours in the order: where they are right, all are."""
    assert len(real) > 1000
    assert [pair for pair in pairwise(real) if apt(*pair) != debian(*pair)] == []


@pytest.mark.skipif(not LONG, reason="takes a minute: set CIVICOPS_LONG=1")
def test_debian_real_as_dpkg(real: list[str], dpkg: Order) -> None:
    """Neighbours, those a few places apart, and each with small changes."""
    pairs = [pair for apart in (1, 2, 7) for pair in zip(real, real[apart:], strict=False)]
    pairs += [(one, f"{one}{tail}") for one in real for tail in ("~", "+deb12u1", "0", ".1")]
    pairs += [(one, f"0:{one}") for one in real if ":" not in one]
    assert len(pairs) > 10_000
    assert [pair for pair in pairs if dpkg(*pair) != debian(*pair)] == []


# The cases of rpm's own tests (tests/rpmvercmp.at), and the caret's as its documentation has them
RPM_CASES = """
1.0 1.0 0; 1.0 2.0 -1; 2.0.1 2.0.1 0; 2.0 2.0.1 -1; 2.0.1a 2.0.1a 0; 2.0.1a 2.0.1 1; 5.5p1 5.5p1 0; 5.5p1 5.5p2 -1
5.5p10 5.5p10 0; 5.5p1 5.5p10 -1; 10xyz 10.1xyz -1; xyz10 xyz10 0; xyz10 xyz10.1 -1; xyz.4 xyz.4 0; xyz.4 8 -1
xyz.4 2 -1; 5.5p2 5.6p1 -1; 5.6p1 6.5p1 -1; 6.0.rc1 6.0 1; 10b2 10a1 1; 10a2 10b2 -1; 1.0aa 1.0aa 0; 1.0a 1.0aa -1
10.0001 10.0001 0; 10.0001 10.1 0; 10.0001 10.0039 -1; 4.999.9 5.0 -1; 20101121 20101121 0; 20101121 20101122 -1
2_0 2_0 0; 2.0 2_0 0; a a 0; a+ a+ 0; a+ a_ 0; +a +a 0; +a _a 0; +_ +_ 0; _+ +_ 0; + _ 0
1.0~rc1 1.0~rc1 0; 1.0~rc1 1.0 -1; 1.0~rc1 1.0~rc2 -1; 1.0~rc1~git123 1.0~rc1~git123 0; 1.0~rc1~git123 1.0~rc1 -1
1.0^ 1.0^ 0; 1.0^ 1.0 1; 1.0^git1 1.0^git1 0; 1.0^git1 1.0 1; 1.0^git1 1.0^git2 -1; 1.0^git1 1.01 -1
1.0^20160101 1.0^20160101 0; 1.0^20160101 1.0.1 -1; 1.0^20160101^git1 1.0^20160101^git1 0
1.0^20160102 1.0^20160101^git1 1; 1.0~rc1^git1 1.0~rc1^git1 0; 1.0~rc1^git1 1.0~rc1 1; 1.0^git1~pre 1.0^git1~pre 0
1.0^git1 1.0^git1~pre 1; 1b.fc17 1b.fc17 0; 1b.fc17 1.fc17 -1; 1g.fc17 1g.fc17 0; 1g.fc17 1.fc17 1
"""


@pytest.mark.parametrize("case", [one.strip() for one in RPM_CASES.replace("\n", ";").split(";") if one.strip()])
def test_rpm_cases(case: str) -> None:
    """The same as a version, as the other way round, and as a release."""
    one, two, wanted = case.split()
    assert redhat(one, two) == rpm_walk(one, two) == int(wanted)
    assert redhat(two, one) == rpm_walk(two, one) == -int(wanted)
    assert redhat(f"1-{one}", f"1-{two}") == int(wanted)


@pytest.mark.parametrize(
    "rising",
    [
        ["1.0~rc1-9", "1.0-1", "1.0^20240101-1", "1.0a-1", "1.0.1-1"],
        ["9-9", "1:1-1", "2:0-1", "10:0-1", "4294967295:0-1"],
        ["1.0", "1.0-0", "1.0-1.el9", "1.0-1.el9_4", "1.0-1.el9_4.1", "1.0-1.el9_10", "1.0-2.el9"],
        ["3.0.7-27.el9", "1:3.0.7-16.el9_2", "1:3.0.7-27.el9"],
        ["5.14.0-362.8.1.el9_3", "5.14.0-427.13.1.el9_4", "5.14.0-1000.el9"],
        ["9" * 200, "1" + "0" * 200, "1" + "0" * 199 + "1"],
    ],
)
def test_rpm_rising(rising: list[str]) -> None:
    assert {redhat(one, two) for one, two in combinations(rising, 2)} == {-1}


def test_rpm_same() -> None:
    same = ["1.0-1", "0:1.0-1", ":1.0-1", "00:1.0-1", "1.00-01", "1_0-1", ".1..0.-1."]
    assert len({rpm_key(version) for version in same}) == 1
    assert rpm_key("1.0-1") != rpm_key("1.0-1.1")


@pytest.mark.parametrize("version", ["(none):1-1", "x:1-1", "1:2:3-1", "-1:1-1", "1.0-", "-1", "1:", "1:-1", ":", "-"])
def test_rpm_malformed(version: str) -> None:
    with pytest.raises(VersionError):
        rpm_key(version)


def rpm_walk(one: str, two: str) -> int:
    """rpm's rules for two versions or two releases, step by step: the second opinion where there is no rpm."""
    while True:
        one = one.lstrip(".+_")
        two = two.lstrip(".+_")
        heads = one[:1], two[:1]
        if "~" in heads or "^" in heads:
            if heads[0] == heads[1]:
                one, two = one[1:], two[1:]
                continue
            if "~" in heads:
                return -1 if heads[0] == "~" else 1
            if "" in heads:
                return -1 if heads[0] == "" else 1
            return -1 if heads[0] == "^" else 1
        if not one or not two:
            return bool(one) - bool(two)
        if heads[0].isdigit() != heads[1].isdigit():
            return 1 if heads[0].isdigit() else -1
        numbers = heads[0].isdigit()
        (mine, one), (other, two) = segment(one), segment(two)
        if mine != other and not numbers:
            return 1 if mine > other else -1
        if numbers and int(mine) != int(other):
            return 1 if int(mine) > int(other) else -1


def segment(version: str) -> tuple[str, str]:
    """The digits or the letters at the beginning, and the rest."""
    kind = str.isdigit if version[0].isdigit() else str.isalpha
    size = next((place for place, character in enumerate(version) if not kind(character)), len(version))
    return version[:size], version[size:]


def evr_walk(one: str, two: str) -> int:
    """The same for whole versions; one without a release is below one with any."""
    for mine, other in zip(evr(one), evr(two), strict=True):
        if found := rpm_walk(mine, other) if mine and other else bool(mine) - bool(other):
            return found
    return 0


def evr(version: str) -> tuple[str, str, str]:
    epoch, _, rest = version.rpartition(":")
    name, dash, release = rest.rpartition("-")
    return (epoch or "0", name, release) if dash else (epoch or "0", release, "")


@settings(max_examples=12_000 if LONG else 300, deadline=None)
@given(RPM_PAIRS)
def test_rpm_as_walked(pair: tuple[str, str]) -> None:
    assert redhat(*pair) == evr_walk(*pair)


@settings(max_examples=12_000 if LONG else 300, deadline=None)
@given(RPM_PAIRS)
def test_rpm_as_rpm(rpm: Order, pair: tuple[str, str]) -> None:
    assert redhat(*pair) == rpm(*pair)


@settings(max_examples=500 if LONG else 50, deadline=None)
@given(st.lists(DEBIAN, max_size=12), st.lists(EVR, max_size=12))
def test_sorted(apt: Order, debians: list[str], evrs: list[str]) -> None:
    """Sorting by keys gives the order that comparing each with each gives."""
    assert sorted(debians, key=debian_key) == sorted(debians, key=cmp_to_key(apt))
    assert sorted(evrs, key=rpm_key) == sorted(evrs, key=cmp_to_key(evr_walk))
