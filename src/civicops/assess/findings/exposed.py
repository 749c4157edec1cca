"""Services that listen on the network, and that others seldom need to reach: old protocols, databases, desktops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from civicops.assess.catalogue import Severity
from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts, below
from civicops.assess.finding import State
from civicops.assess.host_finding import HostFinding, Said, cells, data
from civicops.assess.recovery_known import brief, listed

_OUTSIDE = ("all", "address")
_NAMES = "sockets.process"


@dataclass(frozen=True)
class Service:
    """One service, as `exposed.yml` has it."""

    id: str
    title: str
    proto: str
    ports: frozenset[int]
    processes: frozenset[str]
    severity: Severity
    remedy: str
    at_ports: frozenset[str] = frozenset()
    """Programs that are many things, and this one at its ports."""
    note: str = ""

    def seen(self, row: dict[str, Any], carriers: frozenset[str]) -> State | None:
        """What a listening socket says of it: that it is there, that it may be, or nothing."""
        if self.proto not in ("any", row.get("proto")):
            return None
        process, at_port = row.get("process"), row.get("port") in self.ports
        if process in self.processes:
            return "found"
        if not at_port:
            return None
        by_port = process is None or process in carriers or process in self.at_ports
        return "found" if by_port else "unknown"


class Exposed(HostFinding):
    """What a host is there for may be waived; each service has an id of its own."""

    id = "exposed"
    title = "A service listens on the network without need"
    severity = "medium"
    frameworks = ("CIS v8 4.8", "NIST 800-53 CM-7", "NIST 800-53 SC-7", "CJIS CM-7")
    remedy = "Stop it, or let it listen where it is needed only."
    effort = "low"
    reads = ("sockets",)

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        if facts.rows("sockets") is None:
            yield self.not_known(facts, "what listens on the network is")
            return
        services, carriers = services_known()
        outside = [row for row in cells(facts, "sockets") if row.get("scope") in _OUTSIDE]
        said = [one for service in services if (one := self._service(service, outside, carriers))]
        yield from said
        rest = [row for row in outside if not any(service.seen(row, carriers) for service in services)]
        if hidden := self._hidden(facts, rest):
            yield hidden
        elif not said:
            yield Said("fine", f"none of {len(services)} services that seldom need to be reached is")

    def _service(self, service: Service, outside: list[dict[str, Any]], carriers: frozenset[str]) -> Said | None:
        seen = [(row, service.seen(row, carriers)) for row in outside]
        sure = [_socket(row) for row, state in seen if state == "found"]
        doubtful = [_socket(row) for row, state in seen if state == "unknown"]
        if not sure and not doubtful:
            return None
        return self._said(service, "found" if sure else "unknown", sure or doubtful)

    def _said(self, service: Service, state: State, sockets: list[str]) -> Said:
        note = f"; {service.note}" if service.note else ""
        text = f"{listed(dict.fromkeys(sockets))}{note}"
        if state == "unknown":
            text = f"another program listens where it usually does, and what it is, is not known: {text}"
        return Said(
            state, text, service.severity, id=f"{self.id}-{service.id}", title=service.title, remedy=service.remedy
        )

    @staticmethod
    def _hidden(facts: Facts, rest: list[dict[str, Any]]) -> Said | None:
        """A service may have moved to another port, and without root its program's name is hidden."""
        nameless = [_socket(row) for row in rest if row.get("process") is None]
        if not nameless or facts.get("seen_as_root") is True:
            return None
        why = facts.why_unread(_NAMES) or "needs root"
        return Said("unknown", f"what listens there is not known ({brief(why)}): {listed(dict.fromkeys(nameless))}")

    def matters(self, item: str, reason: str) -> bool:
        """Names of programs are looked at above; the kernel's own sockets have none even to root."""
        return not below(item, _NAMES)


def _socket(row: dict[str, Any]) -> str:
    process = row.get("process")
    name = brief(process) if process else "something (known by its port alone)"
    address = "every address" if row.get("scope") == "all" else brief(row.get("address"))
    return f"{name} at {address}, {row.get('proto')} port {row.get('port')}"


@cache
def services_known() -> tuple[tuple[Service, ...], frozenset[str]]:
    """The services, and the programs that hold sockets for others."""
    table = data("exposed")
    services = [
        Service(
            id=row["id"],
            title=row["title"],
            proto=row["proto"],
            ports=frozenset(row["ports"]),
            processes=frozenset(row["processes"]),
            severity=row["severity"],
            remedy=row["remedy"],
            at_ports=frozenset(row.get("at_ports", ())),
            note=row.get("note", ""),
        )
        for row in table["services"]
    ]
    return tuple(services), frozenset(table["carriers"])


FINDING = Exposed()
