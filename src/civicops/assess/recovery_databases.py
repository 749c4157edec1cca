"""Which database servers run on a host, by its facts: those that a dump can be made of."""

from __future__ import annotations

import re
from typing import NamedTuple

from civicops.assess.facts import Facts
from civicops.assess.recovery_known import brief


class Database(NamedTuple):
    """A kind of database server: what people call it, the kind of its dumps, and by what it is seen to run."""

    name: str
    kind: str
    units: str
    processes: tuple[str, ...]
    ports: tuple[int, ...]


DATABASES = (
    Database("PostgreSQL", "postgresql", r"postgresql(-\d+)?(@.*)?\.service", ("postgres",), (5432,)),
    Database("MariaDB or MySQL", "mysql", r"(mariadb|mysqld?)(@.*)?\.service", ("mariadbd", "mysqld"), (3306,)),
    Database("OpenLDAP", "ldap", r"slapd\.service", ("slapd",), (389, 636)),
)


def seen_by(facts: Facts, database: Database) -> str:
    """By what a database server was seen to run; empty where none was."""
    for row in facts.rows("services") or ():
        if row["active"] == "active" and re.fullmatch(database.units, str(row["unit"])):
            return brief(row["unit"])
    for row in facts.rows("sockets") or ():
        process = row["process"]
        by_port = process is None and row["proto"] == "tcp" and row["port"] in database.ports
        if by_port or process in database.processes:
            return f"{brief(process or 'something')} listens on port {row['port']}"
    return ""
