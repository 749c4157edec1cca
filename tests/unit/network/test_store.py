"""The store of configurations, with real git, from outside."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.network.kept import (
    CONFIG,
    START,
    configs,
    git,
    keep,
    new,
    raw_of_head,
    sealed,
    store,
    subjects,
    unsealed,
)

from civicops.network.keeping import VERSIONS
from civicops.network.sealed import SealError
from civicops.network.store import New, Store, StoreError, unsafe_name
from civicops.state import TownState


def test_one_commit_per_changed_device_and_none_for_the_others(state: TownState) -> None:
    first = keep(store(state), new("sw1"), new("sw2"))
    assert [(one.changed, one.first, one.diff) for one in first.values()] == [(True, True, "")] * 2
    changed = CONFIG.replace("desk 7\n", "the mayor\n")
    later = keep(store(state, minutes=60), new("sw1", changed, words="interface Gi1/0/7"), new("sw2"))
    assert subjects(state) == ["sw1: interfaces", "sw2: interfaces", "sw1: interface Gi1/0/7"]
    assert later["sw1"].commit == git(state, "rev-parse", "main").strip()
    assert not later["sw1"].first
    assert later["sw1"].diff.splitlines()[0] == "@@ -12,7 +12,7 @@"
    assert "- description desk 7\n+ description the mayor\n" in later["sw1"].diff
    assert (later["sw2"].changed, later["sw2"].commit, later["sw2"].diff) == (False, None, "")
    assert (configs(state) / "sw1.cfg").read_text() == changed
    assert git(state, "status", "--porcelain") == ""


def test_the_commit_tells_run_platform_and_raw_file(state: TownState) -> None:
    kept = keep(store(state), new("sw1"))["sw1"]
    message = git(state, "log", "-1", "--format=%an <%ae> %aI %cI%n%B", "main").splitlines()
    assert message[0] == "civicops <civicops@riverton> 2027-03-14T02:00:00+00:00 2027-03-14T02:00:00+00:00"
    assert message[1:3] == ["sw1: interfaces", ""]
    size = len(new("sw1").raw)
    assert message[3:8] == [
        "Device: sw1",
        "Platform: cisco_ios",
        "Run: network-1",
        f"Size: {size} bytes, 51 lines",
        f"Raw: {kept.raw}",
    ]
    assert raw_of_head(state, "sw1") == new("sw1").raw


def test_what_is_known_of_a_device(state: TownState) -> None:
    assert store(state).look("sw1") is None
    keep(store(state), new("sw1"))
    keep(store(state, minutes=60), new("sw1"))
    kept = store(state).look("sw1")
    assert kept is not None
    assert (kept.platform, kept.bytes, kept.lines) == ("cisco_ios", len(new("sw1").raw), 51)
    assert (kept.changed, kept.seen) == (START, START + timedelta(minutes=60))
    assert kept.versions == (kept.version,) == ("20270314T020000Z",)
    assert store(state).devices() == ["sw1"]


def test_new_secrets_alone_make_no_commit_and_the_raw_file_has_them(state: TownState) -> None:
    first = keep(store(state), new("sw1", secret="hunter2"))["sw1"]
    again = keep(store(state, minutes=60), new("sw1", secret="hunter3"))["sw1"]
    assert (again.changed, again.commit, again.raw) == (False, None, first.raw)
    assert raw_of_head(state, "sw1") == new("sw1", secret="hunter3").raw
    assert subjects(state) == ["sw1: interfaces"]
    assert [one.problem for one in store(state).verify(unsealed, every=True)] == [None]


def test_an_unchanged_raw_file_is_not_written_anew(state: TownState) -> None:
    raw = state.root / "network/raw/sw1" / str(keep(store(state), new("sw1"))["sw1"].raw)
    before = raw.stat()
    keep(store(state, minutes=60), new("sw1"))
    assert (raw.stat().st_ino, raw.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_startup_configuration_is_kept_beside_the_running_one(state: TownState) -> None:
    one = new("sw1")
    both = New(one.device, one.platform, one.raw, one.text, one.words, startup=b"startup\n")
    keep(store(state), both)
    file = store(state).raw_file("sw1", kind="startup")
    assert unsealed(file.read_bytes()) == b"startup\n"
    named = git(state, "log", "-1", "--format=%(trailers:key=Raw,valueonly)", "main").split()
    assert named == ["20270314T020000Z.running", "20270314T020000Z.startup"]
    # Not read this time: the one from before stays.
    keep(store(state, minutes=5), one)
    assert unsealed(file.read_bytes()) == b"startup\n"
    keep(store(state, minutes=9), New(one.device, one.platform, one.raw, one.text, "", startup=b"other\n"))
    assert unsealed(file.read_bytes()) == b"other\n"
    assert len(subjects(state)) == 1
    assert [(one.file, one.problem) for one in store(state).verify(unsealed)] == [(name, None) for name in named]


def test_words_may_be_found_out_from_both_texts(state: TownState) -> None:
    def words(old: str | None, text: str) -> str:
        return f"{old} then {text}"

    keep(store(state), New("sw1", "x", b"raw", "one", words))
    keep(store(state), New("sw1", "x", b"raw", "two", words))
    keep(store(state), New("sw1", "x", b"raw", "two", words))
    assert subjects(state) == ["sw1: None then one", "sw1: one then two"]


def test_versions_that_are_too_many_go_and_the_one_of_the_newest_commit_stays(state: TownState) -> None:
    for number in range(VERSIONS + 5):
        keep(store(state, minutes=number), new("sw1", CONFIG + f"vlan {number}\n"))
    files = sorted(path.name for path in (state.root / "network/raw/sw1").iterdir())
    assert len(files) == VERSIONS
    assert files[0] == "20270314T020500Z.running"
    assert raw_of_head(state, "sw1") == new("sw1", CONFIG + f"vlan {VERSIONS + 4}\n").raw
    checked = list(store(state).verify(unsealed, every=True))
    assert [one.file for one in checked] == files
    assert {one.problem for one in checked} == {None}
    assert len(subjects(state)) == VERSIONS + 5


def test_a_clock_that_was_set_back_overwrites_no_version(state: TownState) -> None:
    keep(store(state, minutes=5), new("sw1"))
    keep(store(state, minutes=5), new("sw1", CONFIG + "vlan 2\n"))
    last = keep(store(state), new("sw1", CONFIG + "vlan 3\n"))["sw1"]
    kept = store(state).look("sw1")
    assert kept is not None
    assert kept.versions == ("20270314T020500Z", "20270314T020500Z-2", "20270314T020000Z")
    assert last.raw == f"{kept.version}.running" == "20270314T020000Z.running"


def test_less_than_half_of_the_last_one_is_refused_until_it_is_accepted(state: TownState) -> None:
    keep(store(state), new("sw1"))
    small = new("sw1", "hostname core\n")
    told = store(state).why_shrunk("sw1", small.raw)
    assert told == (
        f"3 lines ({len(small.raw)} bytes), less than half of the last one's 51 ({len(new('sw1').raw)}); if that is "
        "right, accept it once: accept_shrunk: [sw1]"
    )
    assert keep(store(state, minutes=5), small)["sw1"].refused == told
    assert (configs(state) / "sw1.cfg").read_text() == CONFIG
    assert store(state).why_shrunk("sw1", small.raw, accept={"sw1"}) is None
    assert keep(store(state, minutes=5), small, accept_shrunk={"sw1"})["sw1"].changed
    # Half of the lines are enough to be told, though they are long.
    assert store(state).why_shrunk("sw1", b"x" * 10_000) is not None
    assert store(state).why_shrunk("sw2", b"x") is None


@pytest.mark.parametrize(("raw", "text"), [(b"", "text"), (b" \r\n", "text"), (b"raw", ""), (b"raw", " \n\n")])
def test_an_empty_configuration_is_never_kept(state: TownState, raw: bytes, text: str) -> None:
    keep(store(state), new("sw1"))
    kept = keep(store(state), New("sw1", "cisco_ios", raw, text, "x"), new("sw2"), accept_shrunk={"sw1"})
    assert kept["sw1"].refused == "the configuration is empty"
    assert kept["sw2"].changed
    assert (configs(state) / "sw1.cfg").read_text() == CONFIG


def test_what_can_not_be_encrypted_is_refused_alone(state: TownState) -> None:
    def seal(content: bytes) -> bytes:
        if b"sw1" in content:
            raise SealError("no")
        return sealed(content)

    kept = Store(state, seal).keep([new("sw1", "sw1\n"), new("sw2")], run="r")
    assert kept["sw1"].refused == "it can't be encrypted: no"
    assert not kept["sw1"].changed
    assert subjects(state) == ["sw2: interfaces"]
    assert store(state).devices() == ["sw2"]
    assert keep(store(state), new("sw1", "sw1\n"))["sw1"].changed


def test_check_tells_and_changes_nothing(state: TownState) -> None:
    keep(store(state), new("sw1"))
    before = _all_files(state)
    told = keep(store(state, minutes=5), new("sw1", CONFIG + "vlan 2\n"), new("sw2"), new("-"), check=True)
    assert (told["sw1"].changed, told["sw2"].first, told["sw1"].commit) == (True, True, None)
    assert told["sw1"].diff.endswith("+vlan 2\n")
    assert told["-"].refused
    assert _all_files(state) == before


def _all_files(state: TownState) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in state.root.rglob("*") if path.is_file()}


def test_200_devices_make_200_commits_by_few_processes(state: TownState, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    popen = subprocess.Popen

    def counted(arguments: list[str], **more: object) -> object:
        started.append(next(one for one in arguments[1:] if not one.startswith("-") and "=" not in one))
        return popen(arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", counted)
    batch = [new(f"sw{number:03}", CONFIG + f"vlan {number}\n") for number in range(200)]
    kept = keep(store(state), *batch)
    assert Counter(started)["fast-import"] == 1
    assert len(started) <= 12
    started.clear()
    again = keep(store(state, minutes=60), *batch)
    assert Counter(started) == {"rev-parse": 1, "ls-tree": 1, "ls-files": 1}
    assert len(subjects(state)) == len({one.commit for one in kept.values()}) == 200
    assert not any(one.changed for one in again.values())
    assert git(state, "fsck", "--strict") == ""
    changes = git(state, "log", "--reverse", "--format=", "--name-only", "main").split()
    assert changes == [f"sw{number:03}.cfg" for number in range(200)]


HOSTILE = [
    "done\ncommit refs/heads/evil\nM 100644 inline ../../x\ndata 3\nabc\n",
    "data <<EOF\nEOF\nfrom 0000000000000000000000000000000000000000\n",
    "a\0b\r\nc\x1b[31m\u202e\n\udcff\udcfe\n",
    "\ud800 lone\n",
    "x" * 3_000_000,
    "<<<<<<< HEAD\n=======\n>>>>>>> x\n",
    "no end of line",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_data_whatever_it_holds(state: TownState, text: str) -> None:
    raw = b"raw\0\xff" * 9
    keep(store(state), New("sw1", "x", raw, text, text), new("sw2"))
    content = subprocess.run(
        ["git", "-C", str(configs(state)), "cat-file", "blob", "main:sw1.cfg"], capture_output=True, check=True
    ).stdout
    assert content == text.encode("utf-8", "surrogatepass" if "\ud800" in text else "surrogateescape")
    assert (configs(state) / "sw1.cfg").read_bytes() == content
    assert git(state, "branch", "--format=%(refname)").split() == ["refs/heads/main"]
    assert git(state, "ls-tree", "--name-only", "main").split() == ["sw1.cfg", "sw2.cfg"]
    assert git(state, "rev-list", "--count", "main").strip() == "2"
    assert raw_of_head(state, "sw1") == raw
    assert not keep(store(state), New("sw1", "x", raw, text, text))["sw1"].changed
    assert git(state, "fsck", "--strict") == ""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=60), st.text(max_size=300))
def test_words_and_run_stay_in_their_lines(state: TownState, text: str, words: str) -> None:
    text = f"a{text}"
    before = store(state).history("sw1")
    result = store(state).keep([New("sw1", words, b"raw", text, words)], run=words)["sw1"]
    commits = store(state).history("sw1")
    assert len(commits) == len(before) + result.changed
    assert (commits[0].device, commits[0].raw) == ("sw1", (result.raw,))
    assert commits[0].subject.startswith("sw1: ")
    assert store(state).text("sw1") == text


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".git", "-x", ".x", "a/b", "../x", "a b", "sw\n1", "sw\0", "\u00e4", "x" * 201, "sw1\u202e", 'a"b'],
)
def test_names_that_no_file_can_have_are_refused(state: TownState, name: str) -> None:
    assert unsafe_name(name)
    kept = keep(store(state), new(name), new("good"))
    assert kept[name].refused == unsafe_name(name)
    assert kept["good"].changed
    assert git(state, "ls-tree", "--name-only", "main").split() == ["good.cfg"]
    assert [path.name for path in (state.root / "network/raw").iterdir()] == ["good"]
    assert store(state).text(name) is None
    assert store(state).history(name) == []


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}", fullmatch=True))
def test_names_of_files_are_not_refused(name: str) -> None:
    assert unsafe_name(name) is None


def test_names_that_differ_in_case_alone_are_refused(state: TownState) -> None:
    kept = keep(store(state), new("SW1"), new("sw1"))
    assert kept["SW1"].changed
    assert "differs from SW1's" in str(kept["sw1"].refused)
    assert "differs from SW1's" in str(keep(store(state), new("Sw1"))["Sw1"].refused)
    # A commit by hand takes the old one out.
    git(state, "rm", "-q", "SW1.cfg")
    git(state, "commit", "-q", "-m", "SW1 is gone")
    assert keep(store(state), new("sw1"))["sw1"].first


def test_history_texts_and_diffs(state: TownState) -> None:
    texts = [CONFIG + "".join(f"vlan {vlan}\n" for vlan in range(number)) for number in range(4)]
    for number, text in enumerate(texts):
        keep(store(state, minutes=60 * number), new("sw1", text, words=f"change {number}"), new("sw2"))
    here = store(state)
    history = here.history("sw1")
    assert [one.subject for one in history] == [f"sw1: change {number}" for number in (3, 2, 1, 0)]
    assert history[1].at == START + timedelta(hours=2)
    assert [one.subject for one in here.history("sw1", limit=2)] == ["sw1: change 3", "sw1: change 2"]
    assert [here.text("sw1", one.id) for one in history] == texts[::-1]
    assert here.text("sw1") == texts[3]
    assert here.text("sw1", "f" * 40) is None
    with pytest.raises(StoreError, match="is no commit's id"):
        here.text("sw1", "--output=/tmp/x")
    assert here.diff("sw1").splitlines()[-1] == "+vlan 2"
    added = [line for line in here.diff("sw1", last=2).splitlines() if line.startswith("+")]
    assert added == ["+vlan 1", "+vlan 2"]
    assert here.diff("sw1", since=START + timedelta(minutes=90)) == here.diff("sw1", last=2)
    assert here.diff("sw1", last=9) == here.diff("sw1", since=START - timedelta(days=1))
    assert here.diff("sw1", since=START + timedelta(days=1)) == ""
    assert here.history("sw3") == []
    assert here.text("sw3") is None


def test_a_device_that_is_gone_stays_in_git(state: TownState) -> None:
    keep(store(state), new("sw1"), new("sw2"))
    keep(store(state, minutes=60), new("sw2", CONFIG + "vlan 2\n"))
    assert store(state).text("sw1") == CONFIG
    assert (configs(state) / "sw1.cfg").exists()
    assert raw_of_head(state, "sw1") == new("sw1").raw
    assert store(state).devices() == ["sw1", "sw2"]


def test_everything_is_closed_to_others(state: TownState) -> None:
    before = os.umask(0)
    try:
        keep(store(state), new("sw1"))
        keep(store(state, minutes=5), new("sw1", CONFIG + "vlan 2\n"))
    finally:
        os.umask(before)
    top = state.root / "network"
    for path in [top, *top.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode & 0o077 == 0, f"{path}: {mode:o}"
    assert stat.S_IMODE((top / "key").stat().st_mode) == 0o600
    assert (top / "key").stat().st_size == 32


def test_no_secret_stands_anywhere_in_the_clear(state: TownState) -> None:
    def seal(content: bytes) -> bytes:
        return content[::-1]

    Store(state, seal).keep([new("sw1", secret="s3cr3t-of-sw1")], run="r")
    Store(state, seal).keep([new("sw1", CONFIG + "vlan 2\n", secret="s3cr3t-of-sw1")], run="r")
    for path in (state.root / "network").rglob("*"):
        assert not path.is_file() or b"s3cr3t-of-sw1" not in path.read_bytes()
    assert "s3cr3t-of-sw1" not in git(state, "cat-file", "--batch-all-objects", "--batch")


def test_towns_never_mix(state: TownState) -> None:
    other = TownState("oakdale")
    keep(store(state), new("sw1"))
    keep(store(other), new("sw1", CONFIG + "vlan 9\n"))
    assert store(state).key() != store(other).key()
    assert store(state).text("sw1") == CONFIG
    hashes = [json.loads((one.root / "network/index.json").read_bytes()) for one in (state, other)]
    assert hashes[0] != hashes[1]
    assert "civicops@oakdale" in git(other, "log", "-1", "--format=%ae")
    assert not set(git(state, "rev-list", "--all").split()) & set(git(other, "rev-list", "--all").split())


def test_the_same_configuration_has_another_hash_in_another_town_or_device(state: TownState) -> None:
    keep(store(state), new("sw1"), new("sw2"))
    keep(store(TownState("oakdale")), new("sw1"))
    hashes = set()
    for town in (state, TownState("oakdale")):
        known = json.loads((town.root / "network/index.json").read_bytes())["devices"]
        for one in known.values():
            (version,) = one["versions"].values()
            hashes |= set(version["running"]["hashes"])
    assert len(hashes) == 3


def test_the_key_is_made_once(state: TownState) -> None:
    program = (
        "from civicops.network.store import Store; from civicops.state import TownState; "
        "print(Store(TownState('riverton')).key().hex())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        for _ in range(4)
    ]
    keys = {process.communicate()[0].strip() for process in running}
    assert keys == {store(state).key().hex()}


def test_a_key_that_is_gone_or_open_is_told(state: TownState) -> None:
    keep(store(state), new("sw1"))
    key = state.root / "network/key"
    key.chmod(0o644)
    with pytest.raises(StoreError, match="mode 0600"):
        store(state).key()
    key.chmod(0o600)
    kept = key.read_bytes()
    key.unlink()
    with pytest.raises(StoreError, match="bring it back from a backup"):
        keep(store(state), new("sw1"))
    key.symlink_to("/dev/zero")
    with pytest.raises(StoreError, match="can't be read"):
        store(state).key()
    key.unlink()
    key.write_bytes(kept[:31])
    key.chmod(0o600)
    with pytest.raises(StoreError, match="32 bytes"):
        store(state).key()


def test_verify_finds_what_is_wrong(state: TownState) -> None:
    keep(store(state), new("sw1"), new("sw2"), new("sw3", secret="other"), new("sw4"))
    assert [(one.device, one.problem) for one in store(state).verify(unsealed)] == [
        (f"sw{number}", None) for number in (1, 2, 3, 4)
    ]
    files = {device: store(state).raw_file(device) for device in ("sw1", "sw2", "sw3")}
    files["sw1"].write_bytes(files["sw1"].read_bytes()[:-1])
    files["sw2"].write_bytes(files["sw3"].read_bytes())
    files["sw3"].unlink()
    problems = {one.device: one.problem for one in store(state).verify(unsealed)}
    assert problems == {
        "sw1": "it does not decrypt",
        "sw2": "it decrypts, but to something else than what was kept",
        "sw3": "the file is gone",
        "sw4": None,
    }
    # The next run has the devices' configurations again, and writes anew what is gone.
    files["sw1"].unlink()
    keep(store(state, minutes=60), new("sw1"), new("sw3", secret="other"))
    assert {one.device for one in store(state).verify(unsealed) if one.problem} == {"sw2"}


def test_raw_files_that_there_are_not(state: TownState) -> None:
    keep(store(state), new("sw1"))
    for arguments, told in [
        (("sw2",), "riverton has no configuration of 'sw2'"),
        (("../sw1",), "no configuration of"),
        (("sw1", "20200101T000000Z"), "no raw version '20200101T000000Z'; there are: 20270314T020000Z"),
        (("sw1", None, "startup"), "no startup configuration in its version 20270314T020000Z"),
    ]:
        with pytest.raises(StoreError, match=told):
            store(state).raw_file(*arguments)  # type: ignore[arg-type]
