"""The ledger: append-only, chained, verified; the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from civicops.ledger.documents import Document, canonical
from civicops.ledger.store import Anchor, Ledger, LedgerError, bodies, chain_hash, entries, head
from civicops.ledger.verify import verify
from civicops.state import TownState


def document(host: str, number: int = 0, *, run: str = "r1", kind: str = "contact", **more: Any) -> Document:
    body = {"outcome": "failed", "task": "t", "reason": f"reason {number}"}
    return Document(
        kind=kind,
        version=1,
        id=str(uuid.uuid4()),
        town="riverton",
        host=host,
        target=None,
        run=run,
        job="checkup",
        check=False,
        attempt=1,
        collected_at="2026-11-23T12:00:00Z",
        body=body,
        **more,
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, state: TownState) -> Iterator[Ledger]:
    url = None if request.param == "sqlite" else request.getfixturevalue("empty_postgres_database")
    with Ledger("riverton", state=state, url=url) as opened:
        yield opened


def execute(ledger: Ledger, statement: Any, values: Any = None) -> None:
    with ledger._writing() as connection:
        connection.execute(statement, values)


def test_what_was_appended_is_read_back_in_order(ledger: Ledger) -> None:
    appended = ledger.append([document("a", 1), document("b", 2), document("a", 3, run="r2")])
    assert len(appended) == 3
    assert [entry.host for entry in ledger.of_run("r1")] == ["a", "b"]
    latest = ledger.latest("contact")
    assert ledger.body(latest["a"])["reason"] == "reason 3"
    assert ledger.previous(latest.values()).keys() == {"a"}
    assert verify(ledger).good


def test_taking_the_same_in_twice_adds_nothing(ledger: Ledger) -> None:
    same = document("a")
    assert len(ledger.append([same, same])) == 1
    assert ledger.append([same]) == []
    assert ledger.anchor().count == 1


def test_equal_bodies_are_kept_once(ledger: Ledger) -> None:
    ledger.append([document(f"h{number}") for number in range(10)])
    with ledger._engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(bodies)) == 1


def test_appenders_at_the_same_time_make_one_chain(ledger: Ledger) -> None:
    def append(worker: int) -> None:
        for number in range(10):
            ledger.append([document(f"h{worker}", number)])

    threads = [threading.Thread(target=append, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = verify(ledger)
    assert verdict.good, verdict.problems
    assert verdict.anchor.count == 40


def test_a_redacted_body_does_not_break_the_chain(ledger: Ledger) -> None:
    ledger.append([document("a", 1), document("b", 2)])
    entry = ledger.latest("contact")["a"]
    execute(ledger, bodies.update().where(bodies.c.hash == entry.body).values(packed=None))
    verdict = verify(ledger)
    assert verdict.good
    assert verdict.redacted == 1
    assert ledger.body(entry) is None


def test_a_changed_row_is_found(ledger: Ledger) -> None:
    ledger.append([document("a"), document("b")])
    execute(ledger, entries.update().where(entries.c.seq == 1).values(host="evil"))
    assert any("row 1 was changed" in problem for problem in verify(ledger).problems)


def test_a_changed_body_is_found(ledger: Ledger) -> None:
    ledger.append([document("a")])
    execute(ledger, bodies.update().values(packed=zlib.compress(canonical({"outcome": "ok"}))))
    assert verify(ledger).problems == ["row 1: its body was changed"]


def test_a_removed_row_is_found(ledger: Ledger) -> None:
    ledger.append([document("a"), document("b"), document("c")])
    execute(ledger, entries.delete().where(entries.c.seq == 2))
    assert any("row 2 is missing" in problem for problem in verify(ledger).problems)


def test_a_truncated_tail_is_found_by_the_anchor(ledger: Ledger) -> None:
    ledger.append([document("a"), document("b"), document("c")])
    anchor = ledger.anchor()
    with ledger._engine.connect() as connection:
        second = connection.execute(sa.select(entries.c.hash).where(entries.c.seq == 2)).scalar_one()
    execute(ledger, entries.delete().where(entries.c.seq == 3))
    execute(ledger, head.update().values(count=2, hash=second))
    assert verify(ledger).good, "without an anchor a cut tail can't be seen, and we claim no more"
    assert any("cut off" in problem for problem in verify(ledger, [anchor]).problems)


def test_a_recomputed_chain_is_found_by_the_anchor(ledger: Ledger) -> None:
    ledger.append([document("a"), document("b"), document("c")])
    anchor = ledger.anchor()
    with ledger._engine.connect() as connection:
        rows = [dict(row._mapping) for row in connection.execute(sa.select(entries).order_by(entries.c.seq))]
    rows[1]["host"] = "somebody-else"
    for number in (1, 2):
        rows[number]["prev"] = rows[number - 1]["hash"]
        rows[number]["hash"] = chain_hash(rows[number])
    execute(ledger, entries.delete())
    execute(ledger, entries.insert(), rows)
    execute(ledger, head.update().values(hash=rows[2]["hash"]))
    assert verify(ledger).good
    assert any("history was rewritten" in problem for problem in verify(ledger, [anchor]).problems)


def test_an_anchor_still_holds_after_more_was_appended(ledger: Ledger) -> None:
    ledger.append([document("a")])
    anchor = Anchor.parse(str(ledger.anchor()))
    ledger.append([document("b")])
    assert verify(ledger, [anchor]).good


def test_a_failed_append_leaves_nothing_behind(ledger: Ledger) -> None:
    ledger.append([document("a")])
    before = ledger.anchor()
    with pytest.raises(LedgerError):
        ledger.append([document("b", 5), document(None, 6)])  # type: ignore[arg-type]
    assert ledger.anchor() == before
    assert verify(ledger).good


@pytest.mark.parametrize("text", ["", "5", "5:xyz", "-1:" + "0" * 64, "٣:" + "0" * 64])
def test_what_is_no_anchor_is_told(text: str) -> None:
    with pytest.raises(LedgerError, match="COUNT:HASH"):
        Anchor.parse(text)


def test_a_ledger_of_another_town_is_refused(state: TownState, tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/shared.sqlite"
    Ledger("riverton", url=url).close()
    with pytest.raises(LedgerError, match="ledger of riverton, not of otherville"):
        Ledger("otherville", url=url)


def test_a_ledger_of_a_newer_civicops_is_refused(state: TownState) -> None:
    Ledger("riverton", state=state).close()
    with sqlite3.connect(state.ledger) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerError, match="newer civicops"):
        Ledger("riverton", state=state)


def test_what_is_no_database_is_told_in_a_line(state: TownState) -> None:
    state.ledger.write_bytes(b"this is no database, this is a text of some length" * 100)
    with pytest.raises(LedgerError, match="can't be used"):
        Ledger("riverton", state=state)


def test_a_damaged_ledger_is_told_in_a_line(state: TownState) -> None:
    with Ledger("riverton", state=state) as ledger:
        ledger.append([document(f"host-{number}", number) for number in range(300)])
    damaged = bytearray(state.ledger.read_bytes())
    for page in range(len(damaged) // 8192, len(damaged) // 4096):
        damaged[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    state.ledger.write_bytes(damaged)
    with Ledger("riverton", state=state) as ledger:
        assert any("can't be used: " in problem for problem in verify(ledger).problems)
        with pytest.raises(LedgerError, match=f"{state.ledger}: the ledger can't be used: "):
            ledger.of_run("r1")


@pytest.mark.parametrize("url", ["nonsense", "nosuch://u:secret@h/x", "mysql://u:secret@h/x", "postgresql://h:x/y"])
def test_an_address_that_can_not_be_used_is_told_in_a_line(url: str) -> None:
    with pytest.raises(LedgerError, match="CIVICOPS_LEDGER_URL can't be used") as told:
        Ledger("riverton", url=url)
    assert "secret" not in str(told.value)


def test_the_newest_revision_is_the_one_that_is_compared() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from civicops.ledger import versions

    config = Config()
    config.set_main_option("script_location", "civicops:ledger/migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == versions.NEWEST


def test_the_migrations_make_the_tables_that_the_code_uses(state: TownState) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from civicops.ledger.claims import metadata  # every module with tables

    with Ledger("riverton", state=state) as ledger, ledger._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_bodies_are_ascii_json_without_a_choice() -> None:
    assert canonical({"b": "ü", "a": [1.5, None]}) == b'{"a":[1.5,null],"b":"\\u00fc"}'
    assert json.loads(canonical({"b": "ü"})) == {"b": "ü"}
