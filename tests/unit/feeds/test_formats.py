"""Each format in its source's layout: what goes into the index is what the feed says."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.feeds.samples import kev, osv, osv_lines, put

from civicops.feeds.error import FeedError
from civicops.feeds.formats.osv import _refuse_cycles
from civicops.feeds.store import Advisory, Exploited, Index, Life, Likelihood, Points
from civicops.feeds.values import cve_number, cve_text

pytestmark = pytest.mark.usefixtures("state")


def write(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_kev(tmp_path: Path) -> None:
    done = put(write(tmp_path, "anything.json", kev("CVE-2026-8037", "CVE-2026-10000")))
    assert (done.feed.name, done.feed.count, done.feed.date, done.feed.date_from) == ("kev", 2, "2026-08-07", "data")
    assert Index().kev("CVE-2026-8037") == Exploited("2026-08-01", "2026-08-15", True, "Acme CVE-2026-8037")
    assert Index().kev("CVE-2026-10000") == Exploited("2026-08-01", "2026-08-15", False, "Acme CVE-2026-10000")
    assert Index().kev("CVE-2026-9999") is None
    assert set(Index().all_kev()) == {"CVE-2026-8037", "CVE-2026-10000"}


def test_epss_with_and_without_its_comment(tmp_path: Path) -> None:
    rows = "cve,epss,percentile\nCVE-1999-0001,0.01297,0.85672\nCVE-2026-123456,1,1\n"
    head = "#model_version:v2025.03.14,score_date:2026-08-20T00:00:00+0000\n"
    packed = tmp_path / "epss_scores-current.csv.gz"
    packed.write_bytes(gzip.compress((head + rows).encode()))
    done = put(packed)
    assert (done.feed.date, done.feed.count) == ("2026-08-20", 2)
    assert Index().epss("CVE-1999-0001") == Likelihood(0.01297, 0.85672)
    plain = put(write(tmp_path, "epss_scores-2026-08-21.csv", rows))
    assert (plain.feed.date, plain.feed.date_from) == ("2026-08-21", "name")


def test_osv_of_each_distribution(tmp_path: Path) -> None:
    records = {
        "debian": osv("DSA-1-1", ("Debian:12", "openssl", "3.0.17-1~deb12u2"), upstream=("CVE-2026-1000",)),
        "almalinux": osv("ALSA-2026:1", ("AlmaLinux:9", "openssl", "1:3.0.7-29.el9"), related=["CVE-2026-1000"]),
        "rocky": osv("RLSA-2026:1", ("Rocky Linux:9", "openssl", "1:3.0.7-29.el9_4"), upstream=("CVE-2026-1000",)),
        "ubuntu": osv("UBUNTU-CVE-2026-1000", ("Ubuntu:22.04:LTS", "openssl", None), ("Ubuntu:Pro:18.04", "x", "1")),
    }
    releases = {"debian": "12", "almalinux": "9", "rocky": "9", "ubuntu": "22.04"}
    for distribution, record in records.items():
        done = put(write(tmp_path, f"{distribution}.jsonl", osv_lines(record)))
        assert done.feed.name == f"osv-{distribution}"
        (found,) = Index().advisories(distribution, releases[distribution], "openssl")
        assert (found.id, found.cves) == (record["id"], ("CVE-2026-1000",))
    assert Index().advisories("debian", "12", "openssl")[0].fixed == "3.0.17-1~deb12u2"
    assert found == Advisory("UBUNTU-CVE-2026-1000", ("CVE-2026-1000",), None, None, "open", "osv-ubuntu")
    assert Index().advisories("ubuntu-pro", "18.04", "x")[0].fixed == "1"
    assert Index().advisories("ubuntu", "18.04", "x") == []
    assert Index().all_advisories("ubuntu", "22.04") == {"openssl": [found]}


def test_osv_in_a_zip_in_a_directory_and_over_many_lines_is_the_same(tmp_path: Path) -> None:
    records = [osv(f"DSA-{one}-1", ("Debian:12", f"p{one}", "1")) for one in range(3)]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for record in records:
            archive.writestr(f"{record['id']}.json", json.dumps(record))
    folder = tmp_path / "advisories"
    folder.mkdir()
    for record in records:
        write(folder, f"{record['id']}.json", json.dumps(record, indent=2))
    there = []
    for path in (tmp_path / "all.zip", folder, write(tmp_path, "all.json", json.dumps(records))):
        assert put(path).feed.count == 3
        there.append(Index().all_advisories("debian", "12"))
    assert there[0] == there[1] == there[2]
    assert set(there[0]) == {"p0", "p1", "p2"}


def test_what_osv_leaves_out_is_counted(tmp_path: Path) -> None:
    same = osv("DSA-1-1", ("Debian:12", "a", "1"))
    text = osv_lines(
        same,
        same,
        osv("DSA-2-1", ("Debian:12", "a", "1"), withdrawn="2026-01-01T00:00:00Z"),
        osv("DSA-3-1", ("Alpine:v3.18", "a", "1")),
        osv("DSA-4-1", ("Debian:11", "gone", "<end-of-life>"), ("Debian:11", "left", "<unfixed>")),
    )
    done = put(write(tmp_path, "x.jsonl", text))
    assert done.feed.count == 2
    assert done.left_out == {
        "withdrawn advisories": 1,
        "advisories that concern no release of debian": 1,
        "advisories that stand there twice, the same": 1,
    }
    states = {name: (one.state, one.fixed) for name, (one,) in Index().all_advisories("debian", "11").items()}
    assert states == {"gone": ("end-of-life", None), "left": ("open", None)}


def test_the_trackers_states(tmp_path: Path) -> None:
    def entry(**of_release: str) -> dict[str, object]:
        return {"releases": {"bookworm": of_release}}

    tracker = {
        "openssl": {
            "CVE-2026-1000": entry(status="resolved", fixed_version="3.0.17-1~deb12u2", urgency="high"),
            "CVE-2026-1001": entry(status="resolved", fixed_version="0", urgency="unimportant"),
            "CVE-2026-1002": entry(status="open", urgency="not yet assigned"),
            "CVE-2026-1003": entry(status="open", urgency="low", nodsa="Minor issue", nodsa_reason=""),
            "CVE-2026-1004": entry(status="open", urgency="low", nodsa="Minor issue", nodsa_reason="ignored"),
            "CVE-2026-1005": entry(status="open", urgency="low", nodsa="Minor", nodsa_reason="postponed"),
            "CVE-2026-1006": entry(status="open", urgency="end-of-life"),
            "CVE-2026-1007": entry(status="open", urgency="unimportant"),
            "TEMP-0290435-0B57B5": entry(status="undetermined", urgency="unimportant"),
        },
        "edk2": {"CVE-2026-1002": entry(status="open", urgency="not yet assigned")},
    }
    done = put(write(tmp_path, "json", json.dumps(tracker)))
    assert (done.feed.name, done.feed.count) == ("debian-tracker", 9)
    found = {one.id: one for one in Index().advisories("debian", "12", "openssl")}
    assert {name: (one.state, one.fixed) for name, one in found.items()} == {
        "CVE-2026-1000": ("fixed", "3.0.17-1~deb12u2"),
        "CVE-2026-1001": ("not-affected", None),
        "CVE-2026-1002": ("open", None),
        "CVE-2026-1003": ("no-dsa", None),
        "CVE-2026-1004": ("ignored", None),
        "CVE-2026-1005": ("postponed", None),
        "CVE-2026-1006": ("end-of-life", None),
        "CVE-2026-1007": ("unimportant", None),
        "TEMP-0290435-0B57B5": ("undetermined", None),
    }
    assert found["TEMP-0290435-0B57B5"].cves == ()
    assert [one.id for one in Index().advisories("debian", "12", "edk2")] == ["CVE-2026-1002"]


def test_endoflife_of_the_api_and_of_the_repository(tmp_path: Path) -> None:
    api = {
        "schema_version": "1.2.0",
        "generated_at": "2026-08-22T05:00:00+00:00",
        "result": [
            {
                "name": "debian",
                "releases": [
                    {
                        "name": "12",
                        "releaseDate": "2023-06-10",
                        "isEol": False,
                        "eolFrom": "2028-06-30",
                        "isEoas": True,
                        "eoasFrom": "2026-07-11",
                        "latest": {"name": "12.11", "date": "2025-05-17", "link": "https://example.org"},
                    },
                    {"name": "sid", "releaseDate": "1993-08-16", "isEol": False, "eolFrom": None, "latest": None},
                ],
            }
        ],
    }
    assert put(write(tmp_path, "full.json", json.dumps(api))).feed.date == "2026-08-22"
    bookworm = Life("2023-06-10", "2028-06-30", "2026-07-11", None, "12.11")
    assert Index().life("debian", "12") == bookworm
    assert Index().life("debian", "sid") == Life("1993-08-16", False, None, None, None)
    release = {"releaseCycle": "12", "releaseDate": "2023-06-10", "eol": "2028-06-30", "eoas": "2026-07-11"}
    repository = {
        "debian": {"releases": [release | {"latest": "12.11"}, release | {"releaseCycle": "13", "eol": True}]}
    }
    put(write(tmp_path, "all-2026-08-23.json", json.dumps(repository)))
    assert Index().life("debian", "12") == bookworm
    assert Index().life("debian", "13") == Life("2023-06-10", True, "2026-07-11", None, None)
    assert Index().life("debian", "sid") is None


def test_distro_info(tmp_path: Path) -> None:
    debian = "version,codename,series,created,release,eol,eol-lts,eol-elts\n"
    debian += "12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-07-11,2028-06-30,2033-06-30\n14,Forky,forky,2025-08-09\n"
    ubuntu = "version,codename,series,created,release,eol,eol-server,eol-esm,eol-legacy\n"
    ubuntu += "24.04 LTS,Noble Numbat,noble,2023-10-26,2024-04-25,2029-05-31,2029-05-31,2034-04-25,2039-04-25\n"
    put(write(tmp_path, "debian.csv", debian))
    put(write(tmp_path, "ubuntu.csv", ubuntu))
    found = Index().release("debian", "12")
    assert found is not None
    assert (found.series, found.ends["eol-lts"]) == ("bookworm", "2028-06-30")
    noble = Index().release("ubuntu", "24.04")
    assert noble is not None
    assert (noble.series, noble.ends["eol-esm"]) == ("noble", "2034-04-25")


def test_debian_support(tmp_path: Path) -> None:
    ended = "# List of packages whose security support ends before the distribution EOL\n\n"
    ended += "php-horde.*\t0\t\t2025-03-22\thttps://example.org; incompatible\npdns   4.7.3-2  2025-10-01\n"
    limited = "# List of packages where security support is limited\ngolang.*   See notes\nvte\n"
    write(tmp_path, "security-support-ended.deb12", ended)
    write(tmp_path, "security-support-ended", ended)
    write(tmp_path, "security-support-limited", limited)
    done = put(tmp_path)
    assert (done.feed.count, done.left_out) == (4, {"security-support-ended: its name tells no release": 1})
    found = {one.package: one for one in Index().support("12")}
    assert (found["pdns"].until, found["pdns"].version) == ("2025-10-01", "4.7.3-2")
    assert found["golang.*"].concerns("golang-1.19") and not found["vte"].concerns("vte2.91")
    assert [one.package for one in Index().support("13")] == ["golang.*", "vte"]


def test_vulnrichment_as_records_and_as_a_table(tmp_path: Path) -> None:
    options = [{"Exploitation": "active"}, {"Automatable": "yes"}, {"Technical Impact": "total"}]
    record = {
        "dataType": "CVE_RECORD",
        "cveMetadata": {"cveId": "CVE-2026-1000"},
        "containers": {
            "adp": [
                {
                    "providerMetadata": {"shortName": "CISA-ADP", "dateUpdated": "2026-08-20T10:00:00Z"},
                    "metrics": [
                        {"other": {"type": "ssvc", "content": {"id": "CVE-2026-1000", "options": options}}},
                        {"cvssV3_1": {"baseScore": 9.8, "vectorString": "CVSS:3.1/AV:N"}},
                    ],
                }
            ]
        },
    }
    bare = {"dataType": "CVE_RECORD", "cveMetadata": {"cveId": "CVE-2026-1001"}, "containers": {"cna": {}}}
    with zipfile.ZipFile(tmp_path / "vulnrichment.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("develop/.github/settings.json", "{}")
        archive.writestr("develop/2026/1xxx/CVE-2026-1000.json", json.dumps(record, indent=4))
        archive.writestr("develop/2026/1xxx/CVE-2026-1001.json", json.dumps(bare, indent=4))
    done = put(tmp_path / "vulnrichment.zip")
    assert (done.feed.date, done.feed.count) == ("2026-08-20", 1)
    assert done.left_out == {"records without points of CISA": 2}
    assert Index().ssvc("CVE-2026-1000") == Points(9.8, "CVSS:3.1/AV:N", "active", "yes", "total")
    table = "cve\tcvss\tseverity\tvector\texploitation\tautomatable\ttechnical_impact\tkev\n"
    table += "CVE-2026-1000\t\t\t\tnone\tno\tpartial\t\nCVE-2026-1002\t4.3\tMEDIUM\tCVSS:3.1/AV:L\t\t\t\t\n"
    put(write(tmp_path, "v-2026-08-21.tsv", table))
    assert Index().ssvc("CVE-2026-1000") == Points(None, None, "none", "no", "partial")
    assert Index().ssvc("CVE-2026-1002") == Points(4.3, "CVSS:3.1/AV:L", None, None, None)


@given(st.integers(1990, 2999), st.integers(1, 999_999_999))
def test_a_cves_number_is_its_text(year: int, serial: int) -> None:
    text = f"CVE-{year}-{serial:04d}"
    assert cve_text(cve_number(text)) == text


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefg"), max_size=3).map(tuple)))
def test_a_cycle_is_found_wherever_it_is(above: dict[str, tuple[str, ...]]) -> None:
    """Against a slow and plain one: who reaches itself?"""
    reach = {one: set(following) for one, following in above.items()}
    for _ in above:
        for one in reach:
            reach[one] |= {far for near in list(reach[one]) for far in reach.get(near, ())}
    if any(one in reached for one, reached in reach.items()):
        with pytest.raises(FeedError, match="leads back to itself"):
            _refuse_cycles(above)
    else:
        _refuse_cycles(above)
