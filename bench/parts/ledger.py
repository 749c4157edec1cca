"""A ledger of 100,000 documents: append, report, verify; and the spool with 50 writers at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

from tests.hosts.controller import BIN

from bench.answers import TOWN, SomeHost, days, sample
from bench.meter import wall_of
from bench.result import Options, Section, Table, Target
from civicops.ledger.documents import canonical
from civicops.ledger.ingest import ingest_run
from civicops.ledger.spool import Origin, write
from civicops.ledger.store import Ledger
from civicops.state import TownState

TITLE = "The ledger"
HOSTS = 200
WRITERS = 50
DOCUMENTS_EACH = 20
REPORT_WITHIN = 3.0


def run(options: Options) -> Section:
    """Fill a ledger and read it; fill a spool and empty it."""
    folder = Path(tempfile.mkdtemp(prefix="civicops-bench-"))
    before = os.environ.get("CIVICOPS_STATE")
    os.environ["CIVICOPS_STATE"] = str(folder / "state")  # where forked writers of the spool look
    try:
        return _run(folder, options)
    finally:
        os.environ.pop("CIVICOPS_STATE") if before is None else os.environ.update(CIVICOPS_STATE=before)
        shutil.rmtree(folder)


def _run(folder: Path, options: Options) -> Section:
    town_file = folder / "inventories" / TOWN / "group_vars" / "all" / "town.yml"
    town_file.parent.mkdir(parents=True)
    town_file.write_text(json.dumps({"town": {"id": TOWN, "name": "Bench", "timezone": "America/New_York"}}))
    state = TownState(TOWN)
    spooled, written, taken = _spool(state)
    state.ledger.unlink()
    count, seconds, last_day = _append(state, options.documents)
    size = sum(file.stat().st_size for file in state.ledger.parent.glob("ledger.sqlite*"))
    env = os.environ | {"CIVICOPS_INVENTORIES": str(folder / "inventories")}
    page, figures, verify = (
        wall_of([str(BIN / "civicops"), *command], times=times, env=env)
        for command, times in (
            (("report", TOWN, "--output", str(folder)), 3),
            (("report", TOWN, "--json"), 3),
            (("ledger", "verify", TOWN), 1),
        )
    )
    body = canonical(sample())
    rows = [
        ["append, 200 documents and their run at a time", f"{count / seconds:,.0f} documents/s"],
        ["the last such run, full ledger", f"{last_day:.2f} s"],
        ["size on disk", f"{size / 1e6:,.0f} MB, {size / count / 1000:.1f} kB a document"],
        ["`civicops report`, HTML", f"{page:.2f} s"],
        ["`civicops report --json`", f"{figures:.2f} s"],
        ["`civicops ledger verify`, every body unpacked", f"{verify:.1f} s"],
        [
            f"spool: {WRITERS} writers at once, {spooled:,} documents, each fsynced",
            f"{spooled / written:,.0f} documents/s",
        ],
        ["ingest: read, checked against the schema, appended", f"{spooled / taken:,.0f} documents/s"],
    ]
    return Section(
        [
            f"{count:,} documents in SQLite: {HOSTS} hosts, asked {count // (HOSTS + 1)} times. Bodies are made from "
            f"one real answer ({len(body):,} bytes of JSON), no two equal.",
            f"Spool: {WRITERS} processes start together and write {DOCUMENTS_EACH} documents each; every one is found "
            "again by ingest.",
        ],
        [Table("", ("what", "measured"), rows)],
        [
            Target("report as a page, whole command", page, REPORT_WITHIN, "s"),
            Target("report as figures, whole command", figures, REPORT_WITHIN, "s"),
            Target("documents of the spool lost", float(WRITERS * DOCUMENTS_EACH - spooled), 0, "documents"),
        ],
    )


def _append(state: TownState, wanted: int) -> tuple[int, float, float]:
    """Append days until there are `wanted` documents; returns their number, the time, and the last days' median."""
    count, taken = 0, []
    with Ledger(TOWN, state=state) as ledger:
        for documents in days(HOSTS):
            start = time.perf_counter()
            ledger.append(documents)
            taken.append(time.perf_counter() - start)
            count += len(documents)
            if count >= wanted:
                return count, sum(taken), median(taken[-10:])
    raise AssertionError


def _spool(state: TownState) -> tuple[int, float, float]:
    """Let 50 processes write at once, then take everything in; returns how many came through, and both times."""
    origin = Origin(TOWN, "spool", "checkup")
    context = multiprocessing.get_context("fork")
    together = context.Barrier(WRITERS + 1)
    writers = [context.Process(target=_write, args=(origin, number, together)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    together.wait()
    start = time.perf_counter()
    for writer in writers:
        writer.join()
    written = time.perf_counter() - start
    if any(writer.exitcode for writer in writers):
        raise RuntimeError("a writer of the spool failed")
    with Ledger(TOWN, state=state) as ledger:
        start = time.perf_counter()
        taken = ingest_run(ledger, state.spool_of(origin.run))
        return taken.documents - taken.rejected, written, time.perf_counter() - start


def _write(origin: Origin, number: int, together: Barrier) -> None:
    host = SomeHost(number)
    answers = [host.answer(day) for day in range(DOCUMENTS_EACH)]
    together.wait()
    for day, body in enumerate(answers):
        write(origin, kind="host-facts", version=1, host=host.name, body=body, key=str(day))
