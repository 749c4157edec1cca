"""`civicops findings` from outside."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.assess import package_samples
from tests.unit.assess.samples import HOSTILE
from tests.unit.assess.test_packages import forget
from tests.unit.feeds.samples import kev, osv, osv_lines, put
from tests.unit.towns import MakeTown

from civicops.assess.advisory import thin
from civicops.cli.main import run
from civicops.ledger.documents import Document, canonical
from civicops.ledger.store import Ledger
from civicops.moments import stamp
from civicops.runs.assessed import record_findings
from civicops.runs.inventory import InventoryError
from civicops.runs.journal import Journal, RunOrder
from civicops.state import TownState
from civicops.town import Town

NOW = datetime.now(UTC)
TODAY = NOW.date()
ONE, TWO = "20261130T010000Z-checkup-aaaaaa", "20261130T020000Z-checkup-bbbbbb"
CVE, OTHER = "CVE-2026-1000", "CVE-2026-1001"
GROUPS = {"all": ["web1", "web2", "cad1"], "dept_police": ["cad1"], "system_cad": ["cad1"], "internal": ["web1"]}


@dataclass(frozen=True)
class Told:
    """What a command said, and its exit status."""

    status: object
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Civicops = Callable[..., Told]


def body(**versions: str) -> dict[str, Any]:
    """A host's facts: Debian 12 with packages of these names and versions."""
    return package_samples.body(*(package_samples.row(name, version) for name, version in versions.items()))


def answer(town: str, run: str, **hosts: dict[str, Any] | None) -> None:
    """A checkup's documents, as its run leaves them; None: the host was unreachable."""
    told: list[tuple[str, str, Any]] = []
    for host, facts in hosts.items():
        if facts is None:
            reason = {"outcome": "unreachable", "task": "t", "action": "a", "reason": HOSTILE, "ignored": False}
            told.append(("contact", host, reason))
        else:
            told.append(("host-facts", host, facts))
    outcomes = {host: "ok" if facts else "unreachable" for host, facts in hosts.items()}
    told.append(("run", "", {"playbook": "checkup", "started_at": "", "ended_at": "", "hosts": outcomes}))
    append(town, run, *told)


def append(town: str, run: str, *told: tuple[str, str, Any]) -> None:
    with Ledger(town, state=TownState(town)) as ledger:
        for kind, host, content in told:
            fields = {"target": None, "run": run, "job": "checkup", "check": False, "attempt": 1, "version": 1}
            name = str(uuid.uuid4())
            moment = stamp(datetime.now(UTC))
            one = Document(kind=kind, id=name, town=town, host=host, collected_at=moment, body=content, **fields)  # type: ignore[arg-type]
            ledger.append([one])


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    return make_town(
        departments=[{"id": "police", "name": "Police", "handles": ["cji"]}],
        systems=[{"id": "cad", "name": "Dispatch", "department": "police", "criticality": 5}],
    )


def checked_up(town: Town, state: TownState, run: str) -> None:
    """What becomes of a checkup that `civicops` has started, once it has ended."""
    order = RunOrder(run, town.id, town.sha256, "checkup", None, False, "ops", 1, stamp(NOW))
    Journal(state, order)
    assert record_findings(town, state, run) is None


@pytest.fixture
def civicops(
    town: Town,
    state: TownState,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Civicops:
    """The command, for a town called riverton whose inventory has three hosts."""
    del town, state
    monkeypatch.setenv("CIVICOPS_INVENTORIES", str(tmp_path / "inventories"))
    monkeypatch.setattr("civicops.report.findings.read_groups", lambda *_: GROUPS)
    monkeypatch.setattr("civicops.runs.assessed.groups_of_run", lambda *_: GROUPS)
    monkeypatch.setattr("civicops.runs.inventory.read_groups", lambda *_: GROUPS)

    def command(*arguments: str) -> Told:
        with pytest.raises(SystemExit) as end:
            run(["findings", *arguments])
        said = capsys.readouterr()
        return Told(end.value.code or 0, said.out, said.err)

    return command


@pytest.fixture
def feeds(state: TownState, tmp_path: Path) -> None:
    """openssl is mended in 3.0.11, curl in 8.0; the first is exploited."""
    records = [
        osv("DSA-1-1", ("Debian:12", "openssl", "3.0.11"), upstream=(CVE,)),
        osv("DSA-2-1", ("Debian:12", "curl", "8.0"), upstream=(OTHER,)),
        osv("DSA-3-1", ("Debian:12", "linux", "6.1.9"), upstream=("CVE-2026-1002",)),
    ]
    file = tmp_path / "debian.osv.jsonl"
    file.write_text(osv_lines(*records))
    put(file)
    (tmp_path / "kev.json").write_text(kev(CVE))
    put(tmp_path / "kev.json")


def waive(tmp_path: Path, finding: str, hosts: str = "*", *, days: int = 30) -> None:
    one = {
        "finding": finding,
        "hosts": hosts,
        "reason": "The vendor's console.",
        "approver": "J. Ortiz",
        "granted": str(TODAY - timedelta(days=60)),
        "expires": str(TODAY + timedelta(days=days)),
    }
    text = yaml.safe_dump({"waivers": [one]})
    (tmp_path / "inventories/riverton/waivers.yml").write_text(text)


def three() -> None:
    answer("riverton", ONE, web1=body(openssl="3.0.9"), web2=body(openssl="3.0.11", curl="7.0"), cad1=None)


@pytest.mark.usefixtures("feeds")
def test_the_worst_stands_first_with_its_deadline_and_who_has_not_answered(civicops: Civicops) -> None:
    three()
    told = civicops("riverton")
    assert told.status == 0 and told.err == ""
    lines = told.out.splitlines()
    assert lines[0].startswith("Riverton (riverton): 3 hosts: ")
    first = next(line for line in lines if line.startswith(("critical", "high", "medium", "low")))
    assert "openssl" in first and "vulnerable-openssl" in first
    assert "overdue since 2026-08-1" in told.out and "BOD 26-04" in told.out
    assert "automatable or not: not known" in told.out
    assert "\x1b" not in told.out and "\u202e" not in told.out, "a host's own words are made harmless"
    assert "Not known:" in told.out


@pytest.mark.usefixtures("feeds")
def test_json_has_what_the_rank_rests_on(civicops: Civicops) -> None:
    three()
    told = civicops("riverton", "--json", "--all").json
    first = told["findings"][0]
    assert (first["id"], first["about"], first["cves"]) == ("vulnerable-openssl", ["web1"], [CVE])
    assert first["rank"]["exploited"] is True and first["rank"]["exposed"] is False and first["rank"]["epss"] is None
    assert first["deadline"]["rule"] == "BOD 26-04" and first["overdue"]
    assert {one["name"] for one in told["feeds"]} == {"osv-debian", "kev"}
    assert all(one["source"] and one["to_be_checked"] for one in told["rules"])
    assert told["hosts"]["web1"]["colour"] == "bad" and told["hosts"]["cad1"]["colour"] != "good"
    assert told["hosts"]["cad1"]["missed"].startswith("unreachable")
    assert any("epss" in one for one in told["doubts"])
    of_cad = [one for one in told["findings"] if "cad1" in one["about"]]
    assert of_cad and all(one["state"] == "unknown" or not one["cves"] for one in of_cad)
    assert told["fine"]


@pytest.mark.usefixtures("feeds")
def test_one_host_has_all_of_its_own(civicops: Civicops) -> None:
    three()
    told = civicops("riverton", "--host", "web2")
    assert told.status == 0
    assert "vulnerable-curl" in told.out and "vulnerable-openssl" not in told.out
    assert "place: since " in told.out and "EPSS not known" in told.out
    assert civicops("riverton", "--host", "web*", "--json").json["hosts"].keys() == {"web1", "web2"}
    wrong = civicops("riverton", "--host", "web9\x1b")
    assert wrong.status == 2 and "perhaps web" in wrong.err and "\x1b" not in wrong.err and not wrong.out


@pytest.mark.usefixtures("feeds")
def test_fail_on(civicops: Civicops, tmp_path: Path) -> None:
    three()
    told = civicops("riverton", "--fail-on", "critical")
    assert told.status == 5 and "of severity critical found and not waived" in told.err
    assert civicops("riverton", "--host", "cad1", "--fail-on", "unknown").status == 5
    answer("riverton", TWO, web1=body(openssl="3.0.11"))
    told = civicops("riverton", "--fail-on", "unknown")
    assert (
        told.status == 5 and "not yet asked, as the inventory has them since the last checkup: cad1, web2" in told.err
    )
    wrong = civicops("riverton", "--fail-on", "severe")
    assert wrong.status == 2 and "low, medium, high, critical, unknown" in wrong.err


@pytest.mark.usefixtures("feeds")
def test_what_is_waived_stands_apart_and_comes_back_when_it_runs_out(civicops: Civicops, tmp_path: Path) -> None:
    three()
    waive(tmp_path, CVE.lower(), "web1")
    told = civicops("riverton", "--json").json
    (waived,) = told["waived"]
    assert waived["id"] == "vulnerable-openssl" and waived["waivers"][0]["approver"] == "J. Ortiz"
    assert "vulnerable-openssl" not in {one["id"] for one in told["findings"]}
    shown = civicops("riverton").out
    assert (
        "Waived:" in shown and f"waived: The vendor's console. (J. Ortiz, until {TODAY + timedelta(days=30)})" in shown
    )
    waive(tmp_path, CVE.lower(), "web1", days=-1)
    told = civicops("riverton", "--json").json
    assert told["waived"] == []
    back = next(one for one in told["findings"] if one["id"] == "vulnerable-openssl")
    assert back["remarks"] == [f"the waiver of J. Ortiz for {CVE.lower()} expired on {TODAY - timedelta(days=1)}"]
    waive(tmp_path, "vulnerable-opensll")
    assert "no finding there is so named" in civicops("riverton").out
    (tmp_path / "inventories/riverton/waivers.yml").write_text("waivers: [{finding: x}]")
    broken = civicops("riverton")
    assert broken.status == 2 and "waivers.yml:1" in broken.err and not broken.out


@pytest.mark.usefixtures("feeds")
def test_sarif_shows_waived_ones_as_suppressed_and_unknown_ones_as_to_be_looked_at(
    civicops: Civicops, tmp_path: Path
) -> None:
    three()
    waive(tmp_path, "vulnerable-openssl")
    (log,) = civicops("riverton", "--sarif").json["runs"]
    ids = [rule["id"] for rule in log["tool"]["driver"]["rules"]]
    assert all(ids[one["ruleIndex"]] == one["ruleId"] for one in log["results"])
    (waived,) = [one for one in log["results"] if "suppressions" in one]
    assert waived["ruleId"] == "vulnerable-openssl" and waived["suppressions"][0]["status"] == "accepted"
    assert {one["kind"] for one in log["results"]} == {"fail", "review"}
    assert not log["invocations"][0]["executionSuccessful"], "cad1 has not answered"
    assert len({one["partialFingerprints"]["civicopsFinding/v1"] for one in log["results"]}) == len(log["results"])


@pytest.mark.usefixtures("feeds")
def test_what_is_new_gone_and_worse_since_a_run(civicops: Civicops, town: Town, state: TownState) -> None:
    three()
    checked_up(town, state, ONE)
    assert civicops("riverton", "--since", ONE).out.splitlines()[-1] == "  nothing is different"
    answer("riverton", TWO, web1=body(openssl="3.0.11", curl="7.0"), web2=body(openssl="3.0.9", curl="7.0"), cad1=None)
    for since in (ONE, "last"):
        told = civicops("riverton", "--since", since, "--json").json["since"]
        assert told["run"] == ONE and told["exact"] is True
        of_packages = {(one["about"], one["id"]): one["what"] for one in told["changes"] if "vulnerable" in one["id"]}
        assert of_packages == {
            ("web1", "vulnerable-openssl"): "gone",
            ("web1", "vulnerable-curl"): "new",
            ("web2", "vulnerable-openssl"): "new",
        }
    assert "vulnerable-curl: web1: it was not found before" in civicops("riverton", "--since", ONE).out
    checked_up(town, state, TWO)
    assert civicops("riverton", "--since", "last", "--json").json["since"]["run"] == ONE, "before the newest answers"
    assert civicops("riverton", "--since", TWO, "--json").json["since"]["changes"] == []
    one = civicops("riverton", "--since", ONE, "--host", "web2", "--json").json["since"]["changes"]
    assert {change["about"] for change in one} == {"web2"}


@pytest.mark.usefixtures("feeds")
@pytest.mark.parametrize("blinded", ["cut", "release", "feed"])
def test_what_can_not_be_seen_any_more_is_not_gone(
    civicops: Civicops, town: Town, state: TownState, blinded: str
) -> None:
    kernel = package_samples.row("linux-headers-1", "6.1", "linux-signed-amd64")
    before = package_samples.body(package_samples.row("openssl", "3.0.9"), kernel)
    now = copy.deepcopy(before)
    if blinded == "cut":
        now["packages"]["rows"] = [package_samples.row("bash", "1")]
        now["unread"] = [{"item": "packages", "reason": "truncated: only 1 of 3 items kept"}]
    elif blinded == "release":
        now["identity"]["os"]["id"] = "nonesuch"
    answer("riverton", ONE, web1=before)
    checked_up(town, state, ONE)
    if blinded == "feed":
        forget("osv-debian")
    for later in (TWO, TWO.replace("b", "c"), TWO.replace("b", "d")):
        answer("riverton", later, web1=now)
        changed = civicops("riverton", "--since", ONE, "--json").json["since"]["changes"]
        of_packages = {one["id"]: one["what"] for one in changed if "vulnerable" in one["id"]}
        assert of_packages == {"vulnerable-openssl": "unseen", "vulnerable-linux": "unseen"}
        checked_up(town, state, later)


@pytest.mark.usefixtures("feeds")
def test_what_was_mended_is_gone_only_where_it_was_seen_what_runs(
    civicops: Civicops, town: Town, state: TownState
) -> None:
    answer("riverton", ONE, web1=body(openssl="3.0.9", curl="7.0"))
    checked_up(town, state, ONE)
    hidden = body(openssl="3.0.11") | {"unread": [{"item": "reboot.stale_processes", "reason": "needs root"}]}
    for now, openssl in ((hidden, "unseen"), (body(openssl="3.0.11"), "gone")):
        answer("riverton", TWO, web1=now)
        changes = civicops("riverton", "--since", ONE, "--json").json["since"]["changes"]
        told = {one["id"]: one["what"] for one in changes if "vulnerable" in one["id"]}
        assert told == {"vulnerable-openssl": openssl, "vulnerable-curl": "gone"}, "curl is not there any more"


@pytest.mark.usefixtures("feeds")
def test_a_run_that_nothing_was_recorded_for_is_worked_out_and_says_so(civicops: Civicops) -> None:
    three()
    answer("riverton", TWO, web1=body(openssl="3.0.11"), web2=body(openssl="3.0.11", curl="7.0"), cad1=None)
    told = civicops("riverton", "--since", ONE)
    assert "nothing was recorded then: worked out from its documents, with the feeds" in told.out
    assert "vulnerable-openssl: web1: it was found before, and is not there now" in told.out
    for wrong, words in (
        ("20261130T010000Z-checkup-cccccc", "no run 20261130T010000Z-checkup-cccccc"),
        ("../x", "no run's id"),
        ("last", "name a run"),
    ):
        refused = civicops("riverton", "--since", wrong)
        assert refused.status == 2 and words in refused.err and not refused.out


@pytest.mark.usefixtures("feeds")
def test_a_checkup_records_what_it_has_found_once_and_deadlines_count_from_there(
    civicops: Civicops, town: Town, state: TownState
) -> None:
    three()
    checked_up(town, state, ONE)
    assert record_findings(town, state, ONE) is None
    with Ledger("riverton", state=state) as ledger:
        (entry,) = ledger.newest("findings", 5)
        recorded = ledger.body(entry)
    assert recorded["systems"] == {"cad": ["cad1"]} and {one["name"] for one in recorded["feeds"]} == {
        "kev",
        "osv-debian",
    }
    (row,) = [one for one in recorded["rows"] if one["id"] == "vulnerable-curl"]
    assert row["about"] == ["web2"] and row["cves"] == [[str(TODAY), [OTHER]]]
    row["since"], row["cves"][0][0] = "2026-09-01", "2026-09-01"
    append("riverton", ONE, ("findings", "", recorded))
    found = civicops("riverton", "--host", "web2", "--json").json["findings"]
    assert {one["since"] for one in found if one["id"] == "vulnerable-curl"} == {"2026-09-01"}


@pytest.mark.usefixtures("feeds")
def test_where_the_inventory_can_not_be_read_it_is_said_and_no_group_s_waiver_holds(
    civicops: Civicops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise InventoryError("hosts.yml: the inventory can't be read: nonsense")

    three()
    waive(tmp_path, "vulnerable-openssl", "group:internal")
    assert len(civicops("riverton", "--json").json["waived"]) == 1
    monkeypatch.setattr("civicops.report.findings.read_groups", unreadable)
    told = civicops("riverton", "--json").json
    assert told["waived"] == [] and any("nonsense" in one for one in told["doubts"])
    first = told["findings"][0]
    assert "does not hold" in first["remarks"][0] and first["rank"]["exposed"] is None


@pytest.mark.usefixtures("feeds")
def test_which_towns_systems_and_hosts_an_advisory_hits(
    civicops: Civicops, make_town: MakeTown, town: Town, state: TownState
) -> None:
    make_town("eastville")
    make_town("westville")
    answer("riverton", ONE, web1=body(openssl="3.0.9"), web2=body(openssl="3.0.11"), cad1=body(openssl="3.0.1"))
    answer("eastville", ONE, pc1=body(curl="7.0"), pc2=None, pc3=body(openssl="3.0.2"))
    checked_up(town, state, ONE)
    (state.root.parent / "oldtown").mkdir(mode=0o700)
    Ledger("oldtown", state=TownState("oldtown")).close()
    told = civicops("--advisory", CVE.lower(), "--json").json
    east, river = told["towns"]
    assert (east["town"], east["hosts_hit"], list(east["not_known"])) == ("eastville", ["pc3"], ["pc2"])
    assert "pc1" in east["not_hit"] and "unreachable" in east["not_known"]["pc2"]
    assert river["hosts_hit"] == ["cad1", "web1"] and river["systems_hit"] == ["cad"] and river["not_hit"] == ["web2"]
    assert {one["host"]: (one["version"], one["fixed"]) for one in river["hits"]} == {
        "web1": ("3.0.9", "3.0.11"),
        "cad1": ("3.0.1", "3.0.11"),
    }
    assert set(told["not_looked_at"]) == {"westville", "oldtown"}
    assert told["exploited"]["ransomware"] is True
    other = civicops("--advisory", OTHER)
    assert (
        "exploited or not is not known: CISA's catalogue here is of 2026-08-07: civicops feeds update kev" in other.out
    )
    shown = civicops("--advisory", "DSA-1-1").out
    assert "riverton: 2 of 3 hosts hit" in shown and "eastville: 1 of 3 hosts hit; 1 not known" in shown
    assert "riverton: openssl 3.0.1: an update mends it, mended by 3.0.11" in shown
    assert f"1 not known (hosts as of the checkup of {TODAY})" in shown, "what came since is not among them"
    assert "westville: not looked at" in shown and "\x1b" not in shown
    assert "riverton" not in civicops("eastville", "--advisory", CVE).out, "one town alone"


@pytest.mark.usefixtures("feeds")
def test_a_mistake_in_the_town_file_hides_no_hit(civicops: Civicops, tmp_path: Path) -> None:
    three()
    (town,) = civicops("riverton", "--advisory", CVE, "--json").json["towns"]
    assert town["hosts_hit"] == ["web1"] and town["systems_hit"] == [], "by the inventory, as nothing was recorded"
    (tmp_path / "inventories/riverton/group_vars/all/town.yml").write_text("town: {id: 7}")
    (town,) = civicops("riverton", "--advisory", CVE, "--json").json["towns"]
    assert town["hosts_hit"] == ["web1"] and town["systems_hit"] is None
    assert "systems: not known" in civicops("riverton", "--advisory", CVE).out


@pytest.mark.usefixtures("feeds")
def test_what_nobody_could_look_at_is_never_not_hit(civicops: Civicops, town: Town) -> None:
    unread = {"item": "packages", "reason": "dpkg's status can't be read"}
    answer(
        "riverton", ONE,
        web1=body() | {"packages": None, "unread": [unread]},
        web2=package_samples.rpm_body(package_samples.row("openssl", "3.0.1")),
        cad1=body(curl="7.0") | {"unread": [unread]},
    )  # fmt: skip
    (told,) = civicops("riverton", "--advisory", CVE, "--json").json["towns"]
    assert told["hits"] == [] and told["not_hit"] == [] and set(told["not_known"]) == {"web1", "web2", "cad1"}
    nobodys = civicops("riverton", "--advisory", "CVE-2026-9999", "--json").json
    assert nobodys["known"] is False and nobodys["towns"][0]["not_hit"] == []
    assert "no feed of advisories here has it" in civicops("riverton", "--advisory", "CVE-2026-9999").out


@pytest.mark.usefixtures("feeds")
@pytest.mark.parametrize("name", ["CVE-26-1", "openssl", "CVE-2026-1000; rm", "\x1b[31m", "-", ""])
def test_what_is_no_advisory_is_refused(civicops: Civicops, name: str) -> None:
    told = civicops(f"--advisory={name}")
    assert told.status == 2 and "no advisory's name" in told.err and "\x1b" not in told.err
    told = civicops("--advisory", "dsa-5678")
    assert told.status == 2 and "the first is DSA-5678-1" in told.err


def test_without_feeds_nothing_is_said_of_an_advisory(civicops: Civicops) -> None:
    told = civicops("--advisory", CVE)
    assert told.status == 2 and "civicops feeds update" in told.err


TEXTS = st.text(st.sampled_from(list('abc"[],{}\\:\x00\u202e')) | st.characters(), max_size=8) | st.sampled_from(
    ["openssl", '"rows":[[', "]]", "],[", '"packages":{', '","openssl","']
)
ROWS = st.lists(st.lists(st.none() | TEXTS, min_size=8, max_size=8), max_size=5)


@settings(deadline=None)
@given(ROWS, st.dictionaries(TEXTS, TEXTS, max_size=2), st.booleans())
def test_reading_a_part_misses_no_package(rows: list[list[Any]], more: dict[str, str], moved: bool) -> None:
    whole: dict[str, Any] = {
        "packages": {"columns": ["name"], "family": "dpkg", "rows": rows},
        "sockets": {"rows": [["x"]]},
    }
    whole |= {f"x{key}": value for key, value in more.items()}
    whole = {"deeper": whole} if moved else whole
    part = thin(canonical(whole), [b'"openssl"'])
    there, left = (one["deeper"] if moved else one for one in (whole, part))
    assert {key: value for key, value in left.items() if key != "packages"} == {
        key: value for key, value in there.items() if key != "packages"
    }
    kept = left["packages"]["rows"]
    assert [row for row in kept if "openssl" in row] == [row for row in rows if "openssl" in row]
    assert bool(kept) == bool(rows) and all(row in rows for row in kept)


@pytest.mark.usefixtures("feeds")
def test_a_mistake_in_the_waivers_keeps_no_record_from_being_made(
    civicops: Civicops, town: Town, state: TownState, tmp_path: Path
) -> None:
    three()
    (tmp_path / "inventories/riverton/waivers.yml").write_text("waivers: [{finding: x}]")
    Journal(state, RunOrder(ONE, town.id, town.sha256, "checkup", None, False, "ops", 1, stamp(NOW)))
    told = record_findings(town, state, ONE)
    assert told is not None and "no waiver holds" in told and "waivers.yml:1" in told
    (tmp_path / "inventories/riverton/waivers.yml").unlink()
    assert civicops("riverton", "--since", ONE).status == 0


def test_nothing_is_known_before_the_first_checkup(civicops: Civicops) -> None:
    told = civicops("riverton", "--fail-on", "low")
    assert told.status == 2 and "civicops checkup riverton" in told.err and not told.out
    assert civicops("riverton", "--json", "--sarif").status == 2
    assert civicops("riverton", "--since", "last", "--sarif").status == 2
    assert civicops("--advisory", CVE, "--host", "web1").status == 2
    assert civicops().status == 2
