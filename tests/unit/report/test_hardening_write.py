"""The page of hardening, the command, what a scheduler may demand, and what the town's report says of it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from tests.unit.assess.samples import HOSTILE, add, body, contact, row, undo
from tests.unit.report.standings import inventory, names, sixty
from tests.unit.towns import MakeTown
from typer.testing import CliRunner, Result

from civicops.assess.catalogue import Catalogue, Control, Severity
from civicops.assess.hardening import Hardening, Standing, Waiver, read_hardening
from civicops.assess.standing import OWN, STATES, Drift, Score, State, Verdict
from civicops.cli.main import app
from civicops.cli.main import run as command
from civicops.exit_status import ExitStatus
from civicops.ledger.store import Anchor, Ledger
from civicops.report import hardening_write
from civicops.report.collect import collect
from civicops.report.hardening import Picture, label, score_words, shortfall, summary
from civicops.report.hardening_write import ASKED, render
from civicops.report.write import render as render_report
from civicops.runs.inventory import InventoryError
from civicops.state import TownState
from civicops.town import Town

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
GROUPS = {"all": ["web1", "web2", "db1", "switch1"], "network": ["switch1"], "webs": ["web1", "web2"]}
ROOT = Path(__file__).parents[3]


@pytest.fixture
def town(make_town: MakeTown, monkeypatch: pytest.MonkeyPatch) -> Town:
    monkeypatch.setattr(hardening_write, "read_groups", lambda *_: GROUPS)
    return make_town()


@pytest.fixture
def audited(town: Town, state: TownState) -> Town:
    """web1 was audited twice, web2 once; db1 never; gone1 is no longer in the inventory."""
    with Ledger("riverton", state=state) as ledger:
        add(ledger, body(row("ssh-config-files", "compliant"), row("ssh-banner", "compliant")))
        for host in ("web1", "web2", "gone1"):
            rows = [row("ssh-config-files", "changed", was="0644", wanted="0600"), row("ssh-banner", "compliant")]
            add(ledger, body(*rows), host=host, run="run-2")
    return town


def invoke(town: Town, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["baseline", town.id, "--inventories", str(town.directory.parent), *arguments])


def refused(town: Town, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said of bad input."""
    with pytest.raises(SystemExit) as ended:
        command(["baseline", town.id, "--inventories", str(town.directory.parent), *arguments])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.count("\n") == 1 and said.err.startswith("civicops: ")
    return said.err


def verdict(name: str, state: State, severity: Severity | None = "high", *, met: bool = False) -> Verdict:
    control = Control(name, f"Title of {name}", severity=severity)
    return Verdict(control, state, state == "changed", "", "", "", met, state == "changed")


def standing(host: str, *verdicts: Verdict, waivers: tuple[Waiver, ...] = (), stale: bool = False) -> Standing:
    score = Score(sum(one.met for one in verdicts), len(verdicts), 0, 0)
    at = "2026-11-27T08:00:00Z"
    return Standing(host, at, "r1", check=True, verdicts=verdicts, scores={OWN: score}, waivers=waivers, stale=stale)


def told_of(*hosts: Standing) -> Hardening:
    return Hardening("riverton", NOW, hosts, None, Catalogue({}), Anchor(1, "0" * 64))


# --- the command -------------------------------------------------------------------


def test_without_more_it_writes_the_page_and_says_what_it_says(audited: Town, state: TownState) -> None:
    result = invoke(audited)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "Riverton, hardening: 2 of 3 hosts known"
    assert "  Profile: 50 % (2 of 4 met)" in lines
    assert "  not known: db1" in lines
    assert "  met the time before, and now not: 1 on 1 host: web1" in lines
    assert "  an enforcement would mend: 2 on 2 hosts: web1, web2" in lines
    [path] = (state.root / "reports").iterdir()
    assert lines[-1] == f"Report: {path}"
    assert re.fullmatch(r"riverton-hardening-[-0-9T]+Z\.html", path.name)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    page = path.read_text()
    assert "default-src 'none'" in page and "<script" not in page
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)", page), "nothing is loaded from anywhere"
    assert "no longer in the inventory: gone1" in page and "switch1" not in page


def test_other_programs_get_it_alone_and_whole(audited: Town, tmp_path: Path) -> None:
    told = json.loads(invoke(audited, "--format", "json").stdout)
    assert [(one["host"], one["known"]) for one in told["hosts"]] == [("db1", False), ("web1", True), ("web2", True)]
    assert told["gone"] == ["gone1"]
    lines = invoke(audited, "--format", "csv").stdout_bytes.decode()
    assert lines.count("\r\n") == 6 and lines.replace("\r\n", "").isprintable(), "a heading and five lines"
    assert len(list(csv.DictReader(io.StringIO(lines, newline="")))) == 5
    assert json.loads(invoke(audited, "--format", "sarif").stdout)["version"] == "2.1.0"
    result = invoke(audited, "--format", "sarif", "--output", str(tmp_path / "out.sarif"))
    assert result.output == f"Written: {tmp_path}/out.sarif\n"
    assert json.loads((tmp_path / "out.sarif").read_text())["version"] == "2.1.0"
    invoke(audited, "--format", "csv", "--output", str(tmp_path / "new"))
    [path] = (tmp_path / "new").iterdir()
    assert path.suffix == ".csv"


@pytest.mark.parametrize(
    ("patterns", "hosts"),
    [
        (["web1"], ["web1"]),
        (["web*", "db1"], ["db1", "web1", "web2"]),
        (["webs:!web2"], ["web1"]),
        (["all"], ["db1", "web1", "web2"]),
    ],
)
def test_hosts_are_chosen_by_name_pattern_or_group(audited: Town, patterns: list[str], hosts: list[str]) -> None:
    options = [part for one in patterns for part in ("--host", one)]
    told = json.loads(invoke(audited, "--format", "json", *options).stdout)
    assert [one["host"] for one in told["hosts"]] == hosts


def test_one_run_alone(audited: Town) -> None:
    told = json.loads(invoke(audited, "--run", "run-1", "--format", "json").stdout)
    assert [one["host"] for one in told["hosts"]] == ["web1"]
    assert told["scores"]["own"]["percent"] == 100
    told = json.loads(invoke(audited, "--run", "last", "--host", "web*", "--format", "json").stdout)
    assert (told["run"], len(told["hosts"])) == ("run-2", 2)
    assert "in the run run-1" in invoke(audited, "--run", "run-1").output


def test_the_last_run_is_one_that_audited_hosts(audited: Town, state: TownState) -> None:
    with Ledger("riverton", state=state) as ledger:
        add(ledger, undo("run-2", "/etc/issue"), run="run-3", job="baseline_undo", check=False)
    assert json.loads(invoke(audited, "--run", "last", "--format", "json").stdout)["run"] == "run-2"
    with Ledger("riverton", state=state) as ledger:
        told = {"playbook": "baseline", "started_at": "x", "ended_at": "y", "hosts": {"web1": "unreachable"}}
        add(ledger, told, kind="run", host="", run="run-4", job="baseline")
    last = json.loads(invoke(audited, "--run", "last", "--format", "json").stdout)
    assert (last["run"], last["hosts"][0]["known"]) == ("run-4", False), "a run that reached nobody is one"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "pdf"], "--format pdf: there are html, json, csv, sarif"),
        (["--fail-on", "severe"], "--fail-on severe: there are low, medium, high, critical"),
        (["--host", "wep1"], "perhaps web1"),
        (["--host", "switch1"], "no host that could be told of"),
        (["--host", "web[0]"], "--host web[0]: "),
        (["--host", "~web["], "--host ~web[: "),
        (["--host", "\x1b[31m\u202e"], "a bracket without its other half"),
        (["--run", "run-9"], "has no run"),
        (["--run", "../run"], "has no run"),
        (["--run", "run-3"], "is a run of patch, which has audited no host"),
        (["--output", "/proc/nowhere/page.html"], "choose another --output"),
        (["--format", "json", "--output", "/dev/null"], "something else than a file"),
    ],
)
def test_bad_input_is_one_line(
    audited: Town, state: TownState, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with Ledger("riverton", state=state) as ledger:
        add(ledger, contact("x"), kind="contact", run="run-3", job="patch")
    error = refused(audited, capsys, *arguments)
    assert said in error
    assert "\x1b" not in error and "\u202e" not in error


def test_before_the_first_audit_nothing_is_known(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    result = invoke(town)
    assert result.exit_code == 0
    assert "0 of 3 hosts known" in result.output and "%" not in result.output
    assert "civicops run baseline riverton --check" in refused(town, capsys, "--run", "last")
    assert invoke(town, "--fail-on", "critical").exit_code == ExitStatus.CHECK_FAILED


def test_an_inventory_that_can_not_be_read(
    audited: Town, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise InventoryError("hosts.yml: the inventory can't be read: line 3")

    monkeypatch.setattr(hardening_write, "read_groups", broken)
    result = invoke(audited, "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)["hosts"][0]["host"]) == (0, "gone1")
    assert "hosts that were never audited are missing here, as hosts.yml" in result.stderr
    sarif = json.loads(invoke(audited, "--format", "sarif").stdout)
    assert sarif["runs"][0]["invocations"][0]["executionSuccessful"] is False
    assert "line 3" in refused(audited, capsys, "--fail-on", "critical"), "what nobody knows of can't be judged"
    assert invoke(audited, "--run", "run-1", "--fail-on", "critical").exit_code == 0, "a run knows its hosts itself"


def test_the_real_command_reads_the_real_inventory(make_town: MakeTown, state: TownState) -> None:
    town = make_town()
    inventory(town.directory)
    with Ledger("riverton", state=state) as ledger:
        add(ledger, body(row("ssh-config-files", "compliant")), host="srv-web")
    program = [str(Path(sys.executable).with_name("civicops")), "baseline", "riverton", "--fail-on", "high"]
    env = os.environ | {"CIVICOPS_INVENTORIES": str(town.directory.parent)}
    done = subprocess.run(program, capture_output=True, text=True, env=env, check=False, timeout=120)
    assert done.returncode == ExitStatus.CHECK_FAILED
    assert done.stdout.startswith("Riverton, hardening: 1 of 60 hosts known\n")
    assert done.stderr.splitlines()[-1].startswith("civicops: below --fail-on high: 59 hosts are not known: ")


def test_the_hosts_are_those_that_the_playbook_asks() -> None:
    plays = yaml.safe_load((ROOT / "playbooks/baseline.yml").read_text())
    assert {play["hosts"] for play in plays if "hosts" in play} == {ASKED}


# --- what a scheduler may demand -----------------------------------------------------


@pytest.mark.parametrize(
    ("one", "demand", "short"),
    [
        (verdict("a", "compliant", met=True), "low", False),
        (verdict("a", "not_applicable"), "low", False),
        (verdict("a", "failed", "medium"), "high", False),
        (verdict("a", "failed", "high"), "high", True),
        (verdict("a", "failed", "critical"), "high", True),
        (verdict("a", "changed", "low"), "low", True),
        (verdict("a", "not_enforceable"), "high", True),
        (verdict("a", "error"), "high", True),
        (verdict("a", "waived"), "high", True),
        (verdict("a", "failed", None), "critical", True),
    ],
)
def test_what_is_below_a_demand(one: Verdict, demand: Severity, short: bool) -> None:
    assert (shortfall(told_of(standing("web1", one)), demand) is not None) is short


def test_a_waiver_counts_while_it_holds() -> None:
    for expired in (False, True):
        waiver = Waiver("a", "2026-11-30", "J. Ortiz", "", expired)
        told = told_of(standing("web1", verdict("a", "waived", "critical"), waivers=(waiver,)))
        assert (shortfall(told, "low") is not None) is expired


def test_hosts_that_are_not_known_are_below_any_demand() -> None:
    good = verdict("a", "compliant", met=True)
    assert shortfall(told_of(standing("web1", good)), "low") is None
    for told in (told_of(standing("web1", good), Standing("web2")), told_of(standing("web1", good, stale=True))):
        short = shortfall(told, "critical")
        assert short is not None and "1 host is not known: web" in short.words
    nobody = shortfall(told_of(), "critical")
    assert nobody is not None and "no host is known" in nobody.words


def test_the_last_line_says_the_worst(audited: Town) -> None:
    result = invoke(audited, "--host", "web*", "--fail-on", "low", "--format", "json")
    assert result.exit_code == ExitStatus.CHECK_FAILED
    assert json.loads(result.stdout)["hosts"], "the document is printed all the same"
    assert re.search(
        r"below --fail-on low: 1 control is not met and not waived on 2 hosts "
        r"\(such as ssh-config-files, \w+, on web1\)$",
        result.stderr.strip(),
    )


# --- the page ----------------------------------------------------------------------


def test_by_control_the_worst_and_the_most_frequent_come_first() -> None:
    low, high, worst = verdict("l", "failed", "low"), verdict("h", "failed"), verdict("c", "failed", "critical")
    own, waived = verdict("own", "error", None), verdict("w", "waived", "critical")
    excuse = Waiver("w", "2027-01-01", "J. Ortiz", "", False)
    told = told_of(
        standing("web1", low, high, waived, verdict("met", "compliant", met=True), waivers=(excuse,)),
        standing("web2", low, verdict("h2", "changed"), worst, own),
        standing("web3", verdict("h2", "changed")),
        standing("web4", low, worst, stale=True),
    )
    lines = Picture(told).controls
    assert [line.control.id for line in lines] == ["own", "c", "w", "h2", "h", "l"]
    assert [len(line.open) for line in lines] == [1, 1, 0, 2, 1, 2], (
        "what is waived, or of a host not known, is not open"
    )
    assert [line.host.host for line in Picture(told).hosts] == ["web2", "web1", "web4", "web3"]


def test_a_percentage_only_where_something_is_known() -> None:
    assert score_words(Score(0, 3, 0, 3)) == "not known (3 not known)"
    assert score_words(Score(0, 0, 0, 0)) == "not known"
    assert score_words(Score(2, 3, 1, 0)) == "66 % (2 of 3 met, 1 waived)"
    page = render(Picture(told_of(Standing("web1"))), "Riverton")
    assert " %" not in page.partition("</style>")[2] and "never audited" in page
    assert "None." in render(Picture(told_of()), "Riverton")
    assert label("stig") == "DISA STIG"


LONG = "<u>A</u>" * 1300
TAGS = set("html head meta title style body header main section div h1 h2 h3 p table thead tbody tr th td".split())  # noqa: SIM905
TAGS |= {"details", "summary", "span", "a", "b", "i", "small", "br", "code"}


@pytest.mark.parametrize("evil", [HOSTILE, LONG, "\ud800", "{% raw %}{{ config }}", "' onmouseover='x", "\x00\x9b2J"])
def test_hostile_text_is_text_everywhere(evil: str) -> None:
    control = Control(evil, evil, severity="high", ids={"stig": (evil,)}, known=True)
    bad = Verdict(control, "failed", True, evil, evil, evil, False, True)
    drift = Drift("2026-11-20T08:00:00Z", evil, (evil,), (evil,), (evil,), (evil,), (evil,), (evil,), (evil,))
    rest = [Verdict(control, state, True, evil, evil, evil, False, False) for state in STATES[2:]]
    host = Standing(
        evil, "2026-11-27T08:00:00Z", evil, evil, True, "failed", evil, evil, evil, evil,
        verdicts=(bad, *rest), scores={OWN: Score(0, 3, 1, 1), evil: Score(0, 1, 0, 0)},
        waivers=(Waiver(evil, evil, evil, evil, True),), drift=drift, doubts=(evil,),
    )  # fmt: skip
    hosts = (host, Standing(evil, doubts=(evil,)))
    known = Catalogue({evil: control}, evil, frozenset({evil}))
    told = Hardening("riverton", NOW, hosts, evil, known, Anchor(1, "0"), (evil,), (evil,))
    picture = Picture(told)
    page = render(picture, evil)
    assert set(re.findall(r"<(\w+)", page)) <= TAGS
    assert not re.search(r"<[a-z][^>]*\son[a-z]+\s*=", page)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800]", page)
    assert "config" not in page or "{{ config }}" in page
    assert len(page) < 400_000
    assert all(len(line) <= 402 and not re.search("[\x00-\x1f\u202e]", line) for line in summary(picture))


def test_sixty_hosts_of_three_hundred_controls_are_a_page_of_bearable_size(state: TownState) -> None:
    with Ledger("riverton", state=state) as ledger:
        sixty(ledger, hardened=0.1)
        told = read_hardening(ledger, hosts=names())
    page = render(Picture(told), "Riverton")
    assert 500_000 < len(page.encode("utf-8", "replace")) < 5_000_000
    assert page.count("<details id=") == 60
    assert "more; <code>civicops baseline riverton --format json</code> has them" in page


# --- the town's report ------------------------------------------------------------------


def test_the_report_says_nothing_where_nobody_was_audited(state: TownState) -> None:
    with Ledger("riverton", state=state) as ledger:
        report = collect(ledger, "Riverton", NOW)
    assert report.hardening is None
    assert 'id="hardening"' not in render_report(report)


def test_the_report_has_the_score_the_unknown_and_the_lost(audited: Town, state: TownState) -> None:
    asked = {"web1": "ok", "web2": "ok", "db1": "no_answer", "switch1": "not_asked"}
    told = {"playbook": "checkup", "started_at": "x", "ended_at": "y", "hosts": asked}
    with Ledger("riverton", state=state) as ledger:
        add(ledger, told, kind="run", host="", run="run-5")
        report = collect(ledger, "Riverton", NOW)
    line = report.hardening
    assert line is not None
    assert (line.percent, line.met, line.total, line.hosts) == (50, 2, 4, 3)
    assert (line.not_known, line.lost) == (["db1"], {"web1": 1})
    page = render_report(report)
    section = page[page.index('id="hardening"') :].partition("</section>")[0]
    assert "<b>50 %</b>" in section and "1 on web1" in section and "1 never audited" in section
    assert "civicops baseline riverton" in section
