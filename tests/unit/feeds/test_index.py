"""What replaces what: whole or not at all, by one import at a time, never by something worse unasked."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path

import pytest
from tests.unit.feeds.samples import cves, kev, needs_data, osv, osv_lines, put

from civicops.feeds import database
from civicops.feeds.error import FeedError
from civicops.feeds.format import Row, Told
from civicops.feeds.formats.kev import Kev
from civicops.feeds.importing import look
from civicops.feeds.source import Source
from civicops.feeds.store import Index, days_old
from civicops.state import TownState


@pytest.fixture(autouse=True)
def _state(state: TownState) -> None:
    pass


def kev_file(path: Path, count: int, day: str = "2026-08-07") -> Path:
    path.write_text(kev(*cves(count), released=f"{day}T00:00:00Z"))
    return path


def test_an_index_that_is_not_there_is_empty() -> None:
    index = Index()
    assert index.status() == {}
    assert index.kev("CVE-2026-1000") is None
    assert index.all_advisories("debian", "12") == {}
    assert not index.path.parent.exists(), "who only asks makes nothing"


def test_smaller_or_older_is_refused_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "kev.json"
    put(kev_file(path, 100))
    for count, day, why in ((79, "2026-08-08", "less than 80 %"), (100, "2026-08-06", "older than what is there")):
        with pytest.raises(FeedError, match=why):
            put(kev_file(path, count, day))
        assert Index().status()["kev"].count == len(Index().all_kev()) == 100
    assert put(kev_file(path, 80, "2026-08-08")).feed.count == 80
    done = put(kev_file(path, 3, "2026-08-01"), accept_smaller=True)
    assert (done.feed.count, done.former and done.former.count, len(Index().all_kev())) == (3, 80, 3)


def test_the_day_of_a_copy_says_nothing_of_age(tmp_path: Path) -> None:
    path = tmp_path / "debian.csv"
    head = "version,codename,series,created,release,eol\n12,Bookworm,bookworm,2021-08-14,2023-06-10,"
    for day, end in ((2_000_000, "2026-07-11"), (1_000_000, "2026-07-12")):
        path.write_text(f"{head}{end}\n")
        os.utime(path, (day, day))
        assert put(path).feed.date_from == "file"
    release = Index().release("debian", "12")
    assert release is not None and release.ends == {"eol": "2026-07-12"}


def test_one_record_of_the_future_does_not_date_the_feed(tmp_path: Path) -> None:
    path = tmp_path / "osv.jsonl"
    records = [osv(f"DSA-{day}", ("Debian:12", "a", "1"), published=day) for day in ("2026-08-01", "2999-01-01")]
    path.write_text(osv_lines(*records))
    done = put(path)
    assert (done.feed.date, done.feed.date_from, done.feed.count) == ("2026-08-01", "data", 2)


def test_the_same_once_more_changes_nothing(tmp_path: Path) -> None:
    first = put(kev_file(tmp_path / "kev.json", 5))
    again = put(tmp_path / "kev.json")
    assert (again.unchanged, again.feed) == (True, first.feed)
    assert days_old(first.feed, date(2026, 8, 10)) == 3


def test_feeds_of_advisories_replace_their_own_only(tmp_path: Path) -> None:
    debian, alma = tmp_path / "debian.jsonl", tmp_path / "alma.jsonl"
    debian.write_text(osv_lines(osv("DSA-1", ("Debian:12", "a", "1"))))
    alma.write_text(osv_lines(osv("ALSA-1", ("AlmaLinux:9", "a", "1"))))
    put(debian)
    put(alma)
    debian.write_text(osv_lines(osv("DSA-2", ("Debian:12", "b", "1"))))
    put(debian)
    assert set(Index().all_advisories("debian", "12")) == {"b"}
    assert set(Index().all_advisories("almalinux", "9")) == {"a"}
    with sqlite3.connect(Index().path) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("fix", "advisory", "package", "scope")
        ]
    assert counts == [2, 2, 2, 2]


def test_of_two_files_of_one_feed_the_newest_and_then_the_largest_is_taken(tmp_path: Path) -> None:
    for name, count in (("kev-2026-08-01.json", 9), ("kev-2026-08-02.json", 3), ("x-2026-08-02.json", 5)):
        kev_file(tmp_path / name, count)
    found = look([tmp_path])
    assert [one.name for one in found.feeds[0].sources] == ["x-2026-08-02.json"]
    assert {file for file, _ in found.left_out} == {"kev-2026-08-01.json", "kev-2026-08-02.json"}


class Endless(Kev):
    """Rows enough to reach the disk, and then it never ends."""

    def read(self, feed: str, sources: Sequence[Source], told: Told) -> Iterator[Row]:
        for one in range(30_000):
            yield 2026 * 10**9 + one, "2026-08-01", None, 0, "x" * 400
        Path(sources[0].path.parent, "far").touch()
        time.sleep(60)


def _endless(path: Path) -> None:
    Index().replace(Endless(), "kev", [Source(path)], origin="endless")


def _child(work: Callable[..., object], *arguments: object) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    return process


def _until(path: Path) -> None:
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.01)


def test_killed_in_the_middle_the_former_stays(tmp_path: Path) -> None:
    path = kev_file(tmp_path / "kev.json", 10)
    put(path)
    before = Index().all_kev()
    child = _child(_endless, path)
    try:
        _until(tmp_path / "far")
        assert Index().all_kev() == before  # readers don't wait, and see nothing of it
    finally:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    assert Index().all_kev() == before
    assert Index().status()["kev"].count == 10
    assert put(kev_file(path, 11)).feed.count == len(Index().all_kev()) == 11


def test_killed_in_the_very_first_import(tmp_path: Path) -> None:
    path = kev_file(tmp_path / "kev.json", 10)
    child = _child(_endless, path)
    _until(tmp_path / "far")
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert Index().status() == {}
    assert put(path).feed.count == len(Index().all_kev()) == 10


def test_who_comes_while_another_imports_waits_or_is_told(tmp_path: Path) -> None:
    path = kev_file(tmp_path / "kev.json", 10)
    put(path)
    child = _child(_endless, path)
    try:
        _until(tmp_path / "far")
        with pytest.raises(FeedError, match="another import"), database.writing(Index().path, patience=0.1):
            pytest.fail("two imports at once")
    finally:
        child.kill()
        child.join()


def test_many_imports_at_once_are_one_after_the_other(tmp_path: Path) -> None:
    paths = [kev_file(tmp_path / f"kev{one}.json", 100 + one) for one in range(4)]
    children = [_child(put, path) for path in paths]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    count = Index().status()["kev"].count
    assert count in range(100, 104)
    assert len(Index().all_kev()) == count


def test_a_steady_index_sees_one_state(tmp_path: Path) -> None:
    path = kev_file(tmp_path / "kev.json", 10)
    put(path)
    index = Index()
    with index.steady():
        before = index.all_kev()
        put(kev_file(path, 12))
        assert index.all_kev() == before
    assert len(index.all_kev()) == 12


def test_a_damaged_index_or_one_of_another_version_is_told(tmp_path: Path) -> None:
    path = kev_file(tmp_path / "kev.json", 10)
    put(path)
    index = Index()
    with sqlite3.connect(index.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(FeedError, match="another version"):
        index.status()
    with pytest.raises(FeedError, match="another version"):
        put(path)
    for beside in index.path.parent.glob("index.sqlite*"):
        beside.unlink()
    index.path.write_bytes(b"no database at all" * 100)
    with pytest.raises(FeedError, match="damaged: remove it"):
        index.status()
    with pytest.raises(FeedError, match="damaged: remove it"):
        put(path)


@needs_data
def test_the_real_feeds() -> None:
    """The figures of ../shared/data/README.md, counted there by other means."""
    from tests.unit.feeds.samples import DATA

    found = look([DATA])
    assert found.errors == []
    for feed in found.feeds:
        Index().replace(feed.format, feed.name, feed.sources, origin=feed.origin)
    there = {name: feed.count for name, feed in Index().status().items()}
    assert there["kev"] == 1662
    assert there["endoflife"] == 8351
    assert there["vulnrichment"] == 44130
    assert there["osv-debian"] == 11375 - 29  # these name no package
    assert there["osv-almalinux"] == 5680 - 43  # these stand there twice
    bookworm = Index().all_advisories("debian", "12")
    pairs = {(package, cve) for package, ones in bookworm.items() for one in ones for cve in one.cves}
    assert len(pairs) == 8580
    assert len({one.id for ones in bookworm.values() for one in ones}) == 871
    assert Index().advisories("debian", "12", "openssl") == bookworm["openssl"]
    release = Index().release("debian", "12")
    assert release is not None and release.ends["eol"] == "2026-07-11"
    assert sum(file.stat().st_size for file in Index().path.parent.iterdir()) < 60_000_000
