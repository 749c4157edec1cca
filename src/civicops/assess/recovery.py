"""Findings about recovery: what would keep a town from getting its data back, by the ledger's newest documents.

Nothing here is told as fine that was not seen to be so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from civicops.assess.catalogue import Severity
from civicops.assess.finding import Evidence, Finding, Judged, State, Told, judged
from civicops.assess.recovery_access import Access, shared_keys, strangers
from civicops.assess.recovery_databases import DATABASES, seen_by
from civicops.assess.recovery_known import STALE, Host, Recovery, age_of, brief, listed
from civicops.assess.recovery_time import lasting, measured, proofs, together
from civicops.town.model import System

COPY_STALE = timedelta(hours=48)
"""How old a second copy may be: it is made daily, and may fail once."""
ESCROW_STALE = timedelta(days=400)
"""How long ago somebody may have compared the password that is kept elsewhere: once a year, and a month to do it."""


def judge(town: Recovery) -> list[Judged]:
    """All that is found in a town, what is not known, and what is fine; worst first."""
    told = [one for finding in FINDINGS for one in judged(finding, finding.look(town))]
    return sorted(told, key=lambda one: one.rank)


class NoBackup(Finding[Recovery]):
    """A host of the inventory of which the ledger knows no complete backup. Backup servers alone are left out."""

    id = "recovery-no-backup"
    title = "No backup is known"
    severity = "critical"
    frameworks = ("CIS v8 11.2", "NIST 800-53 CP-9", "CJIS CP-9")
    remedy = "Put the host into the group backup_client, and run the job backup; or say who else backs it up."
    effort = "low"

    def look(self, town: Recovery) -> Iterator[Evidence]:
        for host, status, client in town.clients:
            yield self._client(host, status, client, town.moment)
        for host in town.hosts.values():
            if host.client is None and host.server is None:
                yield self._bare(host)

    def _client(self, host: Host, status: Told, client: dict[str, Any], moment: datetime) -> Evidence:
        complete, alarms = client.get("complete"), {one["kind"] for one in status.body["alarms"]}
        if "repository" in alarms:
            return Evidence(host.name, "found", "the server has no repository of it any more", (status,))
        if complete is None and "unreadable" in alarms:
            return Evidence(host.name, "unknown", "it is set up; how its backups went can't be read", (status,))
        if complete is None:
            return Evidence(host.name, "found", "it is set up, and no backup has been complete yet", (status,))
        age, ended = age_of(complete["ended_at"], moment), f"the last complete one ended {brief(complete['ended_at'])}"
        if age is None:
            return Evidence(host.name, "unknown", f"{ended}, which is no time in the past", (status,))
        if age.total_seconds() > client.get("late_after_seconds", STALE.total_seconds()):
            return Evidence(host.name, "found", f"{ended}, and another is overdue", (status,), "high")
        return Evidence(host.name, "fine", ended, (status,))

    def _bare(self, host: Host) -> Evidence:
        facts = host.known
        if host.status is not None and not host.status.body["seen_as_root"]:
            return Evidence(host.name, "unknown", "it was asked without root, who alone can see it")
        if facts is None and host.status is None:
            why = "it has not answered yet" if host.asked else "such hosts are not asked"
            return Evidence(host.name, "unknown", f"{why}, so nothing is known of its backups")
        others = [one["name"] for one in (facts.get("backup_tools") if facts else None) or ()]
        if others:
            text = f"{listed(others)} is there; whether that backs it up, and whole, is not known"
            return Evidence(host.name, "unknown", text)
        return Evidence(host.name, "found", "the ledger knows no backup of it, so nothing of it would survive")


class Deletable(Finding[Recovery]):
    """What opens a host opens its backups too. A host's own password is none such: our server adds and never deletes,
    so that root on a client can't delete. A key of an administrator's that is good for both is one."""

    id = "recovery-deletable"
    title = "Who has a host's keys can delete its backups"
    severity = "high"
    frameworks = ("CIS v8 11.3", "CIS v8 11.4", "NIST 800-53 CP-9", "NIST 800-53 AC-6", "CJIS CP-9")
    remedy = "Give the backup server an administrator's key of its own, that opens no other host and is kept elsewhere."
    effort = "medium"

    def look(self, town: Recovery) -> Iterator[Evidence]:
        for host, status, _ in town.clients:
            keepers = [one for one in town.keepers(host.name) if one[0].name != host.name]
            if not keepers:
                yield Evidence(host.name, "unknown", "no backup server has told that it keeps this host's backups")
                continue
            access = sum((shared_keys(host, server) for server, _, _ in keepers), Access())
            names = listed(server.name for server, _, _ in keepers)
            fine = f"its own password adds to {names} and deletes nothing there, and no key opens both"
            told = (status, host.facts, *(one for server, kept, _ in keepers for one in (kept, server.facts)))
            yield _evidence(host.name, access, fine, told)


class SamePlace(Finding[Recovery]):
    """The backup lies where one fault takes it together with what was backed up, or with the server itself."""

    id = "recovery-same-place"
    title = "The backup lies on the same machine or disk"
    severity = "critical"
    frameworks = ("CIS v8 11.4", "NIST 800-53 CP-6", "NIST 800-53 CP-9(3)", "CJIS CP-6")
    remedy = "Keep backups on another machine, on disks that hold nothing else."
    effort = "high"

    def look(self, town: Recovery) -> Iterator[Evidence]:
        for host, status, client in town.clients:
            place = str(client.get("server") or "").rpartition(":")[0].strip("[]")
            if host.name in host.keeps or re.fullmatch(r"localhost|127\..*|::1", place):
                yield Evidence(host.name, "found", "it keeps its own backups", (status,))
        for host, status, server in town.servers:
            yield self._storage(host.name, status, server.get("storage"))

    def _storage(self, name: str, status: Told, storage: dict[str, Any] | None) -> Evidence:
        if storage is None:
            return Evidence(name, "unknown", "what the repositories lie on is not known", severity="medium")
        if storage["filesystem"] in ("tmpfs", "ramfs"):
            return Evidence(name, "found", "the repositories lie in memory, and end with the next start", (status,))
        if not storage["own"]:
            text = "the repositories lie on the disk that the server itself starts from"
            return Evidence(name, "found", text, (status,), "medium")
        return Evidence(name, "fine", "the repositories lie on a disk of their own", (status,), "medium")


class SecondCopy(Finding[Recovery]):
    """There is one copy, so that who is root on its server, or a fire there, ends all of it."""

    id = "recovery-second-copy"
    title = "No second copy, or an old one"
    severity = "high"
    frameworks = ("CIS v8 11.4", "NIST 800-53 CP-6", "NIST 800-53 CP-9(3)", "CJIS CP-6")
    remedy = "Have the backup server's repositories copied to another place daily, from the other side."
    effort = "high"

    def look(self, town: Recovery) -> Iterator[Evidence]:
        for host, status, server in town.servers:
            if "copy" not in server:
                yield Evidence(host.name, "unknown", "whether there is a second copy is not known", (status,))
            elif server["copy"] is None:
                yield Evidence(host.name, "found", "what lies here lies nowhere else", (status,))
            else:
                yield self._copy(host, status, server["copy"], town.moment)

    def _copy(self, host: Host, status: Told, copy: dict[str, Any], moment: datetime) -> Evidence:
        copied = {str(one["name"]): one["copied_at"] for one in copy["clients"]}
        place = f"the copy at {brief(copy['to'])}"
        if lacking := sorted(host.keeps - copied.keys()):
            return Evidence(host.name, "found", f"{place} lacks {listed(lacking)}", (status,))
        ages = {"as a whole": age_of(copy["ended_at"], moment)}
        ages |= {f"of {brief(name)}": age_of(copied[name], moment) for name in sorted(host.keeps)}
        if old := [what for what, age in ages.items() if age is not None and age > COPY_STALE]:
            return Evidence(host.name, "found", f"{place} is older than 48 h: {listed(old)}", (status,))
        if unknown := [what for what, age in ages.items() if age is None]:
            return Evidence(host.name, "unknown", f"how old {place} is, is not known: {listed(unknown)}", (status,))
        return Evidence(host.name, "fine", f"{place} has all hosts, and is not older than 48 h", (status,))


class Survives(Finding[Recovery]):
    """What survives if the domain admin is stolen tonight? Whoever has the town's directory, or a password that was
    typed on one of its hosts, must have no way to power on the backup server."""

    id = "recovery-survives"
    title = "What survives if the domain admin is stolen tonight?"
    severity = "critical"
    frameworks = ("CIS v8 11.3", "CIS v8 11.4", "NIST 800-53 CP-9", "NIST 800-53 AC-6", "CJIS CP-9")
    remedy = (
        "Take the backup server out of the directory, give its administrators accounts and passwords that are used "
        "nowhere else, and have its sshd take keys only."
    )
    effort = "medium"

    def look(self, town: Recovery) -> Iterator[Evidence]:
        ways = {server.name: strangers(town, server, body) for server, _, body in town.servers}
        others = tuple(host.facts for host, _, _ in town.clients)
        for host, status, _ in town.clients:
            keepers = town.keepers(host.name)
            if not keepers:
                yield Evidence(host.name, "unknown", "which server keeps its backups is not known")
                continue
            access = sum((ways[server.name] for server, _, _ in keepers), Access())
            if host.name in host.keeps:
                access += Access(("it keeps its own backups",))
            names = listed(server.name for server, _, _ in keepers)
            fine = f"what {names} keeps survives: it is in no directory, takes keys only, and no password of its "
            fine += "administrators' is used elsewhere"
            told = (status, *others, *(one for server, kept, _ in keepers for one in (kept, server.facts)))
            yield _evidence(host.name, access, fine, told, f"nothing is sure to survive{self._but(host, keepers)}: ")

    def _but(self, host: Host, keepers: Sequence[tuple[Host, Told, dict[str, Any]]]) -> str:
        copies = [server["copy"] for _, _, server in keepers if server.get("copy")]
        places = [copy["to"] for copy in copies if host.name in {str(one["name"]) for one in copy["clients"]}]
        return f" but the copy at {listed(places)}, where others look after that" if places else ""


def _evidence(name: str, access: Access, fine: str, told: tuple[Told | None, ...], lead: str = "") -> Evidence:
    if access.seen:
        return Evidence(name, "found", lead + "; ".join(dict.fromkeys(access.seen)), told)
    if access.unknown:
        return Evidence(name, "unknown", "; ".join(dict.fromkeys(access.unknown)), told)
    return Evidence(name, "fine", fine, told)


class Untested(Finding[Recovery]):
    """No restore was tried for a year, or the last one failed: a backup that is not proven."""

    id = "recovery-untested"
    title = "No restore was tried within a year"
    severity = "high"
    frameworks = ("CIS v8 11.5", "NIST 800-53 CP-9(1)", "NIST 800-53 CP-4", "CJIS CP-9(1)")
    remedy = "Run the job drill, and have it started weekly."
    effort = "low"

    def look(self, town: Recovery) -> Iterator[Evidence]:
        for host, _, _ in town.clients:
            drill = host.drill
            if drill is None:
                yield Evidence(host.name, "found", "no restore was ever tried")
            elif drill.body["outcome"] != "done":
                why = brief(drill.body["reason"] or "nothing came back")
                yield Evidence(host.name, "found", f"the restore of {drill.at:%Y-%m-%d} failed: {why}")
            elif drill.old:
                yield Evidence(host.name, "found", f"the last restore was tried on {drill.at:%Y-%m-%d}")
            else:
                yield Evidence(host.name, "fine", "; ".join(proofs(drill, town.moment)))


class NoDump(Finding[Recovery]):
    """A database server runs, and no dump of its kind is in the backup: copied files of a live one may be worthless."""

    id = "recovery-no-dump"
    title = "A database is backed up without a dump"
    severity = "high"
    frameworks = ("CIS v8 11.2", "NIST 800-53 CP-9", "CJIS CP-9")
    remedy = "Add the database to backup_client_dumps."
    effort = "low"

    def look(self, town: Recovery) -> Iterator[Evidence]:
        for host, status, client in town.clients:
            facts = host.known
            if facts is None or (facts.get("services") is None and facts.get("sockets") is None):
                yield Evidence(host.name, "unknown", "whether a database runs on it is not known")
                continue
            runs = [one["dumps"] for one in (client.get("last"), client.get("complete")) if one]
            kinds = {dump["kind"] for dumps in runs for dump in dumps if dump["outcome"] != "failed"}
            for database in DATABASES:
                if seen := seen_by(facts, database):
                    runs_by = f"{database.name} runs ({seen})"
                    state, text = self._dumped(database.kind, kinds)
                    yield Evidence(host.name, state, f"{runs_by}{text}", (status, host.facts))

    def _dumped(self, kind: str, kinds: set[str]) -> tuple[State, str]:
        if kind in kinds:
            return "fine", ", and is dumped"
        if "command" in kinds:
            return "unknown", "; a command of the town's makes a dump, and whether it is of that is not known"
        return "found", ", and no good dump of it is in the backup"


class LeftOut(Finding[Recovery]):
    """File systems below the paths that are backed up are not saved, as they are others than the one above them."""

    id = "recovery-left-out"
    title = "File systems are left out"
    severity = "medium"
    frameworks = ("CIS v8 11.2", "NIST 800-53 CP-9", "CJIS CP-9")
    remedy = "Name them in backup_client_paths, or exclude them in backup_client_excludes if they need no backup."
    effort = "low"

    def look(self, town: Recovery) -> Iterator[Evidence]:
        for host, status, client in town.clients:
            left = client.get("left_out")
            if left is None:
                yield Evidence(host.name, "unknown", "whether file systems are left out is not known", (status,))
            elif left:
                yield Evidence(host.name, "found", f"not saved: {listed(left)}", (status,))
            else:
                yield Evidence(host.name, "fine", "no file system below its paths is left out", (status,))


class Escrow(Finding[Recovery]):
    """The repository's password is known in one place only: with that place the backup is lost."""

    id = "recovery-escrow"
    title = "The repository's password is not known to be kept elsewhere"
    severity = "high"
    frameworks = ("CIS v8 11.1", "NIST 800-53 CP-9(8)", "NIST 800-53 SC-12", "CJIS CP-9(8)")
    remedy = "Print the password, keep it where no fire reaches both it and the vault, and compare it once a year."
    effort = "low"

    def look(self, town: Recovery) -> Iterator[Evidence]:
        for host, status, client in town.clients:
            state, severity, text = self._state(client.get("escrow"), town.moment)
            yield Evidence(host.name, state, text, (status,), severity)

    def _state(self, escrow: dict[str, Any] | None, moment: datetime) -> tuple[State, Severity | None, str]:
        if escrow is None:
            return "unknown", None, "whether the password is kept elsewhere is not known"
        place = brief(escrow["place"]) or "a place without a name"
        if escrow["state"] == "none":
            return "found", None, "nobody has said that the password is kept elsewhere"
        if escrow["state"] == "differs":
            return "found", "critical", f"the password that is kept at {place} is not the one in use"
        age = age_of(escrow["checked"], moment)
        if age is None:
            return "unknown", None, f"when the copy at {place} was compared is not known"
        if age > ESCROW_STALE:
            return "found", "medium", f"the copy at {place} was compared {age.days} days ago"
        return "fine", None, f"the copy at {place} was compared {age.days} days ago"


_NO_MEMBERS = "its hosts are not known, as the inventory can't be read"


class RecoveryTime(Finding[Recovery]):
    """A system is wanted back sooner than a restore of its hosts takes, as the last drills have measured it."""

    id = "recovery-time"
    title = "Recovery takes longer than the town wants"
    severity = "high"
    frameworks = ("CIS v8 11.1", "NIST 800-53 CP-2", "NIST 800-53 CP-10", "CJIS CP-10")
    remedy = "Hold drills; where they take too long, make the backup smaller, the server faster, or ask for more time."
    effort = "high"

    def look(self, town: Recovery) -> Iterator[Evidence]:
        for system in town.systems:
            if system.rto_hours is None:
                continue
            if town.members is None:
                yield Evidence(system.name, "unknown", _NO_MEMBERS, kind="system")
            elif hosts := town.of_system(system):
                state, text = self.of(system, hosts)
                told = tuple(host.status for host in hosts)
                words = f"wanted {lasting(system.rto_hours * 3600)}; {text}"
                yield Evidence(system.name, state, words, told, kind="system")

    @staticmethod
    def of(system: System, hosts: Sequence[Host]) -> tuple[State, str]:
        """How a system stands, and what was measured."""
        took = together([measured(host) for host in hosts])
        wanted = system.rto_hours
        if wanted is not None and took.part > wanted * 3600:
            return "found", took.words
        return "unknown" if took.why or wanted is None else "fine", took.words


class RecoveryPoint(Finding[Recovery]):
    """More work may be lost than the town wants: a backup comes less often than that."""

    id = "recovery-point"
    title = "Backups come less often than the town wants"
    severity = "medium"
    frameworks = ("CIS v8 11.2", "NIST 800-53 CP-2", "NIST 800-53 CP-9", "CJIS CP-9")
    remedy = "Give the host a denser backup_client_schedule."
    effort = "low"

    def look(self, town: Recovery) -> Iterator[Evidence]:
        for system in town.systems:
            if system.rpo_hours is None:
                continue
            if town.members is None:
                yield Evidence(system.name, "unknown", _NO_MEMBERS, kind="system")
            for host in town.of_system(system):
                yield self._of(system, host)

    def _of(self, system: System, host: Host) -> Evidence:
        wanted = (system.rpo_hours or 0) * 3600
        about = f"{system.name}: at most {lasting(wanted)} of work may be lost"
        period = (host.client or {}).get("period_seconds")
        if period is None:
            return Evidence(host.name, "unknown", f"{about}; how often it is backed up is not known", (host.status,))
        state: State = "found" if period > wanted else "fine"
        return Evidence(host.name, state, f"{about}; a backup comes every {lasting(period)}", (host.status,))


FINDINGS: tuple[Finding[Recovery], ...] = (
    NoBackup(),
    Deletable(),
    SamePlace(),
    SecondCopy(),
    Survives(),
    Untested(),
    NoDump(),
    LeftOut(),
    Escrow(),
    RecoveryTime(),
    RecoveryPoint(),
)
