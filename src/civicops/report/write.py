"""Write a report: one self-contained HTML file, readable without a network, and a summary in a few lines."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from civicops.assess.assessment import assess
from civicops.feeds.store import Index
from civicops.ledger.store import Ledger
from civicops.report.collect import Host, TownReport, collect
from civicops.report.devices import Devices
from civicops.report.findings import Findings
from civicops.report.findings_page import SHOWN, FindingsTold, findings_told
from civicops.report.pages import environment, write_whole
from civicops.runs.inventory import InventoryError, groups_of_run, read_groups
from civicops.state import StateError, TownState
from civicops.text import printable
from civicops.town import Town, TownFileError
from civicops.town.waivers import Waiver, load_waivers

# On the page, so many findings about recovery and so many systems.
_RECOVERY_LISTED = 80


@dataclass(frozen=True)
class Written:
    """Where the report lies, and what it says in a few lines."""

    path: Path
    summary: list[str]


def write_report(
    town: str,
    name: str,
    state: TownState,
    directory: Path | None = None,
    *,
    wanted: Town | None = None,
    run: str | None = None,
) -> Written:
    """Write the town's report from its ledger. `wanted` is the town's file, which says what recovery it wants; `run`
    is the run that has just ended, whose inventory need not be read again.

    :raises StateError: the directory can't be written to.
    """
    report = _collected(town, name, state, wanted, run)
    folder = directory.absolute() if directory else state.directory("reports")
    path = folder / f"{town}-{report.made_at:%Y-%m-%dT%H%M%SZ}.html"
    write_whole(path, render(report))
    return Written(path, summary(report))


def check_directory(directory: Path) -> None:
    """Make a report's directory, or make sure that it can be written to.

    :raises StateError: it can't.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"{directory}: can't be made: {error.strerror}; choose another --output") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise StateError(f"{directory}: can't be written to by this user; choose another --output")


def _collected(town: str, name: str, state: TownState, wanted: Town | None, run: str | None = None) -> TownReport:
    moment, groups = datetime.now(UTC), None
    if wanted is not None:
        with suppress(InventoryError):
            groups = read_groups(wanted, state) if run is None else groups_of_run(wanted, state, run)
    with Ledger(town, state=state) as ledger:
        report = collect(ledger, name, moment, systems=wanted.systems if wanted else (), groups=groups, state=state)
        return report if wanted is None else replace(report, findings=_findings(ledger, wanted, groups, moment))


def _findings(
    ledger: Ledger, town: Town, groups: Mapping[str, Collection[str]] | None, moment: datetime
) -> FindingsTold | None:
    """What is found in the town; None where no host was ever asked."""
    waivers: tuple[Waiver, ...] = ()
    trouble: list[str] = []
    try:
        waivers = load_waivers(town.directory)
    except TownFileError as error:
        trouble.append(f"no waiver holds: {error}")
    told = assess(ledger, moment, town, groups, Index(), waivers=waivers)
    if not told.hosts:
        return None
    return findings_told(Findings(town, replace(told, doubts=(*told.doubts, *trouble))))


def figures(town: str, name: str, state: TownState, *, wanted: Town | None = None) -> dict[str, Any]:
    """The report's figures as plain data, for `--json`."""
    report = _collected(town, name, state, wanted)
    plain = asdict(report) | {"made_at": report.made_at.isoformat(timespec="seconds"), "anchor": str(report.anchor)}
    return plain | {"summary": summary(report)}


def render(report: TownReport) -> str:
    """The page. Everything is escaped; a content policy in the page forbids scripts and any loading besides."""
    page = environment().get_template("report.html.j2")
    return page.render(
        report=report,
        town_id=report.town,
        anchor=report.anchor,
        attention=attention(report),
        recovery_listed=_RECOVERY_LISTED,
        findings_listed=SHOWN,
        civicops_version=version("civicops"),
    )


@dataclass(frozen=True)
class Attention:
    """One thing that wants attention, and on which hosts."""

    state: str
    text: str
    hosts: list[Host]


def attention(report: TownReport) -> list[Attention]:
    """What wants attention, worst first; what is not known stands here too."""
    lines = [Attention("bad", "no answer", report.missed)]
    for state, key, text in _WORTH_TELLING:
        lines.append(Attention(state, text, report.with_state(key, state)))  # type: ignore[arg-type]
    return [line for line in lines if line.hosts]


_WORTH_TELLING = (
    ("bad", "os", "operating system without security updates"),
    ("bad", "security", "security updates waiting"),
    ("bad", "source", "no source of security updates"),
    ("bad", "reboot", "reboot wanted"),
    ("bad", "disk", "file system more than 90 % full"),
    ("bad", "accounts", "account without a password"),
    ("bad", "failed", "failed services"),
    ("unknown", "os", "end of the operating system's support not known"),
    ("unknown", "security", "security updates not known for sure"),
    ("unknown", "source", "source of security updates not known"),
    ("unknown", "reboot", "reboot wanted or not: not known"),
    ("unknown", "disk", "disk room not known"),
    ("soon", "os", "operating system ends within half a year"),
    ("soon", "disk", "file system more than 80 % full"),
    ("soon", "reboot", "services that still use replaced files"),
)


def _devices_summary(told: Devices) -> list[str]:
    """What is said of network devices in a few lines."""
    worth_telling = (
        ("no good backup of the configuration", [line.name for line in told.with_state("bad")]),
        ("software without support", [line.name for line in told.lines if line.support_state == "bad"]),
        ("no answer yet", told.none_known),
    )
    lines = []
    for what, names in worth_telling:
        if names:
            shown = ", ".join(printable(name, 60) for name in names[:5])
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            lines.append(
                f"  {what} on {len(names)} network {'device' if len(names) == 1 else 'devices'}: {shown}{more}"
            )
    return lines


def summary(report: TownReport) -> list[str]:
    """The report in a few lines, for a terminal."""
    lines = [f"{report.name}: {len(report.reached)} of {len(report.asked)} hosts answered"]
    if report.not_asked:
        lines[0] += f"; {len(report.not_asked)} were not asked by this job"
    for line in attention(report):
        names = [printable(host.name, 60) for host in line.hosts[:5]]
        more = f" and {len(line.hosts) - 5} more" if len(line.hosts) > 5 else ""
        count = len(line.hosts)
        lines.append(f"  {line.text} on {count} {'host' if count == 1 else 'hosts'}: {', '.join(names)}{more}")
    if report.findings:
        lines.append(f"  findings: {report.findings.words}: civicops findings {report.town}")
    troubled = report.backups.with_state("bad", "unknown") if report.backups else []
    if troubled:
        names = [printable(line.host, 60) for line in troubled[:5]]
        more = f" and {len(troubled) - 5} more" if len(troubled) > 5 else ""
        count = len(troubled)
        lines.append(f"  backups want a look on {count} {'host' if count == 1 else 'hosts'}: {', '.join(names)}{more}")
    if report.devices:
        lines += _devices_summary(report.devices)
    if report.backups and report.backups.none_known:
        count = len(report.backups.none_known)
        lines.append(f"  no backup is known of {count} {'host' if count == 1 else 'hosts'}")
    if report.recovery and (report.recovery.counts or report.recovery.unknown):
        lines.append(f"  recovery: {report.recovery.words}")
    if len(lines) == 1 and report.asked:
        lines.append("  nothing that was looked at wants attention")
    return [printable(line, 400) if not line.startswith(" ") else "  " + printable(line, 400) for line in lines]
