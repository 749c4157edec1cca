"""The versions of the ledger's tables, kept by Alembic."""

from __future__ import annotations

import threading
from importlib import resources

import sqlalchemy as sa

# The newest revision in migrations/versions: compared first, since importing Alembic costs more than a whole report.
NEWEST = "0002"

# Alembic keeps what it works on in a global.
_one_thread = threading.Lock()
# "civicops" as a number: two processes that make the tables of one PostgreSQL ledger wait for each other.
_ADVISORY_LOCK = int.from_bytes(b"civicops", "big")

_version = sa.table("alembic_version", sa.column("version_num"))


def bring_up_to_date(engine: sa.Engine) -> None:
    """Create the tables, or migrate older ones.

    :raises LedgerError: the ledger was written by a newer civicops.
    """
    if _current(engine) == NEWEST:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    from civicops.ledger.store import LedgerError

    config = Config()
    with resources.as_file(resources.files("civicops.ledger").joinpath("migrations")) as scripts:
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        with (
            _one_thread,
            engine.connect().execution_options(civicops_write=True) as connection,
            connection.begin(),
        ):
            if engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise LedgerError(f"the ledger was written by a newer civicops; upgrade this one ({error})") from error


def _current(engine: sa.Engine) -> str | None:
    try:
        with engine.connect() as connection:
            return connection.scalar(sa.select(_version.c.version_num))
    except (sa.exc.OperationalError, sa.exc.ProgrammingError):
        return None
