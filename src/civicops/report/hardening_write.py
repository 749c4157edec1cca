"""Read how a town's hosts stand, and write it: as one self-contained page, or for other programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from importlib.metadata import version
from pathlib import Path

from civicops.assess.hardening import Hardening, read_hardening
from civicops.calendar import matching
from civicops.jobs import JOBS
from civicops.ledger.store import Entry, Ledger
from civicops.report.chosen import chosen
from civicops.report.hardening import WHYS, WORDS, Picture, label, score_words, summary
from civicops.report.hardening_export import EXPORTS
from civicops.report.pages import environment, write_whole
from civicops.runs.inventory import InventoryError, read_groups
from civicops.runs.journal import NoSuchRunError
from civicops.state import RUN_ID, TownState
from civicops.text import printable
from civicops.town import Town

HTML = "html"
FORMATS = (HTML, *EXPORTS)
LAST = "last"
"""Instead of a run's id: the newest run that has audited or hardened hosts."""
ASKED = "all:!network:!windows"
"""The hosts that the job baseline is for, as its playbook says."""

_JOB = "baseline"
_LOOKED_AT = 200
# On a page for many hosts, so many lines of each of a host's lists at least, and so many of all hosts together.
_LISTED, _LISTED_IN_ALL = 60, 9000


@dataclass(frozen=True)
class Written:
    """Where the page lies, and what it says in a few lines."""

    path: Path
    summary: list[str]


def read_standing(
    town: Town, state: TownState, *, hosts: Collection[str] = (), run: str | None = None, strict: bool = False
) -> Hardening:
    """How hosts stand, from the town's ledger; asks no host. Without `run`, each by its newest answer.

    `hosts` are names or patterns of Ansible's. Which hosts there are is read from the inventory; where that can't be,
    those that were never audited are missing, which is told as a doubt, or with `strict` not borne.

    :raises NoSuchRunError: there is no such run, or it has audited no host.
    :raises NoSuchHostError: one of `hosts` means none.
    :raises InventoryError: the inventory can't be read, and `strict`.
    """
    groups: Mapping[str, Collection[str]] = {}
    doubts: tuple[str, ...] = ()
    with Ledger(town.id, state=state) as ledger:
        if run is not None:
            run = _newest_run(ledger) if run == LAST else _checked_run(ledger, run)
        if run is None or hosts:
            try:
                groups = read_groups(town, state)
            except InventoryError as error:
                if strict:
                    raise
                doubts = (f"hosts that were never audited are missing here, as {error}",)
        if run is not None or doubts:
            told = read_hardening(ledger, run=run)
            wanted = chosen(hosts, groups, [one.host for one in told.hosts])
            return replace(told, hosts=tuple(one for one in told.hosts if one.host in wanted), doubts=doubts)
        told = read_hardening(ledger, hosts=chosen(hosts, groups, matching(ASKED, groups)))
        gone = sorted(ledger.latest(_JOB).keys() - set(groups["all"]))
        return replace(told, gone=() if hosts else tuple(gone))


def _newest_run(ledger: Ledger) -> str:
    found = [entry for entry in ledger.newest("baseline", _LOOKED_AT) if _tells(entry)][:1]
    found += [entry for entry in ledger.newest("run", _LOOKED_AT, job=_JOB) if entry.status == "accepted"][:1]
    if not found:
        raise NoSuchRunError(f"{ledger.town} has had no audit yet: civicops run baseline {ledger.town} --check")
    return max(found, key=lambda entry: entry.seq).run


def _checked_run(ledger: Ledger, run: str) -> str:
    entries = ledger.of_run(run) if RUN_ID.fullmatch(run) else []
    if not entries:
        raise NoSuchRunError(
            f"the ledger of {ledger.town} has no run {run[:80]!r}; `civicops runs {ledger.town}` lists"
        )
    if not any(entry.job == _JOB or _tells(entry) for entry in entries):
        raise NoSuchRunError(f"{run} is a run of {entries[0].job}, which has audited no host")
    return run


def _tells(entry: Entry) -> bool:
    """Whether it is a host's answer to an audit or an enforcement, and not to a taking back."""
    job = JOBS.get(entry.job)
    return entry.kind == "baseline" and entry.status == "accepted" and not (job is not None and job.takes_back)


def write_standing(town: Town, state: TownState, told: Hardening, output: Path | None = None) -> Written:
    """Write the page, into the town's own directory of reports unless told where.

    :raises StateError: it can't be written.
    """
    path = place(town.id, told, HTML, output or state.directory("reports"))
    picture = Picture(told)
    write_whole(path, render(picture, town.name))
    head, *more = summary(picture)
    return Written(path, [f"{printable(town.name, 200)}, hardening: {head}", *more])


def write_export(town: Town, told: Hardening, form: str, output: Path) -> Path:
    """Write it for other programs.

    :raises StateError: it can't be written.
    """
    path = place(town.id, told, form, output)
    write_whole(path, EXPORTS[form](told))
    return path


def place(town: str, told: Hardening, form: str, output: Path) -> Path:
    """The file that is meant: one with an ending is it itself; else it is a directory, and the file has our name."""
    output = output.absolute()
    if output.is_dir() or not (output.suffix or output.exists()):
        return output / f"{town}-hardening-{told.made_at.astimezone(UTC):%Y-%m-%dT%H%M%SZ}.{form}"
    return output


def render(picture: Picture, name: str) -> str:
    """The page. Everything is escaped; a content policy in the page forbids scripts and any loading besides."""
    pages = environment()
    # A value of a setting, or a reason: the documents' own bound for a reason.
    pages.filters["brief"] = lambda value: printable(value, 500)
    pages.filters["label"] = label
    pages.filters["score"] = score_words
    return pages.get_template("hardening.html.j2").render(
        picture=picture,
        told=picture.told,
        name=name,
        town_id=picture.told.town,
        anchor=picture.told.anchor,
        made_at=picture.told.made_at.astimezone(UTC).isoformat(),
        listed=max(_LISTED, _LISTED_IN_ALL // max(1, len(picture.hosts))),
        whys=WHYS,
        words=WORDS,
        civicops_version=version("civicops"),
    )
