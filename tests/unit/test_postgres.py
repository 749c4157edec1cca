"""The PostgreSQL that the ledger's tests run on is a real one."""

from __future__ import annotations

import sqlalchemy as sa


def test_a_server_answers_on_loopback(empty_postgres_database: str) -> None:
    engine = sa.create_engine(empty_postgres_database)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("select 1")) == 1
        assert str(connection.scalar(sa.text("show server_version_num"))) >= "130000"
        assert str(connection.scalar(sa.text("select inet_server_addr()"))) == "127.0.0.1"
    engine.dispose()
