"""The model of a town file. Descriptions become the JSON Schema's, which editors show.

A model checks each value and what stands beside it; ids that name something elsewhere in the
file are checked by `references`, files of the town by `loader`: `load_town` does all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from .days import check_rule
from .rrule import RuleFault, parse_rrule
from .scalars import (
    Address,
    Argument,
    Begin,
    Clock,
    Day,
    Duration,
    Email,
    End,
    GroupId,
    HostPattern,
    Id,
    Length,
    Line,
    Money,
    MonthDay,
    PackagePattern,
    Patience,
    Prose,
    QuietHours,
    Recipient,
    Retention,
    Rule,
    SeriesId,
    State,
    TownId,
    TownPath,
    UnitName,
    Url,
    Zone,
    misfit,
)
from .vocabulary import (
    Approval,
    CatchUp,
    Engine,
    Equipment,
    Framework,
    FreezeKind,
    Job,
    LaterRing,
    Notice,
    ProbeKind,
    Scope,
    Sensitive,
)


class _Part(BaseModel):
    """What all parts share: unknown keys refused, no guessing of types, never changed after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Contact(_Part):
    """A person who is told or asked."""

    role: GroupId = Field(
        description="What the person is to the town, such as it_lead; override_by and officer name it"
    )
    name: Line = Field(description="The person's name")
    email: Email | None = Field(default=None, description="The person's e-mail address")
    notify_for: tuple[Notice, ...] = Field(default=(), description="What the person is told of")
    after_hours: bool = Field(default=False, description="May be called at night and on weekends")


class Department(_Part):
    """A part of the town; its hosts are in the group dept_ID."""

    id: GroupId = Field(description="Short name; the department's hosts are in Ansible's group dept_ID")
    name: Line = Field(description="The department's name")
    head: Line | None = Field(default=None, description="Who leads it")
    hours: Line | None = Field(
        default=None, description="When people work there, as text for reports: Mon-Fri 08:00-17:00"
    )
    always_on: bool = Field(default=False, description="Works around the clock, as dispatch does")
    handles: tuple[Sensitive, ...] = Field(
        default=(),
        description="Sensitive information on its hosts: cji criminal justice, chd cardholder, phi health, "
        "pii personal, ot operational technology",
    )


# What each kind of probe must say, and what it may say besides name, hosts and timeout.
_PROBES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "port": (("port",), ("address",)),
    "http": (("url",), ("status", "contains", "verify_tls")),
    "command": (("command",), ("status", "contains")),
    "query": (("engine", "database", "query"), ("contains",)),
    "unit": (("unit",), ()),
}
_STATUS = {"http": (100, 599), "command": (0, 255)}


class Probe(_Part):
    """One way to tell that a system is well; asked on its hosts before work and after it."""

    kind: ProbeKind = Field(
        description="port: something listens; http: a web page answers; command: a command ends well; "
        "query: a database answers; unit: a systemd unit is active"
    )
    name: Line | None = Field(default=None, description="What it is called in reports")
    hosts: HostPattern = Field(default="all", description="Which of the system's hosts, as a host pattern of Ansible")
    timeout: Patience = Field(
        default=timedelta(seconds=10),
        description="How long one answer is waited for: 1s to 60s",
        json_schema_extra={"default": "10s"},
    )
    port: int | None = Field(default=None, ge=1, le=65535, description="port: the TCP port that must answer")
    address: Address | None = Field(default=None, description="port: where it listens; 127.0.0.1")
    url: Url | None = Field(default=None, description="http: the page, as the host itself sees it")
    status: int | None = Field(
        default=None, ge=0, le=599, description="http: the status of the answer, 200; command: its exit status, 0"
    )
    contains: Line | None = Field(default=None, description="http, command, query: a text that the answer must hold")
    verify_tls: bool | None = Field(default=None, description="http: whether the certificate must be right; true")
    command: tuple[Argument, ...] | None = Field(
        default=None, min_length=1, max_length=50, description="command: the program and its arguments; no shell"
    )
    engine: Engine | None = Field(default=None, description="query: the kind of database")
    database: Line | None = Field(default=None, description="query: the database's name; of sqlite, its file's path")
    query: Prose | None = Field(
        default=None, description="query: what to ask, such as select 1; it must change nothing"
    )
    unit: UnitName | None = Field(default=None, description="unit: the systemd unit that must be active")

    @model_validator(mode="after")
    def _check(self) -> Probe:
        needed, allowed = _PROBES[self.kind]
        for one in needed:
            if getattr(self, one) is None:
                raise misfit(f"is of the kind {self.kind} and has no {one}", f"add {one}, or mend the kind")
        every = {name for must, may in _PROBES.values() for name in (*must, *may)}
        strange = sorted(one for one in every - {*needed, *allowed} if getattr(self, one) is not None)
        if strange:
            belongs = ", ".join(kind for kind, (must, may) in _PROBES.items() if strange[0] in (*must, *may))
            raise misfit(f"is of the kind {self.kind} and has {strange[0]}", f"that belongs to {belongs}")
        if self.status is not None:
            low, high = _STATUS[self.kind]
            if not low <= self.status <= high:
                raise misfit(f"has the status {self.status}, which no {self.kind} gives", f"allowed: {low} to {high}")
        if self.engine == "sqlite" and not (self.database or "").startswith("/"):
            raise misfit("database of sqlite is not a path from the root", "such as /var/lib/app/app.db")
        return self


class System(_Part):
    """What the town calls payroll or dispatch; its hosts are in the group system_ID."""

    id: GroupId = Field(description="Short name; the system's hosts are in Ansible's group system_ID")
    name: Line = Field(description="The system's name")
    department: GroupId | None = Field(default=None, description="The id of the department that owns it")
    criticality: int = Field(default=3, ge=1, le=5, description="From 1, can wait for weeks, to 5, lives depend on it")
    system_of_record: bool = Field(default=False, description="Holds the town's official records of their kind")
    rto_hours: float | None = Field(
        default=None, ge=0, le=8760, description="Recovery time objective: hours until it works again"
    )
    rpo_hours: float | None = Field(
        default=None, ge=0, le=8760, description="Recovery point objective: hours of work that may be lost"
    )
    vendor: Line | None = Field(default=None, description="Who makes or supports it")
    support_end: Day | None = Field(default=None, description="The day on which the vendor's support ends")
    manual_fallback: Prose | None = Field(default=None, description="How people work while it is down")
    needs: tuple[GroupId, ...] = Field(
        default=(), description="The systems that it can't work without: their hosts are worked on first"
    )
    probes: tuple[Probe, ...] = Field(
        default=(), max_length=20, description="How it is told to be well, before work on its hosts and after"
    )


class Priority(_Part):
    """Something that the town's leaders said matters more, or less; it weighs the ranking of work."""

    id: Id = Field(description="Short name")
    text: Prose = Field(description="What was said, as in the minutes")
    systems: tuple[GroupId, ...] = Field(default=(), description="The systems that it is about")
    departments: tuple[GroupId, ...] = Field(default=(), description="The departments that it is about")
    tags: tuple[Id, ...] = Field(default=(), description="The kinds of work that it is about, such as backup")
    weight: float = Field(
        ge=0.5, le=1.5, description="Factor on the rank of what it is about, 0.5 to 1.5; 1 changes nothing"
    )
    said_by: Line = Field(description="Who said it")
    said_on: Day = Field(description="The day on which it was said")
    review_by: Day | None = Field(default=None, description="The day on which to ask again")

    @model_validator(mode="after")
    def _check(self) -> Priority:
        if not (self.systems or self.departments or self.tags):
            raise misfit("is about nothing", "name systems, departments or tags")
        if self.review_by is not None and self.review_by <= self.said_on:
            raise misfit("review_by is not after said_on", "give a later day")
        return self


class Budget(_Part):
    """The money of one fiscal year, in the town's currency."""

    fiscal_year: int = Field(ge=2000, le=2100, description="The fiscal year, by the calendar year in which it ends")
    capital: Money = Field(default=Decimal(0), description="For things that last, in the town's currency")
    operating: Money = Field(
        default=Decimal(0), description="For licences, services and repairs, in the town's currency"
    )
    approval_limit: Money | None = Field(
        default=None, description="Above this amount the council decides, in the town's currency"
    )
    replacement_years: dict[Equipment, Annotated[int, Field(ge=1, le=30)]] = Field(
        default_factory=dict, description="After how many years each kind of equipment is replaced"
    )


class Window(_Part):
    """When jobs may disturb people."""

    id: Id = Field(description="Short name")
    jobs: tuple[Job, ...] = Field(min_length=1, description="The jobs that may run in it")
    rrule: Rule = Field(
        description="The days on which it begins: a recurrence rule of RFC 5545, such as FREQ=WEEKLY;BYDAY=TU"
    )
    since: Day | None = Field(
        default=None,
        description="The first day; needed with INTERVAL above 1, which counts from it, and if the rule names no day",
    )
    start: Clock = Field(description='When it begins, in the town\'s time and in quotes: "22:30"')
    duration: Length = Field(description="How long it lasts in real time: 90m, 4h, 1h30m")
    hosts: HostPattern = Field(default="all", description="Which hosts, as a host pattern of Ansible")
    catch_up: CatchUp = Field(
        default="run",
        description="A run that could not begin when the window opened: run starts it late, while the window is open "
        "(a job that disturbs nobody also afterwards); skip leaves it out",
    )
    approval: Approval = Field(
        default="none", description="required: a run waits until its plan was approved: civicops runs TOWN approve ID"
    )

    @model_validator(mode="after")
    def _check(self) -> Window:
        _check_rule(self.rrule, self.since)
        return self


class Freeze(_Part):
    """When nothing may disturb people: from and to, or a rule, or a calendar file."""

    id: Id = Field(description="Short name")
    kind: FreezeKind = Field(description="Why")
    from_: Begin | None = Field(
        default=None, alias="from", description="First day, or day and time, in the town's time"
    )
    to: End | None = Field(default=None, description="Last day (to its end), or day and time, in the town's time")
    rrule: Rule | None = Field(default=None, description="Days that come again: a recurrence rule of RFC 5545")
    since: Day | None = Field(default=None, description="With rrule, the first day; needed with INTERVAL above 1")
    start: Clock | None = Field(default=None, description="With rrule, when it begins; without, at midnight")
    duration: Length | None = Field(
        default=None, description="With rrule, how long it lasts: 4h, 2d; without, to the day's end"
    )
    ics: TownPath | None = Field(
        default=None, description="A calendar file (RFC 5545) in the town's directory: calendars/NAME.ics"
    )
    pad: Duration = Field(
        default=timedelta(0),
        description="Kept free before and after: 30m, 2h",
        json_schema_extra={"default": "0m"},
    )
    hosts: HostPattern = Field(default="all", description="Which hosts, as a host pattern of Ansible")
    override_by: GroupId | None = Field(
        default=None, description="The role of the contact who may allow work all the same"
    )

    @model_validator(mode="after")
    def _check(self) -> Freeze:
        forms = [self.from_ is not None or self.to is not None, self.rrule is not None, self.ics is not None]
        if sum(forms) != 1:
            raise misfit("needs exactly one of: from and to, rrule, ics", "keep one")
        if forms[0] and (self.from_ is None or self.to is None):
            raise misfit("has only one of from and to", "give both")
        if self.from_ is not None and self.to is not None and self.to <= self.from_:
            raise misfit("ends before it begins", "to must come after from")
        if self.rrule is None:
            if self.since or self.start or self.duration:
                raise misfit("has since, start or duration without rrule", "they belong to rrule")
        else:
            if self.start is not None and self.duration is None:
                raise misfit("has start without duration", "say how long it lasts, such as 4h")
            _check_rule(self.rrule, self.since)
        if self.ics is not None and not self.ics.endswith(".ics"):
            raise misfit("ics names a file that does not end in .ics", "such as calendars/council.ics")
        return self


class Halt(_Part):
    """When a night stops: of the hosts of a ring, or of all, how many may fail, vanish, overrun or be unwell after."""

    ring: int = Field(
        default=10, ge=0, le=100, description="Percent of a ring's hosts, rounded down: of up to 9 hosts none"
    )
    town: int = Field(
        default=5, ge=0, le=100, description="Percent of all hosts of the rings so far, rounded down; at least one host"
    )
    proof: Length = Field(
        default=timedelta(days=6),
        description="How long what a host came to counts for later rings, so that these may be done another night",
        json_schema_extra={"default": "6d"},
    )


class Maintenance(_Part):
    """When work may disturb people, and when not."""

    windows: tuple[Window, ...] = Field(default=(), description="When jobs may disturb people")
    freezes: tuple[Freeze, ...] = Field(default=(), description="When nothing may, whatever the windows say")
    halt: Halt = Field(default=Halt(), description="How many hosts may come to harm before later rings are refused")
    soak: Duration = Field(
        default=timedelta(0),
        description="How long a ring is watched in the night before the next one begins: 30m",
        json_schema_extra={"default": "0m"},
    )
    ring_approval: tuple[LaterRing, ...] = Field(
        default=(),
        description="Rings that wait in the night for somebody's yes: civicops runs TOWN approve ID --ring RING",
    )


class Patch(_Part):
    """What a patch night does on a host; what is left out is the role's default."""

    scope: Scope | None = Field(default=None, description="security updates alone, or all; security")
    allow: tuple[PackagePattern, ...] = Field(default=(), description="Only these packages; none means all")
    deny: tuple[PackagePattern, ...] = Field(default=(), description="Never these packages")
    reboot: Literal["when_wanted", "never"] | None = Field(
        default=None, description="Whether a host that wants a reboot gets it in its opening; when_wanted"
    )
    rollback: Literal["automatic", "never"] | None = Field(
        default=None, description="Whether a host that is not well afterwards is taken back by itself; automatic"
    )
    without_rollback: Literal["skip", "patch"] | None = Field(
        default=None,
        description="A host some of whose installed versions can't be had any more: skip it, or patch it all the same",
    )
    repair: bool | None = Field(default=None, description="Repair half-configured packages first; false")
    backup_max_age: Length | None = Field(
        default=None, description="No patching where the last backup is older: 26h; none asks for no backup"
    )
    backup_first: bool | None = Field(
        default=None,
        description="Each host backs itself up right before, and is left alone where that fails; false",
    )
    logged_in: Literal["tell", "block"] | None = Field(
        default=None, description="People who are logged in are told of, or keep the host from being patched; tell"
    )
    probe_grace: Length | None = Field(default=None, description="How long probes may stay red after the work; 2m")
    lock_wait: Length | None = Field(default=None, description="How long the package manager's lock is waited for; 2m")


class Series(_Part):
    """A kind of records and how long it is kept."""

    id: SeriesId = Field(description="Its number in the schedule")
    title: Line = Field(description="Its title in the schedule")
    retention: Retention = Field(description="How long after the trigger: 90 days, 7 years, permanent")
    trigger: Line = Field(description="The event that the time runs from, such as: minutes verified")
    source: Line = Field(description="Where the rule was read")
    checked_on: Day = Field(description="The day on which it was read")


class RequestRule(_Part):
    """How fast a request for records is answered."""

    days: int = Field(ge=0, le=365, description="Business days until the answer is due")
    source: Line = Field(description="Where the rule was read")
    checked_on: Day = Field(description="The day on which it was read")


class Hold(_Part):
    """Records that must not be destroyed, whatever their retention says."""

    id: Id = Field(description="Short name")
    reason: Prose = Field(description="Why: the case or request")
    series: tuple[SeriesId, ...] = Field(default=(), description="The series that it covers; none means all")
    ordered_by: Line = Field(description="Who ordered it")
    since: Day = Field(description="Its first day")
    until: Day | None = Field(default=None, description="Its last day; without it the hold stays until it is taken out")

    @model_validator(mode="after")
    def _check(self) -> Hold:
        if self.until is not None and self.until < self.since:
            raise misfit("until is before since", "give a later day")
        return self


class Records(_Part):
    """What the law says of the town's records."""

    officer: GroupId | None = Field(default=None, description="The role of the contact who answers for records")
    schedule: Line | None = Field(default=None, description="The retention schedule that applies")
    series: tuple[Series, ...] = Field(default=(), description="The series that the town keeps")
    request_rule: RequestRule | None = Field(default=None, description="How fast requests are answered")
    holds: tuple[Hold, ...] = Field(default=(), description="Records that must not be destroyed now")


class Training(_Part):
    """Security training of the town's people."""

    required_by: Line | None = Field(default=None, description="The law or policy that requires it")
    import_: TownPath | None = Field(
        default=None, alias="import", description="A CSV file of completed courses in the town's directory"
    )


class Alert(_Part):
    """Where messages go."""

    to: Recipient = Field(description="An e-mail address, or a webhook's https address (without secrets in it)")
    kind: tuple[Notice, ...] = Field(min_length=1, description="What is sent there")
    quiet_hours: QuietHours | None = Field(default=None, description="When it waits, in the town's time: 22:00-06:00")


@dataclass(frozen=True, slots=True)
class Source:
    """The file that a town was read from."""

    path: Path
    directory: Path
    sha256: str


class Town(_Part):
    """A town: an organisation with one inventory."""

    id: TownId = Field(description="Short name, equal to the name of the inventory's directory")
    name: Line = Field(description="The town's name, as in reports")
    state: State | None = Field(
        default=None, description="The US state's two letters, such as GA; write NO and the like in quotes"
    )
    timezone: Zone = Field(description="The zone of every time in this file: America/New_York, UTC")
    population: int | None = Field(default=None, ge=1, le=50_000_000, description="People who live there")
    fiscal_year_start: MonthDay = Field(default="01-01", description="The fiscal year's first day, MM-DD")
    contacts: tuple[Contact, ...] = Field(default=(), description="People who are told or asked")
    departments: tuple[Department, ...] = Field(default=(), description="The parts of the town")
    systems: tuple[System, ...] = Field(default=(), description="What the town calls payroll, dispatch, water billing")
    priorities: tuple[Priority, ...] = Field(
        default=(), description="What the town's leaders said matters more, or less"
    )
    budget: Budget | None = Field(default=None, description="The money of one fiscal year")
    maintenance: Maintenance = Field(default=Maintenance(), description="When work may disturb people, and when not")
    patch: Patch = Field(default=Patch(), description="What a patch night does on a host")
    frameworks: tuple[Framework, ...] = Field(
        default=(), description="The frameworks that the town is measured against"
    )
    records: Records | None = Field(default=None, description="What the law says of the town's records")
    training: Training | None = Field(default=None, description="Security training of the town's people")
    alerts: tuple[Alert, ...] = Field(default=(), description="Where messages go")

    _source: Source | None = PrivateAttr(None)

    @property
    def source(self) -> Source:
        """The file that the town was read from; raises LookupError if it was made without one."""
        if self._source is None:
            raise LookupError(f"the town {self.id} was not read from a file")
        return self._source

    @property
    def path(self) -> Path:
        """The town file."""
        return self.source.path

    @property
    def directory(self) -> Path:
        """The town's inventory directory."""
        return self.source.directory

    @property
    def sha256(self) -> str:
        """SHA-256 of the file's bytes, in hexadecimal digits."""
        return self.source.sha256

    @property
    def zone(self) -> tzinfo:
        """The town's time zone."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)


class TownFile(_Part):
    """The whole file: one variable."""

    town: Town = Field(description="What is wanted for this town")


def _check_rule(rule: str, since: date | None) -> None:
    """The rule names its days beside `since`, and has one at all."""
    if since is None and int(parse_rrule(rule).get("INTERVAL", "1")) > 1:
        raise misfit("rrule has an INTERVAL, and nothing to count it from", 'add since: "2027-01-04", the first day')
    try:
        check_rule(rule, since)
    except RuleFault as fault:
        raise misfit(fault.message, fault.remedy) from None
