"""Findings about what ends: operating systems, software, machines and their warranties."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.assess.estates import NOW, estate, facts, host, of, rows, told
from tests.unit.feeds.samples import DATA, needs_data, put
from tests.unit.towns import MakeTown

from civicops.assess.facts import Facts
from civicops.assess.findings.hardware_age import equipment
from civicops.assess.findings.software_end_of_life import products
from civicops.assess.host_finding import data
from civicops.assess.lifecycle import END_SOON, end_of_system
from civicops.assess.origins import is_own, own_names
from civicops.assess.package_rules import rules
from civicops.feeds.store import Index
from civicops.report.figures import operating_system
from civicops.town.warranty import Warranties, Warranty

DEBIAN = """version,codename,series,created,release,eol,eol-lts,eol-elts
11,Bullseye,bullseye,2019-07-06,2021-08-14,2024-08-14,2026-08-31,2031-06-30
12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-07-11,2028-06-30,2033-06-30
"""
UBUNTU = """version,codename,series,created,release,eol,eol-server,eol-esm,eol-legacy
20.04 LTS,Focal Fossa,focal,2019-10-17,2020-04-23,2025-05-29,2025-05-29,2030-05-29,2032-05-29
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """An index with small feeds of life cycles, with days that no table of ours has."""
    folder = tmp_path_factory.mktemp("feeds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIVICOPS_STATE", str(folder / "state"))
        (folder / "debian.csv").write_text(DEBIAN)
        (folder / "ubuntu.csv").write_text(UBUNTU)
        cycles = {
            "almalinux": {"9": "2032-05-31", "8": "2027-01-15"},
            "fedora": {"43": "2026-12-09"},
            "postgresql": {"13": "2025-11-13", "15": "2027-11-11", "14": "2026-12-12"},
            "nodejs": {"18": "2025-04-30", "22": "2027-04-30"},
            "redis": {"7.2": False, "6.2": True},
        }
        (folder / "endoflife.json").write_text(
            json.dumps(
                {
                    product: {"releases": [{"releaseCycle": name, "eol": eol} for name, eol in ends.items()]}
                    for product, ends in cycles.items()
                }
            )
        )
        for name in ("debian.csv", "ubuntu.csv", "endoflife.json"):
            put(folder / name)
        return Index()


def system(os_id: str, version: str, pretty: str = "X") -> dict[str, Any]:
    return {"identity.os": {"id": os_id, "version": version, "pretty": pretty}}


@pytest.mark.parametrize(
    ("os_id", "version", "state", "severity", "words"),
    [
        ("debian", "11", "found", "high", "they ended on 2026-08-31 (distro-info-data"),
        ("debian", "12", "fine", "high", "regular support ended on 2026-07-11, and since then: LTS by volunteers"),
        ("ubuntu", "20.04", "found", "critical", "they ended on 2025-05-29"),
        ("almalinux", "9.4", "fine", "high", "until 2032-05-31"),
        ("almalinux", "8", "found", "medium", "end on 2027-01-15 (endoflife.date"),
        ("fedora", "43", "found", "medium", "end on 2026-12-09"),
        ("rocky", "9.4", "fine", "high", "until 2032-05-31 (endoflife.date, 2026-08-22"),  # by our own table
        ("debian", "99", "unknown", "high", "neither in the feeds nor in our table"),
        ("haiku", "r1", "unknown", "high", "neither in the feeds nor in our table"),
    ],
)
def test_the_end_of_an_operating_system(
    index: Index, os_id: str, version: str, state: str, severity: str, words: str
) -> None:
    one = of(system(os_id, version), "os-end-of-life", index=index)
    assert (one.state, one.severity) == (state, severity)
    assert words in one.evidence


def test_extended_support_counts_only_on_the_hosts_that_have_it(index: Index) -> None:
    change = system("ubuntu", "20.04")
    sources = facts()["package_sources"]
    row = ["deb", "https://esm.ubuntu.com/infra/ubuntu", "focal-infra-security", [], True, None, False, True]
    for fetched, state in (("2026-11-30T03:00:00Z", "fine"), (None, "found")):
        table = sources | {"rows": [*sources["rows"], [*row, fetched, None, None, "esm.list"]]}
        one = of(change | {"package_sources": table}, "os-end-of-life", index=index)
        assert one.state == state
        assert state == "found" or "ESM by Ubuntu Pro" in one.evidence


def test_the_last_day_is_supported_and_the_next_is_not(index: Index) -> None:
    until = date(2032, 5, 31)
    for day, state in ((until, "found"), (until + timedelta(days=1), "found"), (until - END_SOON, "fine")):
        now = NOW.replace(year=day.year, month=day.month, day=day.day)
        there = replace(estate(host(facts(system("almalinux", "9")), age=timedelta(0)), index=index), moment=now)
        [one] = told(there, "os-end-of-life")
        assert one.state == state
        assert ("any more" in one.evidence) is (day > until)


@pytest.mark.parametrize("fed", [False, True])
def test_the_report_and_the_finding_agree(index: Index, fed: bool) -> None:
    states = {"past": "bad", "soon": "soon", "later": "good"}
    feeds = index if fed else Index(Path("/nonexistent"))
    for os_id, version in (("debian", "11"), ("debian", "12"), ("fedora", "43"), ("centos", "8"), ("almalinux", "9.4")):
        known = Facts(facts(system(os_id, version)), NOW.isoformat())
        end = end_of_system(known, feeds, NOW.date())
        assert end is not None
        figure = operating_system(known, NOW.date(), feeds)
        assert figure.state == states[end.stage(NOW.date())] and end.source in figure.how


def test_no_name_of_an_origin_stands_in_two_places() -> None:
    besides = data("origins")["distributions"]
    for os_id, matched in rules().distributions.items():
        assert {name.lower() for name in matched.origins}.isdisjoint(besides.get(os_id, ()))
        own = facts({"identity.os": {"id": os_id}})
        for name in (*matched.origins, *besides.get(os_id, ())):
            own["packages"]["rows"] = [["bash", "1", None, None, None, None, None, f"{name}/x"]]
            assert is_own(f"{name}/x", own_names(Facts(own, ""))) is True


@needs_data
def test_every_name_in_our_data_is_one_of_the_real_feed() -> None:
    import yaml

    whole = json.loads((DATA / "endoflife-2026-08-22.json").read_text())
    names = Path(__file__).parents[3] / "src/civicops/assess/os_names.yml"
    systems = yaml.safe_load(names.read_text())["systems"].values()
    assert {one["product"] for one in systems if "product" in one} <= whole.keys()
    for product in products():
        assert product.product in whole, product.product
        cycles = [one["releaseCycle"] for one in whole[product.product]["releases"]]
        if product.cycle:
            assert any(name.count(".") == product.cycle - 1 for name in cycles), product.product


def packages(*found: list[Any]) -> dict[str, Any]:
    columns = ["name", "version", "arch", "source", "source_version", "installed_at", "last_used", "origin"]
    found += (["dpkg", "1.21.22", "Debian/bookworm"],)
    made = [[name, version, "amd64", None, None, None, None, origin] for name, version, origin in found]
    return {"packages": rows(columns, *made, family="dpkg")}


@pytest.mark.parametrize(
    ("package", "state", "words"),
    [
        (["postgresql-13", "13.18-1.pgdg120+1", "apt.postgresql.org/bookworm-pgdg"], "found", "ended on 2025-11-13"),
        (["postgresql-13", "13.18-1.pgdg120+1", None], "found", "ended on 2025-11-13"),  # by its version's mark
        (["postgresql-14", "14.2-1.pgdg120+1", "PGDG"], "found", "end on 2026-12-12"),
        (["postgresql-15", "15.8-1.pgdg120+1", "PGDG"], "fine", "PostgreSQL 15 (postgresql-15) do not end soon"),
        (["postgresql-13", "13.18-0+deb11u1", "Debian/bullseye-security"], "fine", "no software of another maker's"),
        (["postgresql-13", "13.18-0+deb11u1", None], "unknown", "or the distribution mends it"),
        (["postgresql-13", "13.18-0+deb11u1", ""], "found", "ended on 2025-11-13"),
        (["postgresql-9.9", "9.9", "PGDG"], "unknown", "when it ends is not in the feeds"),
        (["postgresql-99", "99", None], "unknown", "neither whether"),
        (["nodejs", "18.20.4-1nodesource1", None], "found", "Node.js 18"),
        (["nodejs", "18.19.0+dfsg-6~deb12u2", "Debian/bookworm"], "fine", "no software of another maker's"),
        (["redis-server", "6:6.2.14-6rl1~bookworm1", "packages.redis.io"], "found", "have ended"),
        (["redis-server", "6:7.2.5-6rl1~bookworm1", "packages.redis.io"], "fine", "Redis 7.2"),
        (["redis-server", "no number", "packages.redis.io"], "unknown", "of an unknown version"),
        (["postgresql-client-13", "13.18", "PGDG"], "fine", "no software of another maker's"),
        (["postgresql-13\n", "13.18", "PGDG"], "fine", "no software of another maker's"),
    ],
)
def test_the_end_of_software_that_is_not_the_distributions(
    index: Index, package: list[Any], state: str, words: str
) -> None:
    one = of(packages(package), "software-end-of-life", index=index)
    assert (one.state, words in one.evidence) == (state, True), one.evidence


def test_where_all_sources_are_the_distributions_so_are_packages_without_an_origin(index: Index) -> None:
    sources = facts()["package_sources"]
    change = packages(["postgresql-13", "13.18-0+deb11u1", None])
    for origin, state in (("Debian/bookworm-security", "fine"), ("PGDG/bookworm-pgdg", "unknown"), (None, "unknown")):
        rows_ = [[*row, origin] for row in sources["rows"]]
        table = sources | {"columns": [*sources["columns"], "origin"], "rows": rows_}
        assert of(change | {"package_sources": table}, "software-end-of-life", index=index).state == state
    by_mark = packages(["postgresql-13", "13.18-1.pgdg120+1", None]) | {"package_sources": table}
    assert of(by_mark, "software-end-of-life", index=index).state == "found"


def test_several_cycles_of_a_product_are_one_finding_by_the_worst_and_what_is_unclear_is_told_too(index: Index) -> None:
    change = packages(
        ["postgresql-13", "13.18-1.pgdg120+1", "PGDG"],
        ["postgresql-14", "14.2-1.pgdg120+1", "PGDG"],
        ["postgresql-15", "15.2-1.pgdg120+1", "PGDG"],
        ["php8.9-fpm", "8.9", None],
    )
    found, unclear = told(estate(host(facts(change)), index=index), "software-end-of-life")
    assert (found.id, found.severity, unclear.id) == ("software-end-of-life-postgresql", "high", "software-end-of-life")
    assert "PostgreSQL 13" in found.evidence and "PostgreSQL 14" in found.evidence
    assert "PostgreSQL 15" not in found.evidence
    assert (unclear.state, "PHP 8.9" in unclear.evidence) == ("unknown", True)


def test_without_the_feed_the_end_of_others_software_is_not_known() -> None:
    one = of(packages(["postgresql-13", "13.18-1.pgdg120+1", "PGDG"]), "software-end-of-life")
    assert (one.id, one.state) == ("software-end-of-life-postgresql", "unknown")


def test_that_something_has_not_ended_is_old_news_once_the_feed_is_old(index: Index) -> None:
    change = packages(["redis-server", "6:7.2.5-1", "packages.redis.io"])
    later = replace(estate(host(facts(change)), index=index), moment=NOW + timedelta(days=400))
    assert [one.state for one in told(later, "software-end-of-life")] == ["unknown"]


def list_of(*warranties: Warranty) -> dict[str, Any]:
    return {"warranties": Warranties(warranties)}


def row(name: str = "", serial: str = "", until: str = "", bought: str = "") -> Warranty:
    days = [date.fromisoformat(text) if text else None for text in (until, bought)]
    return Warranty(name, serial, days[0], days[1], "Dell", "", 2)


@pytest.mark.parametrize(
    ("since", "bought", "state", "severity"),
    [
        ("2024-03-01", "", "unknown", "low"),  # at least that old: not known to be young
        ("2019-03-01", "", "found", "low"),
        ("2015-03-01", "", "found", "medium"),
        (None, "", "unknown", "low"),
        ("2027-03-01", "", "unknown", "low"),
        ("not a day", "", "unknown", "low"),
        (None, "2024-03-01", "fine", "low"),
        ("2015-03-01", "2024-03-01", "fine", "low"),
        ("2024-03-01", "2018-03-01", "found", "low"),
        ("2024-03-01", "2027-03-01", "unknown", "low"),
    ],
)
def test_the_age_of_a_server(since: str | None, bought: str, state: str, severity: str) -> None:
    change = {"hardware.age": {"since": since, "basis": "firmware date; the machine is at least this old"}}
    more = list_of(row("web1", bought=bought)) if bought else {}
    one = of(change, "hardware-age", **more)
    assert (one.state, one.severity) == (state, severity), one.evidence
    assert state == "unknown" or "7 years are the replacement time of a server by the usual practice" in one.evidence


def test_the_towns_own_years_go_first_and_public_safety_has_its_own(make_town: MakeTown) -> None:
    years = {"fiscal_year": 2027, "replacement_years": {"pc": 3, "server": 9}}
    police = [{"id": "police", "name": "Police", "always_on": True}]
    town = make_town(budget=years, departments=police)
    change = {"hardware.age.since": "2019-11-01"}
    assert of(change, "hardware-age", town=town).state == "unknown"  # 7 of 9 years
    change |= {"hardware.model": "OptiPlex 7070", "hardware.chassis": "desktop"}
    one = of(change, "hardware-age", town=town)
    assert (one.state, one.severity) == ("found", "medium")
    assert "3 years are the town's replacement time of a pc" in one.evidence
    there = estate(host(facts(change)), town=town, groups={"dept_police": ["web1"]})
    assert equipment(there.hosts["web1"], Facts(facts(change), ""), there) == "public_safety_pc"
    [of_police] = told(there, "hardware-age")
    assert "3 years are the town's replacement time of a pc" in of_police.evidence


@pytest.mark.parametrize(
    ("change", "groups", "kind"),
    [
        ({}, (), "server"),
        (
            {"hardware.model": "TOUGHBOOK FZ-55", "hardware.vendor": "Panasonic", "hardware.chassis": "laptop"},
            (),
            "rugged",
        ),
        ({"hardware.model": "X", "hardware.chassis": "tower"}, (), None),
        ({"hardware.model": "X", "hardware.chassis": "tower"}, ("all", "servers"), "server"),
        ({"hardware.model": None, "hardware.vendor": None, "hardware.chassis": "mini PC"}, (), "pc"),
        ({"hardware.model": None, "hardware.vendor": None, "hardware.chassis": None}, (), None),
    ],
)
def test_what_kind_of_equipment_it_is(change: dict[str, Any], groups: tuple[str, ...], kind: str | None) -> None:
    body = facts(change)
    one = host(body, groups=frozenset(groups))
    assert equipment(one, Facts(body, ""), estate(one)) == kind


def test_what_is_older_than_any_kind_is_too_old_whatever_it_is() -> None:
    nothing = {"hardware.model": None, "hardware.vendor": None, "hardware.chassis": None}
    assert of(nothing | {"hardware.age.since": "2020-11-01"}, "hardware-age").state == "unknown"
    one = of(nothing | {"hardware.age.since": "2019-11-01"}, "hardware-age")
    assert (one.state, "7 years are the longest replacement time of all kinds of hosts" in one.evidence) == (
        "found",
        True,
    )


def test_virtual_machines_have_no_hardware_of_their_own() -> None:
    for kind in ("vm", "container"):
        there = estate(
            host(facts({"identity.virtualization": {"kind": kind}})), **list_of(row("other", until="2027-01-01"))
        )
        for finding in ("hardware-age", "hardware-warranty", "disk-failing"):
            assert told(there, finding) == []


@pytest.mark.parametrize(
    ("rows_", "state", "severity", "words"),
    [
        ((row("web1", until="2026-11-29"),), "found", "medium", "ended on 2026-11-29, Dell"),
        ((row("web1", until="2026-11-30"),), "found", "low", "ends on 2026-11-30"),
        ((row("web1", until="2027-12-31"),), "fine", "medium", "ends on 2027-12-31"),
        ((row("", "abc1234", until="2027-12-31"),), "fine", "medium", "ends on 2027-12-31"),
        ((row("web1", "OTHER99", until="2027-12-31"),), "unknown", "medium", "the machine says ABC1234"),
        ((row("web1", bought="2024-12-31"),), "unknown", "medium", "does not say until when"),
        ((), "unknown", "medium", "no row of it"),
    ],
)
def test_a_warranty_by_the_towns_list(rows_: tuple[Warranty, ...], state: str, severity: str, words: str) -> None:
    one = of({}, "hardware-warranty", **list_of(*rows_))
    assert (one.state, one.severity, words in one.evidence) == (state, severity, True), one.evidence


def test_a_row_of_the_list_speaks_for_hosts_that_nobody_asks() -> None:
    there = estate(host(None, "pc1", asked=False), host(None, "pc2"), **list_of(row("pc1", until="2020-01-01")))
    assert [(one.about, one.state) for one in told(there, "hardware-warranty")] == [(("pc1",), "found")]


def test_without_a_list_nothing_is_said_and_with_a_broken_one_that_it_is_not_known() -> None:
    assert told(estate(host(facts())), "hardware-warranty") == []
    [one] = told(estate(host(facts()), warranty_fault="warranty.csv has 2 mistakes"), "hardware-warranty")
    assert (one.state, one.evidence) == ("unknown", "warranty.csv has 2 mistakes")
