"""Feeds that are broken, or made to harm: one clear error each, and the former feed stays."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.feeds.samples import cves, kev, osv, osv_lines, put

from civicops.feeds import advices, source, store
from civicops.feeds.error import FeedError
from civicops.feeds.format import Told, formats
from civicops.feeds.importing import look
from civicops.feeds.source import Source
from civicops.feeds.store import Index

pytestmark = pytest.mark.usefixtures("state")

DEBIAN = ("Debian:12", "openssl", "1")
KEV_HEAD = '{"catalogVersion": "1", "vulnerabilities": '
EPSS = "cve,epss,percentile\n"
TSV = "cve\tcvss\tvector\texploitation\tautomatable\ttechnical_impact\n"

HOSTILE = {
    "twice": (kev("CVE-2026-1000", "CVE-2026-1000"), "CVE-2026-1000 is there twice"),
    "a number for a CVE": (kev("CVE-2026-1000", cveID=7), "cveID: int is no CVE's id"),
    "a list for a name": (kev("CVE-2026-1000", vulnerabilityName=[]), "list where a text belongs"),
    "5 MB of name": (kev("CVE-2026-1000", vulnerabilityName="x" * 5_000_000), "more than 1 MB"),
    "a date that is none": (kev("CVE-2026-1000", dateAdded="2026-02-30"), "'2026-02-30' is no date"),
    "of the future": (kev("CVE-2026-1000", released="2999-01-01T00:00:00Z"), "in the future"),
    "half a surrogate": (kev("CVE-2026-1000", vulnerabilityName="\ud800"), "no proper text"),
    "nothing in it": (kev(), "holds nothing"),
    "nested": (KEV_HEAD + "[" * 100_000, "nested too deep"),
    "a key twice": (KEV_HEAD + '[], "vulnerabilities": []}', "stands twice in one object"),
    "no number": (KEV_HEAD + "NaN}", "NaN is no JSON"),
    "a number of 5,000 digits": (KEV_HEAD + "1" * 5000 + "}", "is broken JSON"),
    "cut": (kev("CVE-2026-1000")[:-20], "is broken JSON"),
    "not the same": (osv_lines(osv("DSA-1", DEBIAN), osv("DSA-1", ("Debian:12", "a", "2"))), "DSA-1 is there twice"),
    "its own parent": (osv_lines(osv("DSA-1", DEBIAN, upstream=("DSA-1",))), "leads back to itself"),
    "a cycle": (
        osv_lines(osv("DSA-1", DEBIAN, upstream=("DSA-2",)), osv("DSA-2", DEBIAN, upstream=("DSA-1",))),
        "leads back to itself",
    ),
    "a version that is a command": (osv_lines(osv("DSA-1", ("Debian:12", "a", "$(reboot)"))), "is no version"),
    "a package that is a path": (osv_lines(osv("DSA-1", ("Debian:12", "../etc/x", "1"))), "is no package's name"),
    "events of another type": (osv_lines(osv("DSA-1", DEBIAN) | {"affected": {"ecosystem": "Debian:12"}}), "a list"),
    "likelier than sure": (EPSS + "CVE-2026-1000,1.5,0.5\n", "no number from 0 to 1"),
    "no likelihood": (EPSS + "CVE-2026-1000,nan,0.5\n", "no number from 0 to 1"),
    "four columns": (EPSS + "CVE-2026-1000,0.5,0.5,0.5\n", "line 2: three columns belong here"),
    "points that are none": (TSV + "CVE-2026-1000\t9\t\tmaybe\tno\ttotal\n", "none of none, poc, active"),
    "a tracker of lists": (
        '{"a": {"CVE-2026-1000": {"releases": {"sid": {"status": "resolved"}}}}}',
        "fixed_version: NoneType where a text belongs",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_one_clear_error_and_the_old_stays(tmp_path: Path, name: str) -> None:
    text, why = HOSTILE[name]
    good = tmp_path / "good"
    good.mkdir()
    (good / "kev.json").write_text(kev(*cves(10)))
    (good / "osv.jsonl").write_text(osv_lines(osv("DSA-9", DEBIAN)))
    found = look([good])
    for feed in found.feeds:
        Index().replace(feed.format, feed.name, feed.sources, origin=feed.origin)
    before = (Index().status(), Index().all_kev(), Index().all_advisories("debian", "12"))
    bad = tmp_path / "bad.json"
    bad.write_text(text)
    with pytest.raises(FeedError) as caught:
        put(bad, accept_smaller=True)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert before == (Index().status(), Index().all_kev(), Index().all_advisories("debian", "12"))


def test_a_gzip_of_zeros_is_no_feed(tmp_path: Path) -> None:
    bomb = tmp_path / "kev.json.gz"
    bomb.write_bytes(gzip.compress(bytes(50_000_000), 1))
    found = look([bomb])
    assert found.feeds == []
    assert found.errors == ["kev.json.gz: is no feed that is known here: docs/feeds.md lists them"]


@pytest.mark.parametrize("kind", ["gzip", "zip"])
def test_a_bomb_behind_a_good_beginning(tmp_path: Path, kind: str) -> None:
    bomb = tmp_path / f"osv.{kind}"
    record = osv_lines(osv("DSA-1", DEBIAN)).encode()
    filler = (b" " * 1_000_000 + b"\n") * 40
    if kind == "gzip":
        bomb.write_bytes(gzip.compress(record + filler))
    else:
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.json", record)
            archive.writestr("b.json", filler)
    with pytest.raises(FeedError, match="unpacks to more than is allowed"):
        put(bomb)
    assert Index().status() == {}


def test_an_endless_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_RECORD", 1_000_000)
    path = tmp_path / "osv.jsonl"
    path.write_text(osv_lines(osv("DSA-1", DEBIAN)) + "{" * 1_000_001)
    with pytest.raises(FeedError, match="a line of more than 1 MB"):
        put(path)


def test_more_parts_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_BRACKETS", 1000)
    path = tmp_path / "kev.json"
    path.write_text(KEV_HEAD + "[" + ",".join(["[]"] * 1001) + "]}")
    with pytest.raises(FeedError, match="too many parts"):
        put(path)


def test_more_entries_than_any_feed_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_MOST", 100)
    monkeypatch.setattr(advices, "_MOST", 100)
    (tmp_path / "kev.json").write_text(kev(*cves(101)))
    (tmp_path / "osv.jsonl").write_text(osv_lines(*(osv(f"DSA-{one}", DEBIAN) for one in range(101))))
    for name in ("kev.json", "osv.jsonl"):
        with pytest.raises(FeedError, match="it holds more than 100"):
            put(tmp_path / name)
    assert Index().status() == {}


def test_cut_and_changed_archives(tmp_path: Path) -> None:
    whole = gzip.compress(kev(*cves(2000)).encode())
    (tmp_path / "cut.json.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FeedError, match=r"cut\.json\.gz: is broken"):
        put(tmp_path / "cut.json.gz")
    (tmp_path / "other.json.gz").write_bytes(whole[:-8] + b"\0" * 8)
    with pytest.raises(FeedError, match=r"other\.json\.gz: is broken"):
        put(tmp_path / "other.json.gz")
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04" + b"x" * 100)
    assert look([tmp_path / "cut.zip"]).errors == ["cut.zip: is broken: File is not a zip file"]
    assert Index().status() == {}


def test_what_is_no_ordinary_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert look([tmp_path / "pipe"]).errors == ["pipe: is no ordinary file"]
    assert look([tmp_path]).feeds == []
    assert look([tmp_path / "gone"]).errors == ["gone: can't be read: No such file or directory"]


def test_a_directory_that_leads_into_itself(tmp_path: Path) -> None:
    (tmp_path / "kev.json").write_text(kev("CVE-2026-1000"))
    (tmp_path / "again").symlink_to(tmp_path)
    found = look([tmp_path])
    assert [one.name for one in found.feeds[0].sources] == ["kev.json"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_SHAPED = st.one_of(
    JSON,
    st.fixed_dictionaries(
        {"dateReleased": st.just("2026-01-01"), "vulnerabilities": st.lists(st.dictionaries(st.just("cveID"), JSON))}
    ),
    st.fixed_dictionaries({"id": st.just("DSA-1"), "affected": JSON, "upstream": JSON, "published": JSON}),
    st.fixed_dictionaries(
        {
            "dataType": st.just("CVE_RECORD"),
            "cveMetadata": JSON,
            "containers": st.fixed_dictionaries({"adp": st.lists(JSON)}),
        }
    ),
    st.dictionaries(st.just("a"), st.dictionaries(st.just("CVE-2026-1000"), JSON)),
    st.fixed_dictionaries({"result": st.lists(st.fixed_dictionaries({"name": st.just("x"), "releases": JSON}))}),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=_SHAPED)
def test_any_json_is_rows_or_an_error_of_ours(tmp_path: Path, content: object) -> None:
    path = tmp_path / "any.json"
    path.write_text(json.dumps(content))
    for format in formats():
        for feed in format.feeds:
            try:
                rows = list(format.read(feed, [Source(path)], Told()))
            except FeedError:
                continue
            assert all(isinstance(row, tuple) for row in rows)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300))
def test_any_bytes_are_rows_or_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "security-support-limited"
    for head in (b"", EPSS.encode(), TSV.encode(), b"version,codename,series,created,release,eol\n", b"\x1f\x8b\x08"):
        path.write_bytes(head + content)
        found = look([path])
        assert len(found.feeds) + len(found.errors) == 1
        for feed in found.feeds:
            try:
                list(feed.format.read(feed.name, feed.sources, Told()))
            except FeedError as error:
                assert str(error)
